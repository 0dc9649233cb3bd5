"""A crop of every clicked object, and predictions back on the image's grid."""

from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import DataLoader, Dataset, MetaTensor, decollate_batch
from monai.transforms import Compose, Invertd, SelectItemsd
from torch import Tensor

from monai_levelset.transforms.axial_orientation import AxialOrientationd
from monai_levelset.transforms.click_box import ClickBoxCrop, ClickBoxCropd
from monai_levelset.transforms.click_maps import ClickMapsd
from monai_levelset.transforms.click_points import ClickPointsd
from monai_levelset.transforms.click_slices import ClickSlices, ClickSlicesd

NAN = math.nan
FOUR = torch.tensor([[4.0, 11.0], [19.0, 12.5], [10.0, 2.0], [11.0, 20.0]])
AFFINE = torch.diag(torch.tensor([0.5, 0.7, 4.0, 1.0], dtype=torch.float64))
BOX: dict[str, Any] = {"margin": 1, "margin_ratio": 0.2, "min_size": 4}


def volume_points(slices: int, clicked: dict[int, Tensor]) -> Tensor:
    points = torch.full((slices, 4, 2), NAN)
    for k, four in clicked.items():
        points[k] = four
    return points


def image(*shape: int) -> MetaTensor:
    values = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    return MetaTensor(values, affine=AFFINE, meta={"filename_or_obj": "a.nii", "original_affine": AFFINE})


def test_a_picture_is_cropped_as_by_the_click_box() -> None:
    picture = image(3, 24, 26)
    data = {"image": picture, "points": FOUR}
    cut = ClickSlicesd("image", (20, 30), **BOX)(data)
    single = ClickBoxCropd("image", (20, 30), **BOX)(data)
    assert torch.equal(cut["image"].as_tensor(), single["image"].as_tensor()[..., None])
    assert torch.equal(cut["points"], single["points"][None])
    assert picture.applied_operations == []
    assert torch.equal(cut["image"].affine, AFFINE)
    assert cut["image"].meta["filename_or_obj"] == "a.nii"


def test_one_crop_per_structure_and_slice_in_order() -> None:
    volume = image(1, 24, 26, 5)
    moved = FOUR + torch.tensor([2.0, 3.0])
    points = torch.stack([volume_points(5, {1: FOUR, 3: moved}), volume_points(5, {1: moved})])
    data = ClickSlicesd("image", 20, **BOX)({"image": volume, "points": points})
    crop = ClickBoxCrop(20, **BOX)
    expected = [crop(volume[..., k], p).as_tensor() for k, p in ((1, FOUR), (3, moved), (1, moved))]
    assert torch.equal(data["image"].as_tensor(), torch.stack(expected, -1))
    assert data["points"].shape == (3, 4, 2)
    assert torch.equal(data["points"][1], data["points"][2])


def test_predictions_are_put_back_where_they_belong() -> None:
    volume = image(2, 24, 26, 5)
    moved = FOUR + torch.tensor([2.0, 3.0])
    points = torch.stack([volume_points(5, {1: FOUR, 3: moved}), volume_points(5, {1: moved})])
    cut = ClickSlices((20, 30), **BOX)
    crops = cut(volume, points)
    prediction = MetaTensor(torch.rand(1, 20, 30, 3)).copy_meta_from(crops)
    values = prediction.as_tensor().clone()
    back = cut.inverse(prediction)
    assert back.shape == (2, 24, 26, 5)
    assert back.applied_operations == []
    crop = ClickBoxCrop((20, 30), **BOX)
    expected = torch.zeros(2, 24, 26, 5)
    for n, (structure, k, p) in enumerate([(0, 1, FOUR), (0, 3, moved), (1, 1, moved)]):
        part = crop(image(1, 24, 26), p)
        expected[structure, ..., k] = crop.inverse(part * 0 + values[..., n])[0]
    assert torch.equal(back.as_tensor(), expected)


@pytest.mark.parametrize("shape", [(24, 26), (24, 26, 3)])
@pytest.mark.parametrize("structures", [None, 1, 2])
def test_shapes(shape: tuple[int, ...], structures: int | None) -> None:
    points = FOUR if len(shape) == 2 else FOUR.expand(3, 4, 2)
    points = points if structures is None else points.expand(structures, *points.shape)
    cut = ClickSlices(16)
    crops = cut(image(3, *shape), points)
    number = (structures or 1) * (1 if len(shape) == 2 else 3)
    assert crops.shape == (3, 16, 16, number)
    assert cut.points(points, (3, *shape)).shape == (number, 4, 2)
    assert cut.inverse(crops[:1]).shape == (structures or 1, *shape)


