"""Clicks in a file's voxels or in mm, on the grid of the preprocessed image."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, Orientationd, Spacingd
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from monai_levelset.transforms.click_points import (
    ClickPointsd,
    arrange_clicks,
    clicks_by_slice,
    contour_clicks,
    interpolate_clicks,
    map_clicks,
)
from monai_levelset.transforms.extreme_points import extreme_points

NAN = math.nan
ORIENTATIONS = [
    (order, signs)
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]
each_orientation = pytest.mark.parametrize(
    ("order", "signs"), ORIENTATIONS, ids=lambda part: "".join(str(n) for n in part)
)


def stored(volume: Tensor, order: Any, signs: Any, spacing: Any = (1.0, 1.0, 1.0)) -> MetaTensor:
    """A volume in RAS as a file with another order and direction of axes would hold it."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (-20.0, 31.0, 7.0)
    array = volume.numpy().transpose(order)
    turned = affine[:, [*order, 3]]
    for axis, sign in enumerate(signs):
        if sign < 0:
            array = np.flip(array, axis)
            turned[:3, 3] += turned[:3, axis] * (array.shape[axis] - 1)
            turned[:3, axis] *= -1
    image = MetaTensor(torch.from_numpy(array.copy())[None], affine=turned)
    image.meta["original_affine"] = turned.copy()
    return image


def world(affine: Any, voxels: NDArray[Any]) -> NDArray[Any]:
    matrix = np.asarray(affine)
    return voxels @ matrix[:3, :3].T + matrix[:3, 3]


def tapered() -> Tensor:
    """An object whose slices along the last axis differ."""
    volume = torch.zeros(17, 14, 6)
    for k in range(1, 5):
        volume[3 + k : 12, 2 : 7 + k, k] = 1
    return volume


@each_orientation
def test_clicks_on_a_mask_find_it_after_orientation(order: Any, signs: Any) -> None:
    mask = tapered()
    image = stored(mask, order, signs, (0.6, 1.1, 4.0))
    across = order.index(2)
    clicks: list[list[float]] = []
    for k, part in enumerate(image[0].as_tensor().unbind(across)):
        if part.any():
            clicks += [[*p[:across], k, *p[across:]] for p in extreme_points(part).tolist()]
    turn = Orientationd("image", "RAS", labels=None)
    points = ClickPointsd()(turn({"image": image, "foreground": clicks}))["points"]
    assert points.shape == (6, 4, 2)
    assert points[[0, 5]].isnan().all()
    for k in range(1, 5):
        part = mask[..., k]
        assert all(part[int(r), int(c)] for r, c in points[k].tolist())
        box = torch.stack([points[k, 0, 0], points[k, 1, 0], points[k, 2, 1], points[k, 3, 1]])
        expected = extreme_points(part)
        assert torch.equal(box, torch.stack([*expected[:2, 0], *expected[2:, 1]]))


@each_orientation
def test_a_bright_spot_is_found_after_orientation_and_spacing(order: Any, signs: Any) -> None:
    seed = ORIENTATIONS.index((order, signs))
    rng = np.random.default_rng(seed)
    shape, spacing = (20, 18, 12), rng.uniform(0.5, 2.5, 3)
    spot = np.array([rng.integers(5, n - 5) for n in shape])
    axes = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    squares = sum((spacing[k] * (axes[k] - spot[k])) ** 2 for k in range(3))
    image = stored(torch.from_numpy(np.exp(-squares / 8)).float(), order, signs, spacing)
    stored_spot = np.argwhere(image[0].numpy() == image.max().item())
    forward = Compose([Orientationd("image", "LPS", labels=None), Spacingd("image", (0.9, 1.3, 1.7))])
    out = forward({"image": image})["image"]
    found = map_clicks(stored_spot, out.affine, out.meta["original_affine"])[0]
    brightest = np.argwhere(out[0].numpy() == out.max().item())[0]
    assert np.abs(found - brightest).max() <= 0.5 + 1e-3
    np.testing.assert_allclose(map_clicks(world(image.affine, stored_spot), out.affine)[0], found, atol=1e-6)
    back = map_clicks(brightest[None], image.affine, out.affine)[0]
    assert (np.abs(back - stored_spot) * spacing[list(order)] <= np.array([0.86, 0.86, 0.86])).all()


