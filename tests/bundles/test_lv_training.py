"""The left-ventricle bundle's training and evaluation through the real command line."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from monai_levelset.data.checkpoints import check_checkpoint
from monai_levelset.networks import ShallowFCN

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
from .lv import LV_BUNDLE


def test_training_from_the_bundles_folder(
    lv_trained: Path, lv_training: subprocess.CompletedProcess[str]
) -> None:
    losses = progress(lv_training.stderr)
    assert len(losses) == 60
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])
    assert {path.name for path in (lv_trained / "models").iterdir()} == {"model.pt", "shape_prior.pt"}
    check_checkpoint(lv_trained / "models/model.pt", ShallowFCN())
    prior = torch.load(lv_trained / "models/shape_prior.pt", weights_only=True)
    assert prior.shape[1:] == (1, 72, 72)
    assert (lv_trained / "eval/checkpoint.pt").is_file()


def test_evaluation_scores_what_inference_writes(lv_trained: Path, lv_data: Path, tmp_path: Path) -> None:
    run_workflow(
        lv_trained, "train", "evaluate", run_id="evaluating", dataset_dir=lv_data, output_dir=tmp_path
    )
    test = json.loads((lv_data / "datalist.json").read_text())["test"]
    run_workflow(
        *(lv_trained, "inference"),
        dataset_dir=lv_data,
        datalist=[str(lv_data / item["image"]) for item in test],
        output_dir=tmp_path / "out",
    )
    metrics = ("val_mean_dice", "val_mean_iou")
    rows = {name: read_csv(tmp_path / f"{name}_raw.csv")[1:] for name in metrics}
    scores = {name: {row[0]: float(row[1]) for row in rows[name]} for name in metrics}
    for item in test:
        expected = dice(read_png(tmp_path / "out" / item["image"]), read_png(lv_data / item["label"]))
        assert scores["val_mean_dice"][item["id"]] == pytest.approx(expected, abs=1e-5)
        assert scores["val_mean_iou"][item["id"]] == pytest.approx(expected / (2 - expected), abs=1e-5)
        assert expected > 0.7
    means = dict(read_csv(tmp_path / "metrics.csv"))
    assert set(means) == set(scores)
    for name, value in means.items():
        assert float(value) == pytest.approx(np.mean(list(scores[name].values())), abs=1e-5)


def test_two_processes_train_as_one(lv_data: Path, tmp_path: Path) -> None:
    """Also: training from the repository's root."""
    settings = ["--dataset_dir", lv_data, "--max_updates", "12", "--val_interval", "6", "--log_interval", "1"]
    for processes, names in ((1, ["train"]), (2, ["train", "multi_gpu_train"])):
        out = tmp_path / str(processes)
        launcher = (
            [] if processes == 1 else ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
        )
        done = monai_bundle(
            *("run", "training", "--bundle_root", LV_BUNDLE.relative_to(ROOT)),
            *("--config_file", config_files(LV_BUNDLE.relative_to(ROOT), *names), *settings),
            *("--ckpt_dir", out / "models", "--output_dir", out / "eval"),
            launcher=launcher,
        )
        assert done.returncode == 0, done.stderr
        processes_that_log = {path.name.split(".")[-2] for path in (out / "eval").glob("events.*")}
        assert len(processes_that_log) == 1
        assert len(progress(done.stderr)) == 12
    losses = [scalars(tmp_path / str(n) / "eval", "loss") for n in (1, 2)]
    assert len(losses[0]) == 12
    np.testing.assert_allclose(losses[1], losses[0], atol=1e-4)
    metrics = [scalars(tmp_path / str(n) / "eval", "val_mean_dice") for n in (1, 2)]
    assert len(metrics[0]) == 2
    np.testing.assert_allclose(metrics[1], metrics[0], atol=1e-3)
    states = [torch.load(tmp_path / str(n) / "models/model.pt", weights_only=True) for n in (1, 2)]
    assert list(states[0]) == list(states[1])


def test_configurations_agree() -> None:
    """Training, evaluation and inference name the same level set and the same sizes."""
    train, joint, evaluate, inference = (
        json.loads((LV_BUNDLE / f"configs/{name}.json").read_text())
        for name in ("train", "joint", "evaluate", "inference")
    )
    weights = ("region_weight", "curvature_weight", "shape_weight")
    steps = [*evaluate["validate#postprocessing#transforms"], *inference["postprocessing"]["transforms"]]
    refinements = [step for step in steps if step["_target_"].endswith("LevelSetRefinementd")]
    assert len(refinements) == 2
    for refinement in refinements:
        assert [refinement[w] for w in weights] == [joint["train#refinement"][w] for w in weights]
    for name in ("field_size", "roi_size", "network_def"):
        assert train[name] == inference[name]
