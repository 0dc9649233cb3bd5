"""The label-free bundle on MRI: tissues under a known bias field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.optimize import linear_sum_assignment

from monai_levelset.losses import MumfordShahLoss
from monai_levelset.per_image import PerImageOptimizer

from .common import Array, run_workflow
from .natural import NATURAL_BUNDLE

SHAPE = (48, 44, 6)
QUICK: dict[str, Any] = {
    "size": 48,
    "roi_size": [44, 44],
    "network_def#channels": [8, 16, 32],
    "max_updates": 60,
    "val_interval": 30,
    "log_interval": 50,
    "learning_rate": 0.004,
}


def head(seed: int) -> tuple[Array, Array]:
    """Three tissues in an ellipse, half as bright again on one side as on the other; and their labels."""
    rng = np.random.default_rng(seed)
    x, y, _ = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    folds = gaussian_filter(rng.standard_normal(SHAPE), (4, 4, 1.5))
    label = 1 + (folds > np.quantile(folds, 0.35)) + (folds > np.quantile(folds, 0.7))
    label[x**2 + y**2 > 0.85] = 0
    angle = rng.uniform(0, 2 * np.pi)
    bias = np.exp(0.5 * (np.cos(angle) * x + np.sin(angle) * y))
    image = np.array([0, 200, 450, 800])[label] * bias + rng.normal(0, 12, SHAPE)
    return (image.clip(1) * (label > 0)).astype(np.int16), label.astype(np.uint8)


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heads")
    for number in range(8):
        nib.save(nib.Nifti1Image(head(number)[0], np.eye(4)), folder / f"head{number}.nii.gz")
    items = [{"image": f"head{number}.nii.gz"} for number in range(8)]
    content = {"training": items[:6], "validation": items[6:7], "test": items[7:]}
    (folder / "datalist.json").write_text(json.dumps(content))
    return folder


def agreement(found: Array, truth: Array) -> float:
    """Part of the brain in its right class, the classes being matched as well as possible."""
    counts = np.zeros((3, 3))
    np.add.at(counts, (found[truth > 0] - 1, truth[truth > 0] - 1), 1)
    return float(counts[linear_sum_assignment(-counts)].sum() / counts.sum())


def test_training_and_inference_of_volumes(heads: Path, tmp_path: Path) -> None:
    run_workflow(
        *(NATURAL_BUNDLE, "train", "brain_mri"),
        run_id="training",
        **{**QUICK, "dataset_dir": heads, "ckpt_dir": tmp_path, "output_dir": tmp_path / "eval"},
    )
    run_workflow(
        *(NATURAL_BUNDLE, "inference", "brain_mri_inference"),
        **{"dataset_dir": heads, "network_def#channels": QUICK["network_def#channels"]},
        checkpoint=tmp_path / "brain_mri.pt",
        output_dir=tmp_path / "found",
        datalist=[str(heads / "head7.nii.gz")],
    )
    found = np.asarray(nib.load(tmp_path / "found/head7.nii.gz").dataobj)
    truth = head(7)[1]
    assert not found[truth == 0].any()
    assert agreement(found, truth) > 0.5


def test_a_bias_field_finds_the_tissues_better() -> None:
    """Optimised on one slice each, under a brightness that changes by a factor of e across the head."""
    scores = {}
    for bias_field in (True, False):
        loss = MumfordShahLoss(
            softmax=True, per_voxel=True, reduction="mean", tv_weight=0.002, ignore_value=0,
            bias_field=bias_field,
        )  # fmt: skip
        optimize = PerImageOptimizer(
            classes=3, width=16, steps=200, min_labels=1, superpixel_weight=0, loss=loss, beta=100
        )
        found = []
        for seed in range(2):
            image, label = head(seed)
            scaled = torch.from_numpy(image[None, None, ..., 3].astype(np.float32) / 1300)
            found.append(agreement(optimize(scaled)[0, :3].argmax(0).numpy() + 1, label[..., 3]))
        scores[bias_field] = float(np.mean(found))
    assert scores[True] > 0.85
    assert scores[True] > scores[False] + 0.04