@given(st.lists(st.tuples(*[st.floats(-50, 50)] * 3), max_size=5), st.integers(0, 47))
@settings(max_examples=40)
def test_voxels_and_millimetres_agree(clicks: list[tuple[float, ...]], k: int) -> None:
    file = stored(torch.zeros(5, 6, 7), *ORIENTATIONS[k], (0.7, 1.9, 3.3)).affine
    image = np.diag([1.5, 1.5, 2.0, 1.0])
    in_world = world(file, np.array(clicks).reshape(-1, 3))
    np.testing.assert_allclose(map_clicks(clicks, image, file), map_clicks(in_world, image), atol=1e-9)
    np.testing.assert_allclose(map_clicks(clicks, file, file), np.array(clicks).reshape(-1, 3), atol=1e-9)


def test_oblique_files() -> None:
    turn = np.eye(4)
    turn[:2, :2] = [[math.cos(0.3), -math.sin(0.3)], [math.sin(0.3), math.cos(0.3)]]
    image = MetaTensor(torch.rand(1, 12, 10, 6), affine=turn @ np.diag([-0.8, 0.8, 3.0, 1.0]))
    image.meta["original_affine"] = image.affine.clone()
    data = Orientationd("image", "RAS", labels=None)({"image": image, "foreground": [[3, 4, 2]]})
    points = ClickPointsd()(data)["points"][2]
    row, column = points[points.isfinite().all(1)][0].round().int().tolist()
    assert data["image"][0, row, column, 2] == image[0, 3, 4, 2]


@given(st.permutations(range(4)), st.integers(0, 2**31))
def test_any_order_of_clicks(order: list[int], seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    mask = torch.zeros(30, 30)
    top, left = torch.randint(2, 12, (2,), generator=rng).tolist()
    rows = torch.arange(30)[:, None] - top - 8
    mask[(rows.square() + (torch.arange(30) - left - 7).square() * 1.4) < 50] = 1
    points = extreme_points(mask)
    assert torch.equal(arrange_clicks(points[order]), points)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=7))
def test_arranged_clicks_are_the_clicks(clicks: list[tuple[int, int]]) -> None:
    arranged = arrange_clicks(clicks)
    there = arranged.isfinite().all(1)
    assert there.sum() == min(4, len(clicks))
    remaining = list(clicks)
    for row, column in arranged[there].int().tolist():
        remaining.remove((row, column))
    if len(clicks) > 3:
        assert arranged[0, 0] <= arranged[1, 0]
        assert arranged[2, 1] <= arranged[3, 1]


def test_a_click_that_is_extreme_twice_and_repeated_clicks() -> None:
    corner = [[0, 0], [9, 4], [5, 9], [4, 1]]
    assert arrange_clicks(corner).tolist() == [[0, 0], [9, 4], [4, 1], [5, 9]]
    assert arrange_clicks([[3, 3]] * 4).tolist() == [[3, 3]] * 4
    assert arrange_clicks([[1, 5], [9, 5]])[:2].tolist() == [[1, 5], [9, 5]]


def test_a_fifth_click_within_the_others_does_not_count() -> None:
    four = [[0, 5], [9, 4], [4, 0], [5, 9]]
    assert torch.equal(arrange_clicks([*four, [4, 5]]), arrange_clicks(four))


def test_more_than_four_clicks_are_all_on_the_contour_in_any_order() -> None:
    clicks = [[0, 5], [9, 4], [4, 0], [5, 9], [1, 2], [1, 1]]
    assert contour_clicks(clicks).tolist() == sorted(clicks)
    assert contour_clicks(clicks[:4]).shape == contour_clicks([]).shape == (0, 2)
    tied = [[0, 5], [0, 7], [9, 4], [4, 0], [5, 9]]
    assert torch.equal(arrange_clicks(tied), arrange_clicks(tied[::-1]))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_along_any_axis(axis: int) -> None:
    flat = np.array([[0.0, 3], [6, 4], [3, 0], [2, 6]])
    volume_points = np.insert(flat, axis, 5, 1)
    by_slice = clicks_by_slice(volume_points, 8, axis=axis)
    assert by_slice.shape == (8, 4, 2)
    assert torch.equal(by_slice[5], torch.from_numpy(flat).float())
    assert by_slice[[0, 1, 2, 3, 4, 6, 7]].isnan().all()


