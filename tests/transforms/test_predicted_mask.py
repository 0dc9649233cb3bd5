"""Regions that a network finds, what lies inside them, and what a loss measures there."""

from __future__ import annotations

from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from monai.data import MetaTensor
from scipy import ndimage
from torch import nn

from monai_levelset.data import DataError
from monai_levelset.data.cache_folders import describe
from monai_levelset.losses import MumfordShahLoss
from monai_levelset.transforms import (
    BatchAugmentation,
    InsideRegion,
    MaskedAugmentation,
    PredictedMaskd,
    main_region,
)
from monai_levelset.transforms.predicted_mask import FLOOR, dilated, window_around


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_main_region_is_the_largest_part_without_holes(seed: int) -> None:
    mask = np.random.default_rng(seed).random((7, 6, 4)) > 0.6
    region = main_region(mask)
    parts, count = ndimage.label(mask)
    sizes = [(parts == k + 1).sum() for k in range(count)]
    inside = [k for k in range(count) if (region & (parts == k + 1)).sum() == sizes[k]]
    assert max(sizes) in [sizes[k] for k in inside]
    for k in range(4):
        assert np.array_equal(region[..., k], ndimage.binary_fill_holes(region[..., k]))
    assert np.array_equal(main_region(region), region)


def test_regions_of_nothing_and_margins() -> None:
    empty = np.zeros((4, 5, 2), bool)
    assert not main_region(empty).any()
    assert not dilated(empty, 2).any()
    point = np.zeros((7, 7, 3), bool)
    point[3, 3, 1] = True
    assert [int(dilated(point, n).sum()) for n in (0, 1, 2)] == [1, 5, 13]
    assert not dilated(point, 2)[..., [0, 2]].any()


@given(st.integers(0, 10_000), st.tuples(st.integers(1, 8), st.integers(1, 9)))
@settings(max_examples=40, deadline=None)
def test_windows_lie_inside_the_image_and_hold_the_region(seed: int, size: tuple[int, int]) -> None:
    random = np.random.default_rng(seed)
    region = random.random((8, 9, 2)) > random.uniform(0.5, 1)
    for whole in (True, False):
        rows, columns = window_around(region, size, whole=whole)
        cut = region[rows, columns]
        assert cut.shape[0] >= size[0]
        assert cut.shape[1] >= size[1]
        if whole:
            assert cut.sum() == region.sum()
        else:
            assert cut.shape[:2] == size


def test_a_window_larger_than_the_image() -> None:
    with pytest.raises(ValueError, match=r"a window of \(9, 4\) exceeds"):
        window_around(np.zeros((8, 8, 2), bool), (9, 4))


def threshold_network(folder: Path, threshold: float, name: str = "model.pt") -> tuple[nn.Module, Path]:
    """A network whose object is what exceeds a threshold, and its file."""
    network = nn.Conv2d(1, 2, 1)
    weight = torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1)
    network.load_state_dict({"weight": weight, "bias": torch.tensor([threshold, 0.0])})
    torch.save(network.state_dict(), folder / name)
    return nn.Conv2d(1, 2, 1), folder / name


def test_predicted_mask(tmp_path: Path) -> None:
    network, file = threshold_network(tmp_path, 0.5)
    image = torch.full((1, 10, 10, 3), 0.2)
    image[:, 2:6, 2:7] = 0.9
    image[:, 3, 3] = 0.0  # a hole, darker than anything: still inside
    image[:, 8:, 8:] = 0.8
    label = torch.arange(300.0).reshape(1, 10, 10, 3)
    before = {name: values.clone() for name, values in network.state_dict().items()}
    options = {"stack": 1, "window": (6, 8), "label_key": "label"}
    given = {"image": MetaTensor(image, meta={"filename_or_obj": "a"}), "label": label}
    made = PredictedMaskd("image", network, file, **options)(given)
    assert isinstance(made["image"], MetaTensor)
    assert made["image"].meta["filename_or_obj"] == "a"
    assert made["image"].shape == made["label"].shape == (1, 6, 8, 3)
    assert int((made["image"] > 0).sum()) == 4 * 5 * 3
    assert float(made["image"][made["image"] > 0].min()) == pytest.approx(FLOOR)
    assert torch.equal(made["label"], label[:, 1:7, 0:8])
    assert torch.equal(given["label"], label)
    assert all(torch.equal(before[name], values) for name, values in network.state_dict().items())
    assert "label" not in PredictedMaskd("image", network, file, **options)({"image": image})


