"""Further clicks correct a contour: each of them holds, and what is far from them stays."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd
from torch import Tensor

from monai_levelset.levelset import signed_distance
from monai_levelset.transforms import ClickPointsd, ClickRefinement, ClickRefinementd, ClickSlicesd

NAN = math.nan
Pixel = tuple[int, int]
PAIR = (33, 45)
FOUR = [(20, 44), (60, 46), (39, 14), (41, 76)]  # of an ellipse of 20 x 31 pixels around (40, 45)


def ellipse(shape: Sequence[int] = (80, 92), centre: Sequence[float] = (40, 45)) -> Tensor:
    """A network's probability: soft, and 20.5 x 31.5 pixels large."""
    y, x = (torch.arange(float(n)) - c for n, c in zip(shape, centre, strict=True))
    radius = torch.hypot(y[:, None] / 20.5, x / 31.5)
    return torch.sigmoid(25 * (1 - radius))[None, None]


def points(*pixels: Sequence[float]) -> Tensor:
    return torch.tensor(pixels, dtype=torch.float32).view(1, -1, 2)


def off_contour(mask: Tensor, pixel: Pixel) -> float:
    """Distance from a pixel's centre to the contour of a mask, in pixels."""
    return float(signed_distance(mask.float().view(1, 1, *mask.shape[-2:]))[0, 0][pixel].abs())


class Viewer:
    """Clicks on a picture -> the label map on its grid, by the transforms of a bundle.

    In the network's place, a prediction follows from a map on the picture's grid.
    """

    def __init__(self, prediction: Tensor, size: int = 128, **options: Any) -> None:
        self.prediction = prediction
        self.forward = Compose([ClickPointsd(), ClickSlicesd("image", size, margin=0, margin_ratio=0.2)])
        self.refine = ClickRefinementd("pred", **{"radius": size / 12, **options})
        self.back = Invertd("pred", self.forward, orig_keys="image", nearest_interp=False, to_tensor=True)

    def mask(self, foreground: Sequence[Pixel], background: Sequence[Pixel] = ()) -> Tensor:
        image = MetaTensor(self.prediction[0], affine=np.eye(4))
        request = {"image": image, "foreground": list(foreground), "background": list(background)}
        data = self.forward(request)
        data["pred"] = data["image"]
        mask: Tensor = (self.back(self.refine(data))["pred"][0] > 0.5).as_tensor()
        return mask


def test_a_click_outside_and_one_inside_move_the_contour() -> None:
    viewer = Viewer(ellipse())
    before = viewer.mask(FOUR)
    grown, cut = (20, 66), (57, 32)
    assert not before[grown]
    assert before[cut]
    after = viewer.mask([*FOUR, grown, cut])
    for pixel in (grown, cut):
        assert after[pixel]
        assert off_contour(after, pixel) <= 1
    assert 20 < (after != before).sum() < 0.15 * before.sum()


@pytest.mark.parametrize("size", [64, 128, 256])
@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(21, 59), st.integers(15, 75)), max_size=5, unique=True),
    st.lists(st.tuples(st.integers(0, 79), st.integers(0, 91)), max_size=4, unique=True),
)
@example([PAIR, (33, 46)], [(33, 47)])
@example([(40, 45)], [])
@example([], [(40, 45)])
@example([], [FOUR[0], (0, 0)])
def test_every_click_holds(size: int, contour: list[Pixel], background: list[Pixel]) -> None:
    """On the label map of the picture, wherever they are and whatever they ask for together.

    Crops of 64 pixels are about as coarse as the picture, those of 256 four times as fine.
    """
    mask = Viewer(ellipse(), size=size).mask([*FOUR, *contour], background)
    assert not any(mask[pixel] for pixel in background)
    for pixel in {*contour, *(FOUR if contour else [])} - set(background):
        assert off_contour(mask, pixel) <= 1, pixel


def test_far_from_the_clicks_nothing_changes() -> None:
    p = ellipse()
    refined = ClickRefinement(radius=3.0)(p, points((24, 66)), points((56, 35)))
    y, x = (torch.arange(float(n)) for n in p.shape[2:])
    near = torch.zeros(p.shape[2:], dtype=torch.bool)
    for row, column in ((24, 66), (56, 35)):
        near |= torch.hypot(y[:, None] - row, x - column) < 4 * 6
    assert torch.equal(refined[0, 0][~near], p[0, 0][~near])
    assert ((refined > 0.5) != (p > 0.5)).sum() > 10


def test_the_result_is_a_probability_and_the_input_stays() -> None:
    p = ellipse()
    copy = p.clone()
    refined = ClickRefinement()(p, points((20, 66)))
    assert torch.equal(p, copy)
    assert refined.min() >= 0
    assert refined.max() <= 1
    assert refined[0, 0, 20, 66] > 0.5