def test_rounding_errors_do_not_part_the_clicks_of_a_slice() -> None:
    points = [[0, 3, 2.5 - 1e-9], [6, 3, 2.5 + 1e-9], [3, 0, 2.5], [3, 6, 2.5 - 1e-12]]
    by_slice = clicks_by_slice(points, 6)
    assert by_slice.isfinite().flatten(1).any(1).nonzero().flatten().tolist() == [3]


def test_clicks_beyond_the_volume_belong_to_its_ends() -> None:
    by_slice = clicks_by_slice([[1, 2, -4], [3, 4, 11]], 5)
    assert by_slice.isfinite().flatten(1).any(1).nonzero().flatten().tolist() == [0, 4]
    assert clicks_by_slice([], 3).isnan().all()


def cone(k: float) -> Tensor:
    """Points that move linearly along the slices."""
    return torch.tensor([[2 + k, 9 - k], [20 - k, 9 + k / 2], [10, 3 + k / 4], [11 + k, 18 - k]])


def test_points_between_slices_are_linear() -> None:
    clicks = torch.full((9, 4, 2), NAN)
    clicks[1], clicks[3], clicks[7] = cone(1), cone(3), cone(7)
    filled = interpolate_clicks(clicks)
    assert filled[[0, 8]].isnan().all()
    torch.testing.assert_close(filled[1:8], torch.stack([cone(k) for k in range(1, 8)]))
    assert clicks[2].isnan().all()


def test_clicked_slices_are_kept_and_bend_the_path() -> None:
    clicks = torch.full((5, 4, 2), NAN)
    clicks[0], clicks[2], clicks[4] = cone(0), cone(2) + 3, cone(4)
    filled = interpolate_clicks(clicks)
    assert torch.equal(filled[2], clicks[2])
    torch.testing.assert_close(filled[1], (cone(0) + cone(2) + 3) / 2)


def test_a_slice_with_fewer_clicks_keeps_them() -> None:
    clicks = torch.full((5, 4, 2), NAN)
    clicks[0], clicks[4] = cone(0), cone(4)
    own = torch.tensor([9.0, 17.0])
    clicks[2] = arrange_clicks([own.tolist()])
    expected = cone(2)
    expected[3] = own
    torch.testing.assert_close(interpolate_clicks(clicks)[2], expected)
    clicks[4] = NAN
    assert torch.equal(interpolate_clicks(clicks).nan_to_num(-1), clicks.nan_to_num(-1))
    assert interpolate_clicks(torch.full((3, 4, 2), NAN)).isnan().all()


@each_orientation
def test_a_few_slices_give_points_on_each_between(order: Any, signs: Any) -> None:
    image = stored(torch.zeros(24, 24, 7), order, signs, (1.0, 1.0, 4.0))
    ras = stored(torch.zeros(24, 24, 7), (0, 1, 2), (1, 1, 1), (1.0, 1.0, 4.0)).affine
    points = [[*p, k] for k in (1, 5) for p in cone(k).tolist()]
    data = Orientationd("image", "RAS", labels=None)(
        {"image": image, "foreground": world(ras, np.array(points))}
    )
    found = ClickPointsd(space="world", interpolate=True)(data)["points"]
    torch.testing.assert_close(found[1:6], torch.stack([cone(k) for k in range(1, 6)]))


@pytest.mark.parametrize("clicks", [None, [], [[3, 4]], [[3, 4], [9, 1]], [[3, 4, 0], [9, 1, 0], [2, 2, 0]]])
def test_a_picture_with_none_to_three_clicks(clicks: list[list[int]] | None) -> None:
    image = MetaTensor(torch.zeros(3, 12, 12), affine=np.eye(4))
    image.meta["original_affine"] = np.eye(3)
    points = ClickPointsd()({"image": image, "foreground": clicks})["points"]
    assert points.shape == (4, 2)
    assert points.isfinite().all(1).sum() == len(clicks or [])
    assert ClickPointsd()({"image": image})["points"].isnan().all()


