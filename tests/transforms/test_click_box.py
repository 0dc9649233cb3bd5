"""The crop to the box of the clicks, and results put back on the image's grid."""

from __future__ import annotations

import itertools
import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import DataLoader, MetaTensor, decollate_batch
from monai.transforms import Compose, Invertd
from torch import Tensor

from monai_levelset.transforms.click_box import ClickBoxCrop, ClickBoxCropd, clamp_points, click_box
from monai_levelset.transforms.extreme_points import extreme_points

NAN = math.nan
AFFINE = torch.tensor(
    [[0.0, -1.5, 0.0, 3.0], [1.25, 0.0, 0.0, -7.0], [0.0, 0.0, 8.0, 2.0], [0.0, 0.0, 0.0, 1.0]]
).double()

coordinate = st.floats(-50, 90, width=32)
clicks = st.lists(st.tuples(coordinate, coordinate), max_size=5).map(
    lambda rows: torch.tensor(rows).reshape(-1, 2)
)


def ellipse(shape: tuple[int, int], centre: tuple[float, float], axes: tuple[float, float]) -> Tensor:
    rows, columns = (torch.arange(float(n)) for n in shape)
    down, right = (rows - centre[0]) / axes[0], (columns - centre[1]) / axes[1]
    return (down[:, None].square() + right.square() <= 1).float()


def dice(a: Tensor, b: Tensor) -> float:
    return float(2 * (a * b).sum() / (a.sum() + b.sum()))


def test_box_of_a_mask_is_its_bounding_box() -> None:
    mask = ellipse((40, 50), (18, 22), (9, 13))
    assert click_box(extreme_points(mask), (40, 50), margin=0) == ((9, 28), (9, 36))
    assert click_box(extreme_points(mask), (40, 50)) == ((-41, 78), (-41, 86))


@given(clicks, st.integers(0, 20), st.integers(1, 30))
def test_box_holds_every_point_with_its_margin(points: Tensor, margin: int, min_size: int) -> None:
    shape = (40, 60)
    (top, bottom), (left, right) = click_box(points, shape, margin=margin, min_size=min_size)
    if len(points) == 0:
        assert (top, bottom, left, right) == (0, 40, 0, 60)
        return
    assert min(bottom - top, right - left) >= min_size
    inside = clamp_points(points, shape)
    low, high = inside.amin(0) - margin, inside.amax(0) + margin
    assert top <= low[0]
    assert left <= low[1]
    assert bottom - 1 >= high[0]
    assert right - 1 >= high[1]
    assert bottom - top <= max(min_size, math.ceil(high[0] - low[0]) + 2)


def test_one_repeated_or_collinear_points_have_a_box_of_the_least_size() -> None:
    one = torch.tensor([[5.0, 7.0]])
    assert click_box(one, (20, 20), margin=0, min_size=4) == ((4, 8), (6, 10))
    assert click_box(one.repeat(4, 1), (20, 20), margin=0, min_size=4) == ((4, 8), (6, 10))
    line = torch.tensor([[5.0, 2.0], [5.0, 18.0]])
    assert click_box(line, (20, 20), margin=0, min_size=4) == ((4, 8), (2, 19))
    assert click_box(one, (20, 20), margin=1, min_size=1) == ((4, 7), (6, 9))


def test_points_that_are_missing_do_not_count() -> None:
    points = torch.tensor([[NAN, NAN], [4.0, 9.0], [math.inf, 3.0], [8.0, NAN]])
    assert click_box(points, (20, 20), margin=2, min_size=1) == ((2, 7), (7, 12))
    for nothing in (torch.full((4, 2), NAN), torch.zeros(0, 2)):
        assert click_box(nothing, (20, 30), margin=2) == ((0, 20), (0, 30))