@pytest.mark.parametrize("missing", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(24, 26), (24, 26, 3)])
def test_without_four_clicks_the_result_is_empty(missing: int, shape: tuple[int, ...]) -> None:
    points = FOUR.clone()
    points[:missing] = NAN
    points = points if len(shape) == 2 else volume_points(3, {1: points})
    data = {"image": image(1, *shape), "points": points}
    cut = ClickSlicesd("image", 16)
    crops = cut(data)
    assert crops["image"].shape == (1, 16, 16, 1)
    assert crops["image"].isfinite().all()
    assert crops["points"].isnan().all()
    assert crops["points"].shape == (1, 4, 2)
    back = cut.inverse({"image": crops["image"] * 0 + 1})["image"]
    assert back.shape == (1, *shape)
    assert not back.any()


def test_other_slices_are_segmented_where_clicks_are_missing() -> None:
    three = FOUR.clone()
    three[2] = NAN
    points = volume_points(4, {0: three, 2: FOUR})
    cut = ClickSlices(16, **BOX)
    back = cut.inverse(cut(image(1, 24, 26, 4), points) * 0 + 1)
    assert back.flatten(1, 2).any(1).tolist() == [[False, False, True, False]]


def test_the_log_says_where_clicks_are_missing(caplog: pytest.LogCaptureFixture) -> None:
    """In the file's own slices, here the ninth to first along its second axis."""
    affine = np.array([[0.0, 0, 1, 0], [1, 0, 0, 0], [0, -4, 0, 32], [0, 0, 0, 1]])
    volume = MetaTensor(torch.rand(1, 24, 9, 26), affine=affine)
    volume.meta |= {"original_affine": affine.copy(), "filename_or_obj": "scan.nii"}
    clicks = [[10, 2, 3], [10, 2, 20], [4, 5, 8], [20, 5, 8], [12, 5, 2]]
    forward = Compose(
        [AxialOrientationd("image", "PLS"), ClickPointsd(structures=["a", "b"]), ClickSlicesd("image", 16)]
    )
    forward({"image": volume, "foreground": {"b": clicks}})
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    text = record.getMessage()
    assert text.startswith("scan.nii: no result where not all four were clicked: ")
    assert "1 click is missing (structure 2, slice 5 along the file's axis 1)" in text
    assert "2 clicks are missing (structure 2, slice 2 along the file's axis 1)" in text


