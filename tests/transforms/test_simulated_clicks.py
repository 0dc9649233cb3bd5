"""Clicks, crops and maps of whole mini-batches, compared with those of single images."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from monai_levelset.transforms import (
    BatchAugmentation,
    ClickBoxCropd,
    ClickMapsd,
    NormalizeSlices,
    SimulatedClicks,
    batch_extreme_points,
    extreme_points,
)


def discs(*places: tuple[float, float, float], size: int = 64) -> Tensor:
    """Masks `(B, 1, size, size)` of (row, column, radius)."""
    x = torch.arange(float(size))
    return torch.stack(
        [((x[:, None] - r) ** 2 + (x - c) ** 2 <= radius**2).float()[None] for r, c, radius in places]
    )


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.floats(0.02, 0.6))
def test_extremes_lie_on_the_mask_in_its_extreme_rows_and_columns(seed: int, share: float) -> None:
    torch.manual_seed(seed)
    masks = torch.rand(4, 9, 13) < share
    points = batch_extreme_points(masks)
    for mask, four in zip(masks, points, strict=True):
        if not mask.any():
            assert four.isnan().all()
            continue
        exact = extreme_points(mask)
        assert four[:2, 0].tolist() == exact[:2, 0].tolist()
        assert four[2:, 1].tolist() == exact[2:, 1].tolist()
        assert all(mask[int(row), int(column)] for row, column in four)


def test_every_pixel_of_an_extreme_row_is_drawn_about_equally_often() -> None:
    torch.manual_seed(0)
    masks = torch.zeros(4000, 5, 6)
    masks[:, 2, 1:5] = 1
    columns = batch_extreme_points(masks)[:, 0, 1].long()
    counts = torch.bincount(columns, minlength=6)
    assert counts[[0, 5]].sum() == 0
    assert (counts[1:5] - 1000).abs().max() < 120  # 4 standard deviations


def test_jitter_is_bounded_and_stays_in_the_image() -> None:
    torch.manual_seed(0)
    masks = discs((3, 30, 5), (60, 60, 8)).repeat(50, 1, 1, 1)[:, 0]
    exact = torch.stack([extreme_points(mask) for mask in masks[:2]]).repeat(50, 1, 1)
    points = batch_extreme_points(masks, jitter=4.0)
    off_axis = (points[:, :2, 0] - exact[:, :2, 0]).abs().max()
    assert 3 < off_axis <= 4
    assert points.min() >= 0
    assert points.max() <= 63


def test_the_same_seed_gives_the_same_clicks() -> None:
    image, label = torch.rand(3, 1, 64, 64), discs((30, 30, 12), (32, 28, 9), (25, 35, 14))
    clicks = SimulatedClicks(32, augment=BatchAugmentation())
    torch.manual_seed(7)
    first = clicks(image, label)
    torch.manual_seed(7)
    again = clicks(image, label)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])


def test_a_square_is_cut_and_clicked_as_by_the_transforms_of_one_image() -> None:
    """Of a square's extreme rows any pixel may be drawn, which does not change the box."""
    label = torch.zeros(1, 1, 80, 80)
    label[..., 24:56, 30:62] = 1  # margins of 8/31 are 8 pixels
    image = torch.nn.functional.avg_pool2d(torch.rand(1, 2, 86, 86), 7, 1)
    cut = SimulatedClicks(48, margin_ratio=8 / 31, jitter=0.0, channels=[])(image, label)
    data = {"image": image[0], "label": label[0], "points": extreme_points(label[0, 0])}
    one = ClickBoxCropd(["image", "label"], 48, margin=0, margin_ratio=8 / 31, mode=["area", "nearest"])(data)
    assert torch.allclose(cut[0][0], torch.as_tensor(one["image"]), atol=1e-5)
    assert torch.equal(cut[1][0], torch.as_tensor(one["label"]))


def test_the_maps_are_those_of_the_clicks_in_the_crop() -> None:
    """A diamond has one pixel in each extreme row and column, so the clicks are known."""
    x = torch.arange(64.0) - 31
    label = ((x[:, None].abs() + x.abs()) <= 20).float()[None, None]
    made, _ = SimulatedClicks(64, margin_ratio=0.2, jitter=0.0)(torch.zeros(1, 1, 64, 64), label)
    data = {"image": torch.zeros(1, 64, 64), "points": extreme_points(label[0, 0])}
    one = ClickMapsd("image")(ClickBoxCropd("image", 64, margin=0, margin_ratio=0.2)(data))
    assert torch.allclose(made[0], torch.as_tensor(one["image"]), atol=1e-4)


def test_the_object_fills_the_same_part_of_every_crop() -> None:
    _, masks = SimulatedClicks(100, jitter=0.0)(torch.zeros(2, 1, 64, 64), discs((20, 20, 6), (32, 32, 25)))
    boxes = [13 + 2 * 0.2 * 12, 51 + 2 * 0.2 * 50]  # pixels of the discs' extents, and of the margins
    areas = discs((20, 20, 6), (32, 32, 25)).sum((1, 2, 3)).tolist()
    expected = [area / box**2 for area, box in zip(areas, boxes, strict=True)]
    assert masks.mean((1, 2, 3)).tolist() == pytest.approx(expected, rel=0.02)


def test_an_item_without_object_is_shown_whole_and_without_clicks() -> None:
    image = torch.rand(2, 1, 32, 32)
    label = torch.cat([torch.zeros(1, 1, 32, 32), discs((16, 16, 6), size=32)])
    inputs, masks = SimulatedClicks(32, jitter=0.0)(image, label)
    assert torch.allclose(inputs[0, 0], image[0, 0], atol=1e-6)
    assert inputs[0, 1:].abs().max() == 0
    assert masks[0].sum() == 0
    assert inputs[1, 1:].amax((1, 2)).min() > 0.8


def test_crops_are_normalized_each_by_itself() -> None:
    image = torch.rand(2, 3, 64, 64) * torch.tensor([1.0, 50.0])[:, None, None, None] + 7
    label = discs((32, 32, 12), (30, 34, 15))
    clicks = SimulatedClicks(32, normalize=NormalizeSlices(), jitter=0.0)
    crops = clicks(image, label)[0][:, :3]
    assert crops.mean((2, 3)).abs().max() < 1e-4
    assert torch.allclose(crops.std((2, 3)), torch.ones(2, 3), atol=0.01)


def test_what_lies_outside_the_view_is_zero() -> None:
    inputs, _ = SimulatedClicks(40, margin=20, margin_ratio=0.0, jitter=0.0, channels=[])(
        torch.ones(1, 1, 64, 64), discs((10, 32, 9))
    )
    assert inputs[0, 0, 0].abs().max() == 0
    assert inputs[0, 0, -1].min() == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"jitter": -1.0}, "`jitter` is a number of pixels, 0 or more, got -1.0"),
        ({"margin_ratio": -0.1}, "Margins are 0 or more"),
        ({"channels": ["heat"]}, "`channels` are 'heatmap' and 'confidence'"),
        ({"variant": "x"}, "`variant` must be 'zheng' or 'khan'"),
    ],
)
def test_wrong_arguments_are_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SimulatedClicks(32, **change)  # type: ignore[arg-type]


def test_labels_of_several_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="one mask per item"):
        SimulatedClicks(32)(torch.zeros(2, 1, 32, 32), torch.zeros(2, 2, 32, 32))
    with pytest.raises(ValueError, match="`masks` must be"):
        batch_extreme_points(torch.zeros(2, 1, 8, 8))