def test_a_sixth_click_keeps_the_fifths_correction() -> None:
    viewer = Viewer(ellipse())
    fifth, sixth = (20, 66), (23, 70)
    once, twice = viewer.mask([*FOUR, fifth]), viewer.mask([*FOUR, fifth, sixth], [(57, 32)])
    for mask in (once, twice):
        assert mask[fifth]
        assert off_contour(mask, fifth) <= 1
    assert off_contour(twice, sixth) <= 1
    assert not twice[57, 32]


def test_a_click_beyond_one_of_the_four_holds_and_so_does_that_one() -> None:
    viewer = Viewer(ellipse())
    beyond = (15, 40)  # above the topmost of the four
    mask = viewer.mask([*FOUR, beyond])
    for pixel in (*FOUR, beyond):
        assert mask[pixel]
        assert off_contour(mask, pixel) <= 1


def test_where_both_kinds_meet_the_background_wins() -> None:
    viewer = Viewer(ellipse())
    pixel = (57, 32)
    both = viewer.mask([*FOUR, pixel], [pixel, FOUR[0]])
    assert not both[pixel]
    assert not both[FOUR[0]]
    assert all(off_contour(both, other) <= 1 for other in FOUR[1:])
    beside = viewer.mask([*FOUR, pixel], [(57, 31)])
    assert (bool(beside[pixel]), bool(beside[57, 31])) == (True, False)


def test_a_background_click_leaves_the_rest_of_the_mask() -> None:
    viewer = Viewer(ellipse())
    before = viewer.mask(FOUR)
    for pixel in ((57, 32), (30, 60), (40, 45)):
        after = viewer.mask(FOUR, [pixel])
        assert not after[pixel]
        assert not (after & ~before).any()
        assert after.sum() > 0.75 * before.sum()


@pytest.mark.parametrize("background", [[(0, 0)], [(-5, 300), (79, 91)], [(10, 45)], []])
def test_background_clicks_outside_contour_crop_or_image_change_nothing(background: list[Pixel]) -> None:
    viewer = Viewer(ellipse())
    assert torch.equal(viewer.mask(FOUR, background), viewer.mask(FOUR))


def test_contour_clicks_outside_the_image_count_as_its_nearest_pixel() -> None:
    viewer = Viewer(ellipse(centre=(40, 12)))
    four = [(20, 11), (60, 13), (39, -30), (41, 43)]
    assert torch.equal(viewer.mask([*four, (30, -9)]), viewer.mask([*four, (30, 0)]))


def test_with_four_clicks_or_fewer_not_a_bit_changes() -> None:
    crops = MetaTensor(ellipse().permute(2, 3, 0, 1)[None, ..., 0])
    nothing = torch.full((1, 2, 2), NAN)
    for data in (
        {"pred": crops},
        {"pred": crops, "contour_points": nothing, "background_points": nothing[:, :0]},
        {"pred": crops, "contour_points": nothing[:, :0], "background_points": nothing[:, :0]},
    ):
        assert torch.equal(ClickRefinementd("pred")(data)["pred"], crops)


def test_only_the_clicked_crops_change() -> None:
    p = ellipse().repeat(3, 1, 1, 1)
    clicks = torch.full((3, 2, 2), NAN)
    clicks[1, 0] = torch.tensor([20.0, 66.0])
    together = ClickRefinement()(p, clicks)
    assert torch.equal(together[[0, 2]], p[[0, 2]])
    assert torch.equal(together[1:2], ClickRefinement()(p[:1], clicks[1:2, :1]))


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(7)), st.permutations(range(3)))
def test_the_order_of_clicks_does_not_matter(order: list[int], order_outside: list[int]) -> None:
    foreground, background = [*FOUR, (20, 66), (57, 32), (22, 30)], [(56, 60), (30, 70), (1, 1)]
    viewer = Viewer(ellipse())
    shuffled = viewer.mask([foreground[k] for k in order], [background[k] for k in order_outside])
    assert torch.equal(shuffled, viewer.mask(foreground, background))


@pytest.mark.parametrize("axis", [0, 1])
def test_a_mirrored_image_with_mirrored_clicks_has_the_mirrored_result(axis: int) -> None:
    p, on, off = ellipse(), points((20, 66), (57, 32)), points((30, 60))
    refine = ClickRefinement(radius=5.0)
    last = torch.tensor([p.shape[2] - 1.0, p.shape[3] - 1.0]) * torch.eye(2)[axis]
    sign = 1 - 2 * torch.eye(2)[axis]
    mirrored = refine(p.flip(axis + 2), on * sign + last, off * sign + last).flip(axis + 2)
    torch.testing.assert_close(mirrored, refine(p, on, off), atol=1e-3, rtol=0)