def test_the_log_of_a_picture_and_of_no_clicks(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    points = FOUR.clone()
    points[1:] = NAN
    ClickSlicesd("image", 16)({"image": image(1, 24, 26), "points": points})
    ClickSlicesd("image", 16)({"image": image(1, 24, 26), "points": points * NAN})
    ClickSlicesd("image", 16)({"image": image(1, 24, 26), "points": FOUR})
    first, second = caplog.records
    assert "3 clicks are missing (beside [4.0, 11.0])" in first.getMessage()
    assert (second.levelno, second.getMessage()) == (
        logging.INFO,
        "a.nii: nothing was clicked, so nothing is segmented",
    )


@given(
    st.lists(st.tuples(st.floats(-9, 40, width=32), st.floats(-9, 40, width=32)), min_size=4, max_size=4),
    st.integers(0, 5),
    st.integers(0, 3),
)
@settings(max_examples=40)
def test_without_resizing_a_mask_comes_back_exactly(
    clicks: list[tuple[float, float]], margin: int, k: int
) -> None:
    points = volume_points(4, {k: torch.tensor(clicks)})
    shape = (21, 17)
    (top, bottom), (left, right) = ClickBoxCrop(1, margin=margin, min_size=1).box(points[k], shape)
    cut = ClickSlices((bottom - top, right - left), margin=margin, min_size=1)
    mask = MetaTensor((torch.rand(1, *shape, 4) > 0.5).float())
    expected = torch.zeros_like(mask.as_tensor())
    inside = (slice(None), slice(max(top, 0), bottom), slice(max(left, 0), right), k)
    expected[inside] = mask.as_tensor()[inside]
    assert torch.equal(cut.inverse(cut(mask, points)).as_tensor(), expected)


@pytest.mark.parametrize("nearest", [True, False])
def test_through_a_loader_and_inverted(nearest: bool) -> None:
    """As a bundle does it: orientation, points, crops, maps, batch, prediction, the file's grid."""
    affine = np.array([[0.0, 0, -1, 9], [-1.5, 0, 0, 3], [0, 4, 0, 0], [0, 0, 0, 1]])
    x, k, y = np.ogrid[:30, :5, :28]
    mask = ((x - 14) ** 2 / 9**2 + (y - 12) ** 2 / 7**2 <= 1) & (k > 0)
    volume = MetaTensor(torch.from_numpy(mask[None]).float(), affine=affine)
    volume.meta["original_affine"] = affine.copy()
    clicks = [[5, k, 12] for k in (1, 3)] + [[23, k, 12] for k in (1, 3)]
    clicks += [[14, k, 5] for k in (1, 3)] + [[14, k, 19] for k in (1, 3)]
    forward = Compose(
        [
            AxialOrientationd("image", "PLS"),
            ClickPointsd(),
            ClickSlicesd("image", 64, margin=0, margin_ratio=0.2),
            ClickMapsd("image"),
        ]
    )
    items = [{"image": volume, "foreground": clicks}]
    (batch,) = DataLoader(Dataset(items, Compose([forward, SelectItemsd("image")])), batch_size=1)
    assert batch["image"].shape == (1, 3, 64, 64, 2)
    batch["pred"] = (batch["image"][:, :1] > 0.5).float() if nearest else batch["image"][:, :1]
    (item,) = decollate_batch(batch)
    back = Invertd("pred", forward, orig_keys="image", nearest_interp=nearest, to_tensor=True)(item)["pred"]
    assert back.shape == volume.shape
    torch.testing.assert_close(back.affine, torch.from_numpy(affine))
    expected = mask & np.isin(k, (1, 3))
    assert ((back[0].numpy() > 0.5) != expected).mean() < 0.003
    assert not nearest or set(back.unique().tolist()) == {0.0, 1.0}


def test_further_points_go_along_and_the_scale_is_told() -> None:
    volume = image(1, 24, 26, 5)
    points = volume_points(5, {1: FOUR, 3: FOUR})
    contour, background = torch.full((5, 2, 2), NAN), torch.full((5, 3, 2), NAN)
    contour[3, :] = torch.tensor([[6.0, 5.0], [-9.0, 12.0]])
    background[1, 0], background[3] = torch.tensor([15.0, 9.0]), torch.tensor([[0.0, 0], [24, 3], [9, -0.6]])
    data = {"image": volume, "points": points, "contour_points": contour, "background_points": background}
    cut = ClickSlicesd("image", (20, 40), **BOX)(data)
    (top, bottom), (left, right) = ClickBoxCrop(20, **BOX).box(FOUR, (24, 26))
    scale = torch.tensor([20 / (bottom - top), 40 / (right - left)])
    offset = (0.5 - torch.tensor([top, left])) * scale - 0.5
    torch.testing.assert_close(cut["crop_scale"], torch.stack([scale, scale]))
    assert cut["contour_points"][0].isnan().all()
    inside = torch.tensor([[6.0, 5.0], [0.0, 12.0]])  # a click outside is moved to the image's border
    torch.testing.assert_close(cut["contour_points"][1], inside * scale + offset)
    outside = torch.full((2, 3, 2), NAN)  # a background click outside the image is dropped
    outside[0, 0], outside[1, 0] = torch.tensor([15.0, 9.0]), torch.tensor([0.0, 0.0])
    torch.testing.assert_close(cut["background_points"], outside * scale + offset, equal_nan=True)


def test_plain_tensors_and_several_keys() -> None:
    pair = {"a": torch.rand(1, 24, 26), "b": torch.rand(3, 24, 26), "points": FOUR}
    data = ClickSlicesd(["a", "b"], 16)(pair)
    assert type(data["a"]) is Tensor
    assert (data["a"].shape, data["b"].shape) == ((1, 16, 16, 1), (3, 16, 16, 1))
    assert torch.equal(data["points"], ClickSlicesd("a", 16)(pair)["points"])


def test_refused_arguments() -> None:
    with pytest.raises(ValueError, match="size is 1 or more"):
        ClickSlices(0)
    with pytest.raises(ValueError, match=r"\(C, H, W\) or \(C, H, W, D\), got shape \(24, 26\)"):
        ClickSlices(16)(torch.rand(24, 26), FOUR)
    with pytest.raises(ValueError, match=r"must be \(5, 4, 2\) or \(K, 5, 4, 2\), got shape \(4, 4, 2\)"):
        ClickSlices(16)(torch.rand(1, 24, 26, 5), FOUR.expand(4, 4, 2))
    with pytest.raises(ValueError, match=r"must be \(4, 2\) or \(K, 4, 2\), got shape \(2, 2\)"):
        ClickSlices(16)(torch.rand(1, 24, 26), FOUR[:2])
    with pytest.raises(ValueError, match="one size"):
        ClickSlicesd(["a", "b"], 16)({"a": torch.rand(1, 8, 8), "b": torch.rand(1, 8, 9), "points": FOUR})
    with pytest.raises(ValueError, match=r"must be \(5, M, 2\) or \(K, 5, M, 2\), got shape \(4, 3, 2\)"):
        ClickSlices(16).mapped(torch.rand(4, 3, 2), volume_points(5, {1: FOUR}), (1, 24, 26, 5))
    cut = ClickSlices(16)
    with pytest.raises(ValueError, match=r"must be \(1, h, w, 1\), got shape \(2, 16, 16, 1\)"):
        cut.inverse(cut(image(2, 24, 26), FOUR))
