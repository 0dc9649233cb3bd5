"""The fundus bundle: trained on phantoms, evaluated, used; resumed; chosen by its quickstart."""

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
from .common import dice, read_csv, read_png, run_workflow, scalars
from .fundus import FUNDUS_BUNDLE

STRUCTURES = {"disc": [1, 2], "cup": [2]}


pytestmark = pytest.mark.filterwarnings(DISTANCES)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantoms: 10 + 4 + 2 photographs."""
    folder = tmp_path_factory.mktemp("fundus") / "data"
    generate_phantoms("fundus", folder, cases=16, seed=0)
    return folder


def test_training_evaluation_and_inference(data: Path, tmp_path: Path) -> None:
    """Sixty updates on 20 objects: Dice above 0.9 of disc and cup in new photographs, on their own pixels."""
    train(FUNDUS_BUNDLE, data, tmp_path, max_updates=60, val_interval=30)
    losses = scalars(tmp_path / "eval", "loss")
    assert len(losses) == 60
    assert np.mean(losses[-10:]) < 0.2 * np.mean(losses[:10])
    names = ("cross_entropy", "boundary", "distance", "direction")
    parts = [scalars(tmp_path / "eval", name) for name in names]
    assert [len(part) for part in parts] == [60, 60, 12, 12]  # the warm-up is a fifth
    assert max(scalars(tmp_path / "eval", "val_mean_dice")) > 0.9

    places = {"dataset_dir": data, "ckpt_dir": tmp_path / "models", "output_dir": tmp_path / "scores"}
    run_workflow(FUNDUS_BUNDLE, "train", "evaluate", run_id="evaluating", **places, **TINY)
    metrics = ("val_mean_dice", "val_hausdorff_distance", "val_surface_distance")
    assert [row[0] for row in read_csv(tmp_path / "scores/metrics.csv")] == list(metrics)
    rows = {name: read_csv(tmp_path / f"scores/{name}_raw.csv")[1:] for name in metrics}
    scores = {name: {row[0]: float(row[1]) for row in rows[name]} for name in metrics}

    test = load_section(data, "test")
    for item in test:
        for key in ("image", "label"):
            (tmp_path / key).mkdir(exist_ok=True)
            shutil.copy(item[key], tmp_path / key)
    segment(
        *(FUNDUS_BUNDLE, tmp_path / "models/model.pt", tmp_path / "out"),
        *(tmp_path / "image", tmp_path / "label", STRUCTURES),
    )
    for item in test:
        found, truth = read_png(tmp_path / f"out/masks/{item['id']}.png"), read_png(Path(item["label"]))
        for structure, values in STRUCTURES.items():
            name = f"{item['id']}-{structure}"
            expected = dice(np.isin(found, values), np.isin(truth, values))
            assert expected > 0.9
            assert scores["val_mean_dice"][name] == pytest.approx(expected, abs=0.02)  # on the crop's pixels
            distance, largest = (scores[metric][name] for metric in reversed(metrics[1:]))
            assert 0 < distance < 2 < 64 / 8 > largest >= distance


@pytest.mark.slow
def test_quickstart_reaches_its_threshold(tmp_path: Path) -> None:
    """The card's numbers of the test phantoms, with room for another machine's rounding."""
    mean = quickstart(str(FUNDUS_BUNDLE), str(tmp_path))["mean"]
    assert min(mean["dice_disc"], mean["dice_cup"]) > 0.9


def test_configurations_agree() -> None:
    """Training and inference name the same structures, crops, maps and network; so do all the baselines."""
    train_, inference, unet = (
        json.loads((FUNDUS_BUNDLE / f"configs/{name}.json").read_text())
        for name in ("train", "inference", "unet")
    )
    for name in (
        *("structures", "image_channels", "size", "margin_ratio", "channels", "variant", "fwhm", "backbone"),
        *("width", "output_stride", "stride_on_first", "skip_channels", "head_channels", "steps"),
        *("evolution", "boundary_weight", "network_def"),
    ):
        assert train_[name] == inference[name], name
    colours = [
        [step for step in steps if step["_target_"].endswith(("Photographd", "NormalizeIntensityd"))]
        for steps in (
            train_["preprocessing"],
            inference["preprocessing"]["transforms"],
            unet["preprocessing"],
        )
    ]
    assert len(colours[0]) == 2
    assert colours[0] == colours[1] == colours[2]