@pytest.mark.parametrize("name", ["grey.png", "colour.png", "slice.nii.gz", "volume.nii.gz"])
def test_clicks_find_the_object_in_a_file(name: str, tmp_path: Path) -> None:
    volume = np.zeros((30, 28, 9), np.float32)
    volume[5:20, 8:25, 2:6] = 255
    pixels = volume[..., 3]
    if name.endswith("png"):
        grey = Image.fromarray(pixels.T.astype(np.uint8))
        (grey.convert("RGB") if name == "colour.png" else grey).save(tmp_path / name)
    else:
        array, affine = (volume if name == "volume.nii.gz" else pixels), np.diag([-1, 1.5, 4, 1])
        nibabel.save(nibabel.Nifti1Image(array, affine), tmp_path / name)
    axes = "LPS" if name == "volume.nii.gz" else "LP"
    forward = Compose(
        [
            LoadImaged("image", reader="PILReader" if name.endswith("png") else "NibabelReader"),
            EnsureChannelFirstd("image"),
            Orientationd("image", axes, labels=None),
            ClickPointsd(),
        ]
    )
    clicks = [[5, 12, 3], [19, 12, 3], [9, 8, 3], [9, 24, 3]]
    data = forward({"image": str(tmp_path / name), "foreground": clicks})
    points, image = data["points"], data["image"]
    if points.ndim == 3:
        points, image = points[3], image[..., 3]
    assert points.tolist() != [[row, column] for row, column, _ in clicks]
    assert [float(image[0, int(row), int(column)]) for row, column in points.tolist()] == [255] * 4
    assert torch.equal(arrange_clicks(points), points)


NAMES = ["disc", "cup"]
DISC = [[2, 8], [14, 8], [8, 2], [8, 14]]
CUP = [[6, 8], [10, 8], [8, 6], [8, 10]]


def picture() -> MetaTensor:
    return MetaTensor(torch.zeros(3, 17, 17), affine=np.eye(4))


def test_structures_are_clicked_one_by_one() -> None:
    request = {"image": picture(), "foreground": {"cup": CUP, "disc": DISC}}
    points = ClickPointsd(structures=NAMES)(request)["points"]
    assert points.tolist() == [DISC, CUP]
    points = ClickPointsd(structures=NAMES)({"image": picture(), "foreground": {"cup": CUP}})["points"]
    assert points[0].isnan().all()
    assert points[1].tolist() == CUP
    nothing = {"image": picture(), "foreground": {"cup": None, "disc": []}}
    assert ClickPointsd(structures=NAMES)(nothing)["points"].isnan().all()


@pytest.mark.parametrize("clicks", [CUP, CUP[:2], [], None])
def test_a_list_is_one_structure(clicks: Any) -> None:
    points = ClickPointsd(structures=NAMES)({"image": picture(), "foreground": clicks})["points"]
    alone = ClickPointsd()({"image": picture(), "foreground": clicks})["points"]
    assert points.shape == (1, 4, 2)
    assert torch.equal(points[0].nan_to_num(-1), alone.nan_to_num(-1))


def test_each_structure_is_interpolated_by_itself() -> None:
    image = MetaTensor(torch.zeros(1, 24, 24, 7), affine=np.eye(4))
    clicks = {
        "disc": [[*p, k] for k in (0, 5) for p in cone(k).tolist()],
        "cup": [[*p, k] for k in (2, 5) for p in cone(k).tolist()],
    }
    make = ClickPointsd(structures=NAMES, space="world", interpolate=True)
    points = make({"image": image, "foreground": clicks})["points"]
    assert points.shape == (2, 7, 4, 2)
    clicked = [[True] * 6 + [False], [False] * 2 + [True] * 4 + [False]]
    assert points.isfinite().flatten(2).all(2).tolist() == clicked
    torch.testing.assert_close(points[0, :6], torch.stack([cone(k) for k in range(6)]), atol=1e-3, rtol=0)
    assert torch.equal(points[0, 2:6], points[1, 2:6])


def test_further_clicks_and_those_on_the_background_of_a_picture() -> None:
    request = {
        "image": picture(),
        "foreground": {"cup": [*CUP, [7, 7]], "disc": DISC},
        "background": [[3, 2]],
    }
    data = ClickPointsd(structures=NAMES)(request)
    assert data["points"].tolist() == [DISC, CUP]
    assert data["contour_points"].shape == (2, 5, 2)
    assert data["contour_points"][0].isnan().all()
    assert data["contour_points"][1].tolist() == sorted([*CUP, [7, 7]])
    assert data["background_points"].tolist() == [[[3, 2]], [[3, 2]]]
    single = ClickPointsd()(
        {"image": picture(), "foreground": [*CUP, [7, 7]], "background": [[3, 2], [1, 9]]}
    )
    assert (single["contour_points"].shape, single["points"].shape) == ((5, 2), (4, 2))
    assert single["background_points"].tolist() == [[1, 9], [3, 2]]


