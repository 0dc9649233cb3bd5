"""The prostate bundle: trained on phantoms, evaluated, used on whole volumes; its configurations agree."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from monai_levelset.data import load_section
from monai_levelset.data.phantoms import generate_phantoms
from monai_levelset.quickstart import quickstart

from .click_training import DISTANCES, TINY, segment, train
from .common import dice, read_csv, run_workflow, scalars
from .liver import read_mask
from .prostate import PROSTATE_BUNDLE

pytestmark = pytest.mark.filterwarnings(DISTANCES)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantoms: 4 + 1 + 1 volumes."""
    folder = tmp_path_factory.mktemp("prostate") / "data"
    generate_phantoms("prostate", folder, cases=6, seed=0)
    return folder


def test_training_evaluation_and_inference(data: Path, tmp_path: Path) -> None:
    """Sixty updates on the slices of four volumes: Dice above 0.9 in a new one, on its own voxels."""
    train(PROSTATE_BUNDLE, data, tmp_path, max_updates=60, val_interval=30)
    losses = scalars(tmp_path / "eval", "loss")
    assert len(losses) == 60
    assert np.mean(losses[-10:]) < 0.2 * np.mean(losses[:10])
    assert max(scalars(tmp_path / "eval", "val_mean_dice")) > 0.9

    places = {"dataset_dir": data, "ckpt_dir": tmp_path / "models", "output_dir": tmp_path / "scores"}
    places |= {"cache_dir": data / "cache"}
    run_workflow(PROSTATE_BUNDLE, "train", "evaluate", run_id="evaluating", **places, **TINY)
    metrics = ("val_mean_dice", "val_hausdorff_distance", "val_surface_distance")
    assert [row[0] for row in read_csv(tmp_path / "scores/metrics.csv")] == list(metrics)
    rows = {name: read_csv(tmp_path / f"scores/{name}_raw.csv")[1:] for name in metrics}
    scores = {name: {row[0]: float(row[1]) for row in rows[name]} for name in metrics}

    (item,) = load_section(data, "test")
    for key in ("image", "label"):
        (tmp_path / key).mkdir()
        shutil.copy(item[key], tmp_path / key)
    segment(
        *(PROSTATE_BUNDLE, tmp_path / "models/model.pt", tmp_path / "out"),
        *(tmp_path / "image", tmp_path / "label", {"prostate": [1]}),
    )
    found, truth = read_mask(tmp_path / f"out/masks/{item['id']}.nii.gz"), read_mask(Path(item["label"]))
    assert dice(found, truth) > 0.9
    held = np.flatnonzero(truth.any((0, 1)))
    assert set(np.flatnonzero(found.any((0, 1)))) == set(held)
    by_slice = [dice(found[..., k], truth[..., k]) for k in held]
    names = [name for name in scores["val_mean_dice"] if name.startswith(item["id"])]
    assert len(names) == len(held)  # a slice without prostate cannot be clicked, so it is not scored
    for metric in metrics:
        assert np.isfinite(list(scores[metric].values())).all()
    found_on_crops = [scores["val_mean_dice"][name] for name in names]
    assert np.mean(found_on_crops) == pytest.approx(np.mean(by_slice), abs=0.02)
    np.testing.assert_allclose(found_on_crops, by_slice, atol=0.1)


@pytest.mark.slow
def test_quickstart_reaches_its_threshold(tmp_path: Path) -> None:
    """The card's numbers of the test phantoms, with room for another machine's rounding."""
    assert quickstart(str(PROSTATE_BUNDLE), str(tmp_path))["mean"]["dice"] > 0.9


def test_configurations_agree() -> None:
    """Training and inference name the same structures, axes, crops, maps and network."""
    train_, inference = (
        json.loads((PROSTATE_BUNDLE / f"configs/{name}.json").read_text()) for name in ("train", "inference")
    )
    for name in (
        *("structures", "image_channels", "size", "margin_ratio", "channels", "variant", "fwhm", "backbone"),
        *("width", "output_stride", "stride_on_first", "skip_channels", "head_channels", "steps", "axcodes"),
        *("evolution", "boundary_weight", "network_def"),
    ):
        assert train_[name] == inference[name], name
