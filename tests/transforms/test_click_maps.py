"""Maps of clicks as channels of the image."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd
from torch import Tensor

from monai_levelset.transforms.click_box import ClickBoxCropd
from monai_levelset.transforms.click_maps import ClickMapsd, click_maps
from monai_levelset.transforms.confidence_map import confidence_map, extreme_point_heatmap
from monai_levelset.transforms.extreme_points import extreme_points

POINTS = torch.tensor([[4.0, 11.0], [19.0, 12.5], [10.0, 2.0], [11.0, 20.0]])
SHAPE = (24, 26)


@pytest.mark.parametrize("variant", ["zheng", "khan"])
def test_four_clicks_give_both_maps(variant: str) -> None:
    maps = click_maps(POINTS, SHAPE, variant=variant)  # type: ignore[arg-type]
    assert torch.equal(maps[0], extreme_point_heatmap(POINTS[None], SHAPE)[0, 0])
    assert torch.equal(maps[1], confidence_map(POINTS[None], SHAPE, variant=variant)[0, 0])  # type: ignore[arg-type]


def test_channels_come_in_the_order_asked_for() -> None:
    maps = click_maps(POINTS, SHAPE)
    assert torch.equal(click_maps(POINTS, SHAPE, channels=["confidence", "heatmap"]), maps.flip(0))
    assert torch.equal(click_maps(POINTS, SHAPE, channels=["heatmap"]), maps[:1])


@pytest.mark.parametrize("there", [there for n in (1, 2, 3) for there in itertools.combinations(range(4), n)])
def test_with_fewer_clicks_both_maps_are_the_heat_map_of_those(there: tuple[int, ...]) -> None:
    points = torch.full((4, 2), math.nan)
    points[list(there)] = POINTS[list(there)]
    maps = click_maps(points, SHAPE, fwhm=6.0)
    offset = torch.stack(torch.meshgrid(*(torch.arange(float(n)) for n in SHAPE), indexing="ij"), -1)
    squares = torch.stack([(offset - point).square().sum(-1) for point in POINTS[list(there)]]).amin(0)
    expected = torch.exp(-4 * math.log(2) * squares / 6.0**2)
    torch.testing.assert_close(maps, expected.expand(2, -1, -1), atol=1e-6, rtol=1e-4)


def test_without_clicks_the_maps_are_zero() -> None:
    maps = click_maps(torch.full((4, 2), math.nan), SHAPE)
    assert maps.shape == (2, *SHAPE)
    assert maps.abs().max() == 0


@pytest.mark.parametrize(
    "points",
    [
        [[2.0, 2], [5, 2], [2, 8], [5, 8]],  # parallel
        [[2.0, 2], [5, 2], [9, 8], [9, 12]],  # apart
        [[5.0, 2], [5, 8], [5, 4], [5, 12]],  # on one line
        [[5.0, 5], [5, 5], [5, 5], [5, 5]],  # the same point
    ],
)
def test_segments_that_do_not_meet_leave_the_heat_map(points: list[list[float]]) -> None:
    maps = click_maps(torch.tensor(points), SHAPE, fwhm=5.0)
    assert torch.equal(maps[0], maps[1])
    torch.testing.assert_close(maps[0].max(), torch.tensor(1.0))


@given(
    st.lists(
        st.tuples(st.floats(-40, 60, width=32), st.floats(-40, 60, width=32)) | st.just((math.nan, 1.0)),
        min_size=4,
        max_size=4,
    ),
    st.sampled_from(["zheng", "khan"]),
)
def test_maps_are_always_finite_and_in_range(points: list[tuple[float, float]], variant: str) -> None:
    maps = click_maps(torch.tensor(points), (9, 7), variant=variant)  # type: ignore[arg-type]
    assert maps.isfinite().all()
    assert maps.min() >= 0
    assert maps.max() <= 1


def test_maps_flip_with_the_points() -> None:
    flipped = torch.tensor([0.0, SHAPE[1] - 1]) + POINTS * torch.tensor([1.0, -1.0])
    torch.testing.assert_close(click_maps(flipped[[0, 1, 3, 2]], SHAPE), click_maps(POINTS, SHAPE).flip(2))


def test_the_image_keeps_its_channels_affine_and_inverse() -> None:
    affine = torch.diag(torch.tensor([0.5, 0.7, 1.0, 1.0])).double()
    mask = torch.zeros(40, 50)
    mask[12:30, 20:35] = 1
    image = MetaTensor(torch.rand(2, 40, 50), affine=affine)
    forward = Compose([ClickBoxCropd("image", 64, margin=4), ClickMapsd("image")])
    item = {"image": image, "points": extreme_points(mask)}
    data = forward(item)
    assert data["image"].shape == (4, 64, 64)
    cropped = ClickBoxCropd("image", 64, margin=4)(item)
    assert torch.equal(data["image"][:2].as_tensor(), cropped["image"].as_tensor())
    assert torch.equal(data["image"][2:].as_tensor(), click_maps(cropped["points"], (64, 64)))
    data["pred"] = MetaTensor(torch.ones(1, 64, 64))
    back = Invertd("pred", forward, orig_keys="image", nearest_interp=True)(data)["pred"]
    assert back.shape == (1, 40, 50)
    torch.testing.assert_close(back.affine, affine)
    assert item["image"] is image


def test_a_stack_of_crops_gets_the_maps_of_each() -> None:
    points = torch.stack([POINTS, POINTS + 1, torch.full((4, 2), math.nan)])
    points[1, 2] = math.nan
    stack = click_maps(points, SHAPE, fwhm=6.0)
    assert stack.shape == (2, *SHAPE, 3)
    for k in range(3):
        assert torch.equal(stack[..., k], click_maps(points[k], SHAPE, fwhm=6.0))
    image = MetaTensor(torch.rand(1, *SHAPE, 3), meta={"a": 1})
    data = ClickMapsd("image", fwhm=6.0)({"image": image, "points": points})
    assert torch.equal(data["image"].as_tensor(), torch.cat([image.as_tensor(), stack]))
    assert data["image"].meta["a"] == 1


def test_plain_tensors_and_no_channels() -> None:
    image = torch.rand(1, 8, 8, dtype=torch.float16)
    data = {"image": image, "points": POINTS}
    joined = ClickMapsd("image", channels=["heatmap"])(data)["image"]
    assert type(joined) is Tensor
    assert joined.dtype == torch.float16
    whole = ClickMapsd("image")({"image": (10 * image).byte(), "points": POINTS})["image"]
    assert torch.equal(whole[1:], click_maps(POINTS, (8, 8)))
    assert ClickMapsd("image", channels=())(data)["image"] is image
    assert ClickMapsd("other", allow_missing_keys=True)(data) == data


def test_refused_arguments() -> None:
    for channels in (["distance"], "heatmap"):
        with pytest.raises(ValueError, match="'heatmap' and 'confidence'"):
            ClickMapsd("image", channels=channels)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'zheng' or 'khan'"):
        ClickMapsd("image", variant="product")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"\(B, 4, 2\)"):
        click_maps(torch.zeros(3, 2), SHAPE)
    with pytest.raises(ValueError, match="slice"):
        ClickMapsd("image")({"image": torch.rand(1, 4, 4, 4), "points": POINTS})
    with pytest.raises(ValueError, match=r"\(1, 4, 4, 4\) and \(3, 4, 2\)"):
        ClickMapsd("image")({"image": torch.rand(1, 4, 4, 4), "points": POINTS.expand(3, 4, 2)})