@pytest.mark.parametrize("value", [0.0, 0.2, 1.0, NAN])
def test_maps_without_a_contour(value: float) -> None:
    p = torch.full((1, 1, 32, 32), value)
    refined = ClickRefinement(radius=4.0)(p, points((10, 12), (20, 9)), points((25, 25)))
    assert refined[0, 0, 10, 12] > 0.5 or math.isnan(value)
    assert not refined[0, 0, 25, 25] > 0.5


@pytest.mark.parametrize("weights", [{"region_weight": 0.1}, {"curvature_weight": 0.2}])
def test_clicks_hold_beside_other_forces(weights: dict[str, float]) -> None:
    p = ellipse()
    refined = ClickRefinement(radius=5.0, **weights)(p, points((20, 66)), points((57, 32)))
    assert off_contour(refined[0, 0] > 0.5, (20, 66)) <= 1
    assert not refined[0, 0, 57, 32] > 0.5
    plain = ClickRefinement(radius=5.0)(p, points((20, 66)), points((57, 32)))
    assert not torch.equal(refined, plain)


def test_half_precision_stays_and_metadata_too() -> None:
    crops = MetaTensor(ellipse().permute(0, 2, 3, 1).bfloat16(), meta={"filename_or_obj": "a.nii"})
    refined = ClickRefinementd("pred")({"pred": crops, "contour_points": points((20, 66))})["pred"]
    assert refined.dtype == torch.bfloat16
    assert refined.meta["filename_or_obj"] == "a.nii"
    assert refined[0, 20, 66, 0] > 0.5


def test_structures_and_slices_of_a_volume_have_their_own_clicks() -> None:
    volume = MetaTensor(ellipse().repeat(1, 4, 1, 1)[0].permute(1, 2, 0)[None].clone(), affine=np.eye(4))
    volume.meta["original_affine"] = np.eye(4)
    clicks = {
        "a": [[*p, k] for k in (1, 3) for p in FOUR] + [[20, 66, 3]],
        "b": [[*p, 3] for p in FOUR] + [[57, 32, 3], [22, 30, 3]],
    }
    names = ClickPointsd(structures=["a", "b"])
    request = {"image": volume, "foreground": clicks, "background": [[30, 60, 3], [9, 9, 0]]}
    data = names(request)
    assert data["contour_points"].shape == (2, 4, 6, 2)
    assert data["background_points"].shape == (2, 4, 1, 2)
    assert data["contour_points"].isfinite().all(3).sum(2).tolist() == [[0, 0, 0, 5], [0, 0, 0, 6]]
    cut = ClickSlicesd("image", 64, margin=0, margin_ratio=0.2)
    crops = cut(data)
    assert crops["contour_points"].isfinite().all(2).sum(1).tolist() == [0, 5, 6]
    assert crops["background_points"].isfinite().all(2).sum(1).tolist() == [0, 1, 1]
    refined = ClickRefinementd("pred", radius=4.0)({**crops, "pred": crops["image"]})["pred"]
    masks = cut.inverse({"image": refined})["image"] > 0.5
    assert masks.flatten(1, 2).any(1).tolist() == [[False, True, False, True], [False] * 3 + [True]]
    for k, pixels in ((0, [(20, 66)]), (1, [(57, 32), (22, 30)])):
        assert not masks[k, 30, 60, 3]
        for pixel in pixels:
            assert off_contour(masks[k, ..., 3], pixel) <= 1


def test_a_slice_with_three_clicks_and_a_background_click_stays_empty() -> None:
    viewer = Viewer(ellipse())
    assert not viewer.mask(FOUR[:3], [(40, 45)]).any()
    assert not viewer.mask([], [(40, 45)]).any()


def test_a_slice_of_256_x_256_takes_well_under_half_a_second() -> None:
    p = ellipse((256, 256), (128, 128))
    on, off = points((110, 150), (150, 100), (128, 170)), points((120, 110), (90, 90))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        refine, seconds = ClickRefinement(), []
        for _ in range(5):
            start = time.process_time()
            refine(p, on, off)
            seconds.append(time.process_time() - start)
    finally:
        torch.set_num_threads(before)
    assert min(seconds) < 0.25  # of the processor: others may use it, too


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"pred": torch.zeros(2, 8, 8, 1)}, "'pred' must be N crops of one structure"),
        ({"pred": torch.zeros(1, 8, 8)}, "'pred' must be N crops of one structure"),
        ({"pred": torch.zeros(1, 8, 8, 3)}, "'contour_points' must hold points of 3 crops"),
    ],
)
def test_refused_data(data: dict[str, Tensor], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ClickRefinementd("pred")({**data, "contour_points": torch.zeros(1, 1, 2)})
