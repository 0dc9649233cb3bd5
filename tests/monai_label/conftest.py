"""One server with all bundles for all tests, in the environment that `make test-label` builds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .server import LabelServer
from .studies import ORIENTATIONS, Study, studies, turned

collect_ignore = ["stand_ins"]  # for the server's environment
BUNDLES = Path(__file__).resolve().parents[2] / "bundles"
#: Bundle -> its phantoms.
TASKS = {
    "brats_mri_levelset_segmentation": "brats",
    "fundus_levelset_deepgrow": "fundus",
    "lits_tumor_ct_levelset_segmentation": "lits",
    "liver_ct_levelset_segmentation": "liver",
    "lv_mri_levelset_segmentation": "lv",
    "natural_levelset_segmentation": "natural",
    "prostate_mri_levelset_deepgrow": "prostate",
}
PICTURES = ("fundus", "natural")


@pytest.fixture(scope="session")
def label_python() -> Path:
    """Interpreter of the environment with MONAI Label."""
    named = os.environ.get("MONAI_LABEL_PYTHON")
    if not named:
        pytest.skip("MONAI_LABEL_PYTHON names no environment with MONAI Label; run `make test-label`")
    return Path(named).absolute()


@pytest.fixture(scope="session")
def all_studies(label_python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Study]]:
    """Bundle -> a phantom in each orientation, or two pictures."""
    folder = tmp_path_factory.mktemp("phantoms")
    found = {}
    for bundle, task in TASKS.items():
        drawn = studies(task, folder / task, cases=2 if task in PICTURES else 1)
        if task not in PICTURES:
            drawn = [turned(drawn[0], folder / "turned", axcodes) for axcodes in ORIENTATIONS]
        found[bundle] = drawn
    return found


@pytest.fixture(scope="session")
def server(
    label_python: Path, all_studies: dict[str, list[Study]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LabelServer]:
    """A server of all bundles and studies; at its end its log must hold no traceback."""
    images = [study.image for found in all_studies.values() for study in found]
    bundles = [BUNDLES / name for name in TASKS]
    with LabelServer(label_python, tmp_path_factory.mktemp("label"), bundles, images) as started:
        yield started
    assert "Traceback" not in started.log.read_text()