def test_points_outside_count_as_the_nearest_pixel_without_a_warning() -> None:
    points = torch.tensor([[-9.0, 5.0], [40.0, 99.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert click_box(points, (20, 30), margin=0) == ((0, 20), (5, 30))
        data = ClickBoxCropd("image", (20, 25), margin=0)({"image": torch.rand(1, 20, 30), "points": points})
    assert data["points"].tolist() == [[0, 0], [19, 24]]


@given(st.integers(0, 5), st.integers(0, 5), st.integers(0, 9))
@settings(max_examples=20)
def test_the_crop_moves_and_flips_with_the_image(down: int, right: int, margin: int) -> None:
    image = torch.zeros(1, 40, 44)
    image[0, 12:25, 9:30] = torch.rand(13, 21)
    points = extreme_points(image[0])
    crop = ClickBoxCrop((24, 20), margin=margin)
    part = crop(image, points)
    moved = crop(image.roll((down, right), (1, 2)), points + torch.tensor([down, right]))
    assert torch.equal(torch.as_tensor(part), torch.as_tensor(moved))
    flipped = crop(image.flip(2), torch.tensor([0.0, 43.0]) + points * torch.tensor([1.0, -1.0]))
    torch.testing.assert_close(flipped.as_tensor(), part.as_tensor().flip(2))


@given(clicks, st.integers(0, 12))
@settings(max_examples=30)
def test_crop_and_inverse_without_resize_return_the_mask_exactly(points: Tensor, margin: int) -> None:
    mask = (torch.rand(1, 21, 17) > 0.5).long()
    (top, bottom), (left, right) = click_box(points, (21, 17), margin=margin)
    crop = ClickBoxCrop((bottom - top, right - left), margin=margin)
    for mode in ("area", "nearest"):
        back = crop.inverse(crop(MetaTensor(mask, affine=AFFINE), points, mode)).as_tensor()
        inside = torch.zeros_like(mask)
        inside[:, max(top, 0) : bottom, max(left, 0) : right] = 1
        assert torch.equal(back.long(), mask * inside)
        assert mode == "area" or back.dtype == mask.dtype


@pytest.mark.parametrize("size", [64, 100, (256, 128), 512])
@pytest.mark.parametrize("nearest", [True, False])
def test_a_prediction_comes_back_on_the_grid_of_the_image(size: int | tuple[int, int], nearest: bool) -> None:
    truth = ellipse((120, 90), (40, 30), (25, 22))
    image = MetaTensor(torch.rand(1, 120, 90), affine=AFFINE)
    forward = Compose([ClickBoxCropd(["image", "label"], size, mode=["area", "nearest"], margin=10)])
    label = MetaTensor(truth[None], affine=AFFINE)
    data = forward({"image": image, "label": label, "points": extreme_points(truth)})
    data["pred"] = MetaTensor(data["label"].as_tensor())
    back = Invertd("pred", forward, orig_keys="image", nearest_interp=nearest, to_tensor=True)(data)["pred"]
    assert back.shape == image.shape
    torch.testing.assert_close(back.affine, AFFINE)
    if nearest:
        assert set(back.unique().tolist()) == {0.0, 1.0}
    assert dice((back.as_tensor()[0] > 0.5).float(), truth) > 0.97


def test_large_crops_come_back_without_any_change() -> None:
    truth = ellipse((60, 50), (30, 25), (12, 9))
    forward = Compose([ClickBoxCropd("label", 256, mode="nearest", margin=10)])
    data = forward({"label": MetaTensor(truth[None]), "points": extreme_points(truth)})
    assert torch.equal(forward.inverse(data)["label"].as_tensor()[0], truth)


@given(clicks, st.integers(5, 50), st.integers(5, 50), st.integers(0, 20))
@settings(max_examples=30)
def test_points_keep_their_place_in_the_world_and_come_back(
    points: Tensor, height: int, width: int, margin: int
) -> None:
    image = MetaTensor(torch.rand(1, 40, 60), affine=AFFINE)
    crop = ClickBoxCropd("image", (height, width), margin=margin)
    data = crop({"image": image, "points": points})

    def world(affine: Tensor, voxels: Tensor) -> Tensor:
        return voxels.double() @ affine[:2, :2].T + affine[:2, 3]

    inside = clamp_points(points, (40, 60))
    torch.testing.assert_close(
        world(data["image"].affine, data["points"]), world(AFFINE, inside), atol=1e-3, rtol=0
    )
    back = crop.inverse(data)
    torch.testing.assert_close(back["points"], inside, atol=1e-4, rtol=0)
    torch.testing.assert_close(back["image"].affine, AFFINE)


def test_a_bright_pixel_stays_under_its_point() -> None:
    for row, column in itertools.product((3, 20, 38), (0, 31, 59)):
        image = torch.zeros(1, 40, 60)
        image[0, row, column] = 1
        data = ClickBoxCropd("image", 150, margin=15)(
            {"image": image, "points": torch.tensor([[row, column]])}
        )
        brightest = (data["image"].as_tensor()[0] == data["image"].max()).nonzero().float().mean(0)
        assert (brightest - data["points"][0]).abs().max() <= 0.5


def test_what_is_outside_the_image_is_padded() -> None:
    image, points = torch.ones(1, 10, 10), torch.tensor([[0.0, 0.0]])
    crop = ClickBoxCrop(9, margin=4, min_size=1)
    assert crop(image, points)[0, :4].abs().max() == 0
    assert crop(image, points)[0, 4:, 4:].min() == 1
    assert ClickBoxCrop(9, margin=4, min_size=1, padding_mode="edge")(image, points).min() == 1


def test_batches_are_inverted_after_decollation() -> None:
    truths = [ellipse((50, 60), (20 + k, 30), (12, 9 + k)) for k in range(2)]
    forward = Compose([ClickBoxCropd("label", 128, mode="nearest", margin=10)])
    items = [forward({"label": MetaTensor(t[None]), "points": extreme_points(t)}) for t in truths]
    batch = next(iter(DataLoader(items, batch_size=2, num_workers=0)))
    for item, truth in zip(decollate_batch(batch), truths, strict=True):
        assert dice(forward.inverse(item)["label"].as_tensor()[0], truth) == 1


def test_refused_arguments() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        ClickBoxCrop(32, margin=-1)
    with pytest.raises(ValueError, match="1 or more"):
        ClickBoxCrop((32, 0))
    with pytest.raises(ValueError, match="'area' or 'nearest'"):
        ClickBoxCropd("image", 32, mode="bilinear")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"slice \(C, H, W\)"):
        ClickBoxCrop(32)(torch.rand(1, 4, 4, 4), torch.zeros(4, 2))
    with pytest.raises(ValueError, match=r"\(N, 2\)"):
        click_box(torch.zeros(4, 3), (8, 8))
    data = {"image": torch.rand(1, 9, 9), "label": torch.rand(1, 9, 8), "points": torch.zeros(4, 2)}
    with pytest.raises(ValueError, match="one size"):
        ClickBoxCropd(["image", "label"], 32)(data)
