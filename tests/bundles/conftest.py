"""Tiny data sets and short real trainings, shared by the tests of each bundle."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from monai_levelset.data.phantoms import generate_phantoms
from monai_levelset.data.prepare import prepare

from .common import monai_bundle, run_workflow
from .liver import LIVER_BUNDLE, write_pictures
from .lv import LV_BUNDLE, write_data


@pytest.fixture(autouse=True)
def _same_excepthook(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle's `initialize` replaces the hook: put it back."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


@pytest.fixture(scope="session")
def lv_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 + 4 + 4 slices."""
    return write_data(tmp_path_factory.mktemp("lv") / "data", {"training": 24, "validation": 4, "test": 4})


@pytest.fixture(scope="session")
def lv_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the bundle without its weights."""
    copy = tmp_path_factory.mktemp("lv") / LV_BUNDLE.name
    shutil.copytree(LV_BUNDLE, copy, ignore=shutil.ignore_patterns("models", "eval", "predictions"))
    return copy


@pytest.fixture(scope="session")
def lv_training(lv_copy: Path, lv_data: Path) -> subprocess.CompletedProcess[str]:
    """A short training by the command line, in the bundle's folder, with everything where it belongs."""
    return monai_bundle(
        *("run", "training", "--config_file", "configs/train.json", "--meta_file", "configs/metadata.json"),
        *("--dataset_dir", lv_data, "--max_updates", "60", "--val_interval", "30", "--log_interval", "1"),
        cwd=lv_copy,
    )


@pytest.fixture(scope="session")
def lv_trained(lv_copy: Path, lv_training: subprocess.CompletedProcess[str]) -> Path:
    """The copy of the bundle after that training."""
    assert lv_training.returncode == 0, lv_training.stderr
    return lv_copy


@pytest.fixture(scope="session")
def liver_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantom CT in HU: 3 + 1 + 1 volumes of 28 slices."""
    folder = tmp_path_factory.mktemp("liver") / "data"
    generate_phantoms("liver", folder, cases=5, seed=0)
    return folder


@pytest.fixture(scope="session")
def liver_slices(liver_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same phantoms as 8-bit slices of 96 x 96 pixels, prepared: 24 + 8 + 8 slices."""
    folder = tmp_path_factory.mktemp("slices")
    content = json.loads((liver_data / "datalist.json").read_text())
    names = {"train": "training", "val": "validation", "test": "test"}
    sections = {
        name: [Path(item["image"]).name for item in content[section]] for name, section in names.items()
    }
    source = write_pictures(folder / "source", liver_data, sections)
    prepare("liver_slices", source, folder / "data", workers=1)
    return folder / "data"


@pytest.fixture(scope="session")
def liver_trained(liver_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the liver bundle after a short training."""
    copy = tmp_path_factory.mktemp("liver") / LIVER_BUNDLE.name
    shutil.copytree(LIVER_BUNDLE, copy, ignore=shutil.ignore_patterns("models", "eval", "predictions"))
    run_workflow(
        *(copy, "train"),
        run_id="training",
        dataset_dir=liver_data,
        max_updates=120,
        learning_rate=0.02,
        val_interval=60,
        log_interval=1,
    )
    return copy


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The command line `python -m monai.bundle WORDS` without a new process."""

    def run(*words: str | Path) -> None:
        monkeypatch.setattr(sys, "argv", ["monai.bundle", *map(str, words)])
        runpy.run_module("monai.bundle", run_name="__main__")

    return run


REQUIRED = {
    "version": "string",
    "changelog": "object",
    "monai_version": "string",
    "pytorch_version": "string",
    "numpy_version": "string",
    "required_packages_version": "object",
    "task": "string",
    "description": "string",
    "authors": "string",
    "copyright": "string",
    "network_data_format": "object",
}


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    """The documented required fields; the schema itself is on the internet."""
    properties = {name: {"type": kind} for name, kind in REQUIRED.items()}
    path = tmp_path / "meta_schema_20240725.json"
    path.write_text(json.dumps({"type": "object", "properties": properties, "required": list(REQUIRED)}))
    return path
