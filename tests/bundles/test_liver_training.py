"""The liver bundle's training and evaluation, from CT volumes in HU and from 8-bit slices."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from monai_levelset.data.checkpoints import check_checkpoint
from monai_levelset.data.datalist import load_datalist
from monai_levelset.data.image_files import find_files

from .common import (
    ROOT,
    config_files,
    dice,
    monai_bundle,
    progress,
    read_csv,
    read_png,
    run_workflow,
    scalars,
)
from .liver import LIVER_BUNDLE, read_mask

PIXELS = {"spacing": [1.0, 1.0]}  # the test's slices are as large as the network's field


def parsed(*names: str) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config([LIVER_BUNDLE / f"configs/{name}.json" for name in names])
    return parser


def test_training_from_volumes(liver_trained: Path, liver_data: Path, tmp_path: Path) -> None:
    losses = scalars(liver_trained / "eval", "loss")
    assert len(losses) == 120
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])
    assert len(scalars(liver_trained / "eval", "val_mean_dice")) == 2
    assert {path.name for path in (liver_trained / "models").iterdir()} == {"model.pt", "shape_prior.pt"}
    check_checkpoint(liver_trained / "models/model.pt", parsed("train").get_parsed_content("network_def"))
    prior = torch.load(liver_trained / "models/shape_prior.pt", weights_only=True)
    assert prior.shape[1:] == (1, 72, 72)
    test = load_datalist(liver_data / "datalist.json", "test")
    run_workflow(
        *(liver_trained, "inference"),
        dataset_dir=liver_data,
        datalist=[item["image"] for item in test],
        output_dir=tmp_path,
    )
    masks = find_files(tmp_path)
    assert [item["id"] for item in test] == list(masks)
    assert [dice(read_mask(masks[item["id"]]), read_mask(Path(item["label"]))) > 0.6 for item in test] == [
        True
    ]


def test_training_and_evaluation_of_pictures(liver_slices: Path, tmp_path: Path) -> None:
    """Pre-training, joint training with the labels of a third of the patients, evaluation, inference."""
    bundle, models = LIVER_BUNDLE, tmp_path / "models"
    settings = {"dataset_dir": liver_slices, "ckpt_dir": models, **PIXELS}
    few = {"labeled_fraction": 0.34, "learning_rate": 0.002, "log_interval": 1}
    first = run_workflow(
        *(bundle, "train", "slices", "pretrain"),
        run_id="training",
        **{**settings, "output_dir": tmp_path / "first", "max_updates": 100, "val_interval": 50},
        learning_rate=0.02,
    )
    items = first.parser.get_parsed_content("train#dataset")
    assert len(items) == 24
    assert all(item["image"].shape == item["label"].shape == (1, 96, 96) for item in items)
    (models / "model.pt").rename(tmp_path / "pretrained.pt")
    joint = run_workflow(
        *(bundle, "train", "slices", "joint"),
        run_id="training",
        pretrained=tmp_path / "pretrained.pt",
        **{**settings, **few, "output_dir": tmp_path / "joint", "max_updates": 12, "val_interval": 6},
    )
    labeled = [item["labeled"] for item in joint.parser.get_parsed_content("train#dataset")]
    assert (len(labeled), sum(labeled)) == (24, 8)
    assert np.isfinite(scalars(tmp_path / "joint", "loss")).all()
    evaluation = {**settings, "output_dir": tmp_path / "scores"}
    run_workflow(bundle, "train", "slices", "evaluate", run_id="evaluating", **evaluation)
    weights = {"checkpoint": models / "model.pt", "shape_prior": models / "shape_prior.pt"}
    test = load_datalist(liver_slices / "datalist.json", "test")
    run_workflow(
        *(bundle, "inference", "slices"),
        **{**PIXELS, **weights, "dataset_dir": liver_slices, "output_dir": tmp_path / "out"},
        datalist=[item["image"] for item in test],
    )
    rows = {row[0]: row[1] for row in read_csv(tmp_path / "scores/val_mean_dice_raw.csv")[1:]}
    assert len(rows) == 8
    for item in test:
        found = read_png(tmp_path / "out" / Path(item["image"]).name)
        assert float(rows[item["id"]]) == pytest.approx(dice(found, read_png(Path(item["label"]))), abs=1e-5)
    assert np.mean([float(value) for value in rows.values()]) > 0.6


def test_an_interrupted_joint_training_goes_on_bit_for_bit(liver_slices: Path, tmp_path: Path) -> None:
    """Weights, optimiser, memory replay and all random numbers."""
    settings = {"dataset_dir": liver_slices, **PIXELS, "labeled_fraction": 0.34, "pretrained": None}
    settings |= {"val_interval": 2, "max_updates": 6, "log_interval": 1, "learning_rate": 0.02}

    def train(name: str, **more: object) -> dict[str, torch.Tensor]:
        folders = {"ckpt_dir": tmp_path / name, "output_dir": tmp_path / f"{name}-eval"}
        run_workflow(
            *(LIVER_BUNDLE, "train", "slices", "joint"), run_id="training", **{**settings, **folders, **more}
        )
        checkpoint = torch.load(tmp_path / f"{name}-eval/checkpoint.pt", weights_only=True)
        return checkpoint["model"]

    whole = train("whole")
    # the learning rate's plan is that of the whole training
    plan = {"lr_scheduler#total_steps": 11, "train#trainer#ramp_updates": 2}
    begun = train("parts", max_updates=4, **plan)
    assert any(not torch.equal(begun[name], whole[name]) for name in whole)
    resumed = train("parts", resume=True)
    for name, values in whole.items():
        assert torch.equal(resumed[name], values), name


@pytest.mark.slow
def test_two_processes_train_as_one(liver_slices: Path, tmp_path: Path) -> None:
    settings = {"max_updates": 8, "val_interval": 4, "log_interval": 1, "dataset_dir": liver_slices}
    folders = [
        {"ckpt_dir": tmp_path / n / "models", "output_dir": tmp_path / n / "eval"} for n in ("one", "two")
    ]
    run_workflow(LIVER_BUNDLE, "train", "slices", run_id="training", **settings, **PIXELS, **folders[0])
    words = {**settings, **folders[1], "spacing": "[1.0,1.0]"}
    done = monai_bundle(
        *("run", "training", "--bundle_root", LIVER_BUNDLE.relative_to(ROOT)),
        *(
            "--config_file",
            config_files(LIVER_BUNDLE.relative_to(ROOT), "train", "slices", "multi_gpu_train"),
        ),
        *(str(word) for name, value in words.items() for word in (f"--{name}", value)),
        launcher=["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"],
    )
    assert done.returncode == 0, done.stderr
    assert len(progress(done.stderr)) == 8
    for tag, tolerance in (("loss", 1e-4), ("val_mean_dice", 1e-3)):
        one, two = (scalars(folder["output_dir"], tag) for folder in folders)
        assert len(one) == {"loss": 8, "val_mean_dice": 2}[tag]
        np.testing.assert_allclose(two, one, atol=tolerance)
    states = [torch.load(folder["ckpt_dir"] / "model.pt", weights_only=True) for folder in folders]
    assert list(states[0]) == list(states[1])


def test_configurations_agree() -> None:
    """Training and inference name the same input and network, evaluation and inference the same level set."""
    train, joint, evaluate, inference, slices = (
        json.loads((LIVER_BUNDLE / f"configs/{name}.json").read_text())
        for name in ("train", "joint", "evaluate", "inference", "slices")
    )
    steps = [*evaluate["validate#postprocessing#transforms"], *inference["postprocessing"]["transforms"]]
    refinements = [step for step in steps if step["_target_"].endswith("LevelSetRefinementd")]
    assert len(refinements) == 2
    weights = ("region_weight", "curvature_weight", "shape_weight", "edge_contrast", "clip")
    assert len({tuple(refinement[w] for w in weights) for refinement in refinements}) == 1
    assert set(weights) <= joint["train#refinement"].keys()
    for name in ("window", "spacing", "axcodes", "network_def"):
        assert train[name] == inference[name]
    assert slices.keys() <= train.keys() | inference.keys()
    of_intensity = ("ScaleIntensityRanged", "NormalizeIntensityd")
    for target in of_intensity:
        ends = [
            {key: value for key, value in step.items() if key != "keys"}
            for step in (*train["preprocessing"], *inference["preprocessing"]["transforms"])
            if step["_target_"] == target
        ]
        assert len(ends) == 2
        assert ends[0] == ends[1]