def test_nothing_is_found(tmp_path: Path) -> None:
    network, file = threshold_network(tmp_path, 0.5)
    made = PredictedMaskd("image", network, file, stack=1, window=(4, 4))({"image": torch.zeros(1, 8, 8, 2)})
    assert made["image"].shape == (1, 4, 4, 2)
    assert not made["image"].any()


def test_other_weights_are_another_transform(tmp_path: Path) -> None:
    one, other = (threshold_network(tmp_path, t, f"{t}.pt") for t in (0.5, 0.6))
    keys = [describe(PredictedMaskd("image", *pair, stack=1)) for pair in (one, one, other)]
    assert keys[0] == keys[1] != keys[2]
    assert describe(PredictedMaskd("image", *one, stack=1, margin=1)) != keys[0]


def test_weights_are_checked(tmp_path: Path) -> None:
    network, file = threshold_network(tmp_path, 0.5)
    with pytest.raises(DataError, match="the checkpoint does not exist"):
        PredictedMaskd("image", network, tmp_path / "none.pt")
    with pytest.raises(DataError, match="belongs to another network"):
        PredictedMaskd("image", nn.Conv2d(3, 2, 1), file)


def test_what_is_measured_inside() -> None:
    image = torch.zeros(2, 3, 9, 9)
    image[0, 1, 1:8, 1:8] = 0.5
    image[0, 1, 4, 4], image[0, 1, 3, 3] = 0.3, 0.9
    measured = InsideRegion(3, erosion=1, window=(-0.12, 0.05))(image)
    assert measured.shape == (2, 1, 9, 9)
    assert int((~measured.isnan()).sum()) == 25
    assert measured[0, 0, 4, 4] == pytest.approx(-0.12)
    assert measured[0, 0, 3, 3] == pytest.approx(0.05)
    assert measured[0, 0, 5, 5] == 0
    assert measured[1].isnan().all()


def test_augmentation_blends_nothing_from_outside() -> None:
    """A constant region stays constant, and the loss of a slice without region is 0."""
    torch.manual_seed(0)
    image = torch.zeros(3, 3, 32, 32)
    image[:2, :, 8:24, 6:20] = 0.7
    measured = InsideRegion(3, erosion=0)(image)
    _, moved = BatchAugmentation(noise=0.1)(image, measured)
    values = moved[~moved.isnan()]
    assert len(values) > 100
    assert float(values.abs().max()) == 0
    loss = MumfordShahLoss(softmax=True, per_voxel=True, over_batch=True, ignore_value=float("nan"))
    scores = torch.randn(3, 2, 32, 32, requires_grad=True)
    loss(scores, moved).backward()
    assert scores.grad is not None
    assert bool(scores.grad.isfinite().all())
    assert not scores.grad[2].any()


def test_augmented_images_are_zero_outside_and_positive_inside() -> None:
    torch.manual_seed(0)
    image = torch.zeros(4, 3, 32, 32)
    image[:, :, 8:24, 6:20] = 0.3
    label = torch.zeros(4, 2, 32, 32)
    label[:, 1, 8:24, 6:20] = 1
    moved, warped = MaskedAugmentation(BatchAugmentation(shade=0.5, contrast=1.0, noise=1.0))(image, label)
    assert warped.shape == label.shape
    inside = warped[:, 1:].expand_as(moved)
    assert not moved[inside < 0.49].any()
    assert bool((moved[inside > 0.51] >= FLOOR).all())
    assert float(moved[inside > 0.9].std()) > 0.1