@pytest.mark.parametrize("background", [None, [], "missing"])
def test_without_further_clicks_there_are_no_such_points(background: Any) -> None:
    request = {"image": picture(), "foreground": DISC, "background": background}
    if background == "missing":
        del request["background"]
    data = ClickPointsd(structures=NAMES)(request)
    assert data["contour_points"].shape == data["background_points"].shape == (1, 0, 2)


@each_orientation
def test_further_clicks_find_their_place_after_orientation(order: Any, signs: Any) -> None:
    image = stored(torch.zeros(24, 24, 7), order, signs, (1.0, 1.2, 4.0))
    ras = stored(torch.zeros(24, 24, 7), (0, 1, 2), (1, 1, 1), (1.0, 1.2, 4.0)).affine
    five = [*cone(3).tolist(), [5.0, 6.0]]

    def clicks(points: list[list[float]]) -> Any:
        return map_clicks(world(ras, np.array([[*p, 3] for p in points])), image.affine)

    data = Orientationd("image", "RAS", labels=None)({"image": image})
    data |= {"foreground": clicks(five), "background": clicks([[4.0, 20.0]])}
    found = ClickPointsd()(data)
    assert found["contour_points"].isfinite().all(2).sum(1).tolist() == [0, 0, 0, 5, 0, 0, 0]
    torch.testing.assert_close(found["contour_points"][3], torch.tensor(sorted(five)), atol=1e-3, rtol=0)
    torch.testing.assert_close(found["background_points"][3], torch.tensor([[4.0, 20.0]]), atol=1e-3, rtol=0)


@pytest.mark.parametrize("background", [[[1]], [["a", "b"]], {"cup": [[1, 2]]}, 7])
def test_background_clicks_that_are_none_are_refused(background: Any) -> None:
    with pytest.raises(ValueError, match="'background' cannot be used"):
        ClickPointsd()({"image": picture(), "foreground": DISC, "background": background})


def test_unknown_structures_are_named() -> None:
    request = {"image": picture(), "foreground": {"cup": CUP, "lens": CUP, "rim": []}}
    with pytest.raises(ValueError, match="'foreground' .*Unknown structure.* lens, rim; known are disc, cup"):
        ClickPointsd(structures=NAMES)(request)
    with pytest.raises(ValueError, match="list of points here, got those of cup, lens, rim"):
        ClickPointsd()(request)
    for names in ("disc", []):
        with pytest.raises(ValueError, match="`structures` is a list of names"):
            ClickPointsd(structures=names)


def test_rounding_errors_of_an_affine_do_not_move_points() -> None:
    image = MetaTensor(torch.zeros(1, 17, 17), affine=np.diag([1 / 3, 1 / 3, 1, 1]))
    image.meta["original_affine"] = np.diag([1 / 3 + 1e-7, 1 / 3 - 1e-7, 1, 1])
    assert ClickPointsd()({"image": image, "foreground": DISC})["points"].tolist() == DISC


def test_refused_requests() -> None:
    image = MetaTensor(torch.zeros(1, 8, 8, 8), affine=np.eye(4))
    with pytest.raises(ValueError, match="no 'original_affine'.*space='world'"):
        ClickPointsd()({"image": image, "foreground": []})
    image.meta["original_affine"] = np.eye(4)
    for clicks in ([1, 2, 3], [[1, 2, 3, 4]], [[1, 2, 3], [1, 2]], "here", [["a", "b", "c"]], [[1, 2, NAN]]):
        with pytest.raises(ValueError, match="'foreground' cannot be used"):
            ClickPointsd()({"image": image, "foreground": clicks})
    with pytest.raises(ValueError, match="no affine"):
        ClickPointsd()({"image": torch.zeros(1, 8, 8), "foreground": []})
    with pytest.raises(ValueError, match="'voxel' or 'world'"):
        ClickPointsd(space="lps")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="0, 1 or 2"):
        ClickPointsd(axis=3)
