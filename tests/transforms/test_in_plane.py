"""Slice-wise normalisation, the in-plane crop and its inverse, labels of unlabelled items."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd

from monai_levelset.transforms import (
    FillLabeld,
    InPlaneCenterCrop,
    InPlaneCenterCropd,
    NormalizeSlices,
    NormalizeSlicesd,
)

AFFINE = torch.tensor(
    [[0.0, -1.5, 0.0, 3.0], [1.25, 0.0, 0.0, -7.0], [0.0, 0.0, 8.0, 2.0], [0.0, 0.0, 0.0, 1.0]]
)


def meta_image(*shape: int) -> MetaTensor:
    torch.manual_seed(0)
    return MetaTensor(torch.rand(1, *shape), affine=AFFINE, meta={"filename_or_obj": "a.nii.gz"})


def test_a_slice_is_treated_alike_in_a_volume_and_alone() -> None:
    volume = torch.randn(2, 17, 23, 5) * torch.tensor([1.0, 10.0, 100.0, 1e3, 1e4])
    normalized = NormalizeSlices()(volume)
    for k in range(5):
        assert torch.equal(normalized[..., k], NormalizeSlices()(volume[..., k]))


@given(st.floats(0, 40), st.floats(60, 100), st.integers(0, 1000))
def test_clipping_and_scaling_as_in_numpy(lower: float, upper: float, seed: int) -> None:
    pixels = np.random.default_rng(seed).gamma(1.0, 50.0, (13, 11)).astype(np.float32)
    clipped = np.clip(pixels.astype(float), *np.percentile(pixels.astype(float), [lower, upper]))
    expected = (clipped - clipped.mean()) / clipped.std()
    found = NormalizeSlices(lower, upper)(torch.from_numpy(pixels)[None])[0]
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-4)


def test_a_few_bright_pixels_change_little() -> None:
    image = torch.rand(1, 50, 50)
    spoiled = image.clone()
    spoiled[0, 0, :5] = 1e6
    difference = NormalizeSlices()(spoiled) - NormalizeSlices()(image)
    assert difference[0, 1:].abs().max() < 0.05


@given(st.floats(-1e6, 1e6, width=32), st.integers(1, 70))
def test_constant_slices_become_zero(value: float, size: int) -> None:
    assert NormalizeSlices()(torch.full((1, size, 61), value)).abs().max() == 0


def test_a_constant_slice_leaves_the_others_alone() -> None:
    volume = torch.rand(1, 9, 9, 3)
    volume[..., 1] = 0.3
    normalized = NormalizeSlices()(volume)
    assert normalized[..., 1].abs().max() == 0
    torch.testing.assert_close(normalized[..., [0, 2]].std((1, 2), correction=0), torch.ones(1, 2))


def test_integers_and_channels() -> None:
    image = torch.stack([torch.arange(100).view(10, 10), 1000 * torch.arange(100).view(10, 10)])
    normalized = NormalizeSlices(0, 100)(image)
    assert normalized.dtype == torch.float32
    torch.testing.assert_close(normalized[0], normalized[1])


def test_meta_data_is_kept_apart() -> None:
    image = meta_image(8, 8, 3)
    normalized = NormalizeSlices()(image)
    assert isinstance(normalized, MetaTensor)
    torch.testing.assert_close(normalized.affine, image.affine)
    assert normalized.meta["filename_or_obj"] == "a.nii.gz"
    normalized.meta["filename_or_obj"] = "b.nii.gz"
    assert image.meta["filename_or_obj"] == "a.nii.gz"


@pytest.mark.parametrize(("lower", "upper"), [(-1, 99), (1, 101), (50, 50), (60, 40)])
def test_refused_percentiles(lower: float, upper: float) -> None:
    with pytest.raises(ValueError, match="0 <= lower < upper <= 100"):
        NormalizeSlices(lower, upper)


def test_dictionary_form() -> None:
    image = torch.rand(1, 8, 8)
    data = {"image": image, "other": image}
    normalized = NormalizeSlicesd("image", 5, 95)(data)
    assert torch.equal(normalized["image"], NormalizeSlices(5, 95)(image))
    assert normalized["other"] is image
    assert data["image"] is image
    with pytest.raises(KeyError, match="missing"):
        NormalizeSlicesd("missing")(data)
    assert NormalizeSlicesd("missing", allow_missing_keys=True)(data) == data


@pytest.mark.parametrize("shape", [(21, 18), (21, 18, 5), (21, 18, 1)])
def test_crop_takes_the_middle(shape: tuple[int, ...]) -> None:
    image = torch.rand(1, *shape)
    cropped = InPlaneCenterCrop((9, 8))(image)
    assert torch.equal(torch.as_tensor(cropped), image[:, 6:15, 5:13])


def test_crop_larger_than_the_image_keeps_it() -> None:
    image = torch.rand(1, 7, 20, 3)
    assert torch.equal(torch.as_tensor(InPlaneCenterCrop((10, 10))(image)), image[:, :, 5:15])


def test_crop_keeps_world_coordinates() -> None:
    image = meta_image(20, 20, 4)
    cropped = InPlaneCenterCrop((10, 6))(image)
    corner = AFFINE.double() @ torch.tensor([5.0, 7.0, 0.0, 1.0]).double()
    torch.testing.assert_close(cropped.affine[:, 3].double(), corner)


@pytest.mark.parametrize("shape", [(21, 18), (20, 19, 5), (8, 30, 3)])
def test_invertd_returns_the_original_grid(shape: tuple[int, ...]) -> None:
    forward = Compose([InPlaneCenterCropd("image", (12, 10)), NormalizeSlicesd("image")])
    image = meta_image(*shape)
    data = forward({"image": image})
    data["pred"] = MetaTensor(torch.ones_like(data["image"].as_tensor()), meta=dict(data["image"].meta))
    inverted = Invertd("pred", forward, orig_keys="image", nearest_interp=False, to_tensor=True)(data)["pred"]
    assert inverted.shape == image.shape
    torch.testing.assert_close(inverted.affine, image.affine)
    expected = torch.zeros(1, *shape)
    begin = [max(0, n // 2 - c // 2) for n, c in zip(shape, (12, 10), strict=False)]
    expected[:, begin[0] : begin[0] + 12, begin[1] : begin[1] + 10] = 1
    assert torch.equal(inverted.as_tensor(), expected)


@pytest.mark.parametrize("roi_size", [(4,), (4, 4, 4)])
def test_refused_roi_size(roi_size: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="height, width"):
        InPlaneCenterCrop(roi_size)
    with pytest.raises(ValueError, match="height, width"):
        InPlaneCenterCropd("image", roi_size)


def test_fill_label_of_an_unlabelled_item() -> None:
    image = meta_image(6, 5, 2)
    item = {"image": image}
    filled = FillLabeld("label")(item)
    assert filled["labeled"] == 0
    assert filled["label"].shape == (1, 6, 5, 2)
    assert filled["label"].abs().max() == 0
    torch.testing.assert_close(filled["label"].affine, image.affine)
    assert set(item) == {"image"}


def test_fill_label_leaves_labels_alone() -> None:
    label = torch.ones(1, 4, 4)
    filled = FillLabeld("label")({"image": torch.rand(3, 4, 4), "label": label, "labeled": 0})
    assert filled["label"] is label
    assert filled["labeled"] == 1


def test_fill_label_takes_another_image_key() -> None:
    filled = FillLabeld("label", image_key="scan")({"scan": torch.rand(2, 3, 7)})
    assert filled["label"].shape == (1, 3, 7)
