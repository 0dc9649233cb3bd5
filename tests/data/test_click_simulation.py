"""Clicks on the objects of label files."""

from __future__ import annotations

import itertools
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image

from monai_levelset.data import DataError, simulated_clicks
from monai_levelset.transforms.extreme_points import extreme_points

FUNDUS = {"disc": [1, 2], "cup": [2]}
ORDERS = list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))


def tapered() -> np.ndarray:
    """An object of one extreme pixel per side and slice, in slices 2 to 7 of 9."""
    x, y, z = np.ogrid[:31, :29, :9]
    return ((np.abs(x - 13) / (3 + z) + np.abs(y - 14) / (2 + z) <= 1) & (z > 1) & (z < 8)).astype(np.uint8)


def write(path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> Path:
    if path.suffix == ".png":
        Image.fromarray(np.ascontiguousarray(values.T)).save(path)
    else:
        nib.save(nib.Nifti1Image(values, np.diag([0.6, 0.6, 3.0, 1.0]) if affine is None else affine), path)
    return path


def test_extreme_points_of_every_slice(tmp_path: Path) -> None:
    mask = tapered()
    clicks = simulated_clicks([write(tmp_path / "a.b.nii.gz", mask)], {"prostate": [1]})
    expected = [
        [*point, k]
        for k in range(2, 8)
        for point in extreme_points(torch.from_numpy(mask[..., k])).int().tolist()
    ]
    assert clicks == {"a.b": {"prostate": expected}}
    assert all(type(n) is int for click in expected for n in click)


@pytest.mark.parametrize("axcodes", [None, "PLS"])
def test_slices_in_any_order_of_the_axes(axcodes: str | None, tmp_path: Path) -> None:
    """Every click lies at the same place of the body; the slices are thick, so both ways cut alike."""
    mask, affine = tapered(), np.diag([-0.6, -0.6, 3.0, 1.0])
    found = set()
    for order, flips in ORDERS:
        flip = np.diag([*flips, 1.0])
        flip[:3, 3] = [(n - 1) * (f < 0) for n, f in zip(mask.shape, flips, strict=True)]
        turned = (affine @ flip)[:, [*order, 3]]
        stored = mask[tuple(slice(None, None, f) for f in flips)].transpose(order)
        file = write(tmp_path / "a.nii", stored, turned)
        (clicks,) = simulated_clicks([file], {"x": [1]}, axcodes=axcodes)["a"].values()
        body = np.round([turned[:3, :3] @ click + turned[:3, 3] for click in clicks], 4) + 0.0
        found.add(tuple(sorted(map(tuple, body.tolist()))))
    assert len(found) == 1
    assert len(next(iter(found))) == 6 * 4


def test_isotropic_volumes_are_cut_along_the_axis_asked_for(tmp_path: Path) -> None:
    mask = np.zeros((9, 8, 7), np.uint8)
    mask[2:5, 1:7, 3:6] = 1
    affine = np.array([[0.0, 0, -1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])  # the second is superior
    file = write(tmp_path / "a.nii", mask, affine)
    for axcodes, axis in ((None, 2), ("PLS", 1), ("RAI", 1), ("SPL", 2), ("LSP", 0)):
        (clicks,) = simulated_clicks([file], {"x": [1]}, axcodes=axcodes)["a"].values()
        held = np.flatnonzero(mask.any(tuple(a for a in range(3) if a != axis)))
        assert sorted({click[axis] for click in clicks}) == held.tolist()
        assert len(clicks) == 4 * len(held)


def test_structures_of_pictures_and_names(tmp_path: Path) -> None:
    label = np.zeros((40, 30), np.uint8)
    label[5:21, 4:25] = 1
    label[10:15, 8:19] = 2
    nothing, disc = (
        write(tmp_path / "none.png", label * 0),
        write(tmp_path / "disc.png", (label > 0) * label.clip(max=1)),
    )
    files = {"eye": write(tmp_path / "x.png", label), "none": nothing, "only": disc}
    clicks = simulated_clicks(files, FUNDUS)
    assert clicks == {
        "eye": {
            "disc": [[5, 14], [20, 14], [12, 4], [12, 24]],
            "cup": [[10, 13], [14, 13], [12, 8], [12, 18]],
        },
        "only": {"disc": [[5, 14], [20, 14], [12, 4], [12, 24]]},
    }


def test_a_single_structure_is_everything_but_0(tmp_path: Path) -> None:
    mask = np.zeros((20, 20), np.uint8)
    mask[3:9, 4:8] = 255
    file = write(tmp_path / "a.png", mask)
    assert simulated_clicks([file], {"prostate": [1]}) == simulated_clicks([file], {"prostate": []})
    with pytest.raises(
        DataError, match=r"a.png: no label holds disc or cup \(values \[1, 2\]\).*`structures`"
    ):
        simulated_clicks([file], FUNDUS)


@pytest.mark.parametrize(
    ("every", "slices"),
    [(1, [2, 3, 4, 5, 6, 7]), (2, [2, 4, 6, 7]), (3, [2, 5, 7]), (5, [2, 7]), (99, [2, 7])],
)
def test_every_nth_slice_with_its_ends(every: int, slices: list[int], tmp_path: Path) -> None:
    file = write(tmp_path / "a.nii", tapered())
    (clicks,) = simulated_clicks([file], {"x": [1]}, every=every)["a"].values()
    assert [click[2] for click in clicks[::4]] == slices
    single = write(tmp_path / "b.nii", tapered()[..., 3:4])
    (clicks,) = simulated_clicks([single], {"x": [1]}, every=every)["b"].values()
    assert len(clicks) == 4


def test_noise_is_bounded_repeatable_and_each_files_own(tmp_path: Path) -> None:
    mask = tapered()
    files = [write(tmp_path / name, mask) for name in ("a.nii", "b.nii")]
    noisy = simulated_clicks(files, {"x": [1]}, jitter=2, seed=3)
    assert noisy == simulated_clicks(files, {"x": [1]}, jitter=2, seed=3)
    assert noisy["b"] == simulated_clicks(files[1:], {"x": [1]}, jitter=2, seed=3)["b"]
    assert noisy["a"] != noisy["b"]
    assert noisy != simulated_clicks(files, {"x": [1]}, jitter=2, seed=4)
    exact = np.array(simulated_clicks(files, {"x": [1]})["a"]["x"])  # type: ignore[call-overload]
    moved = np.array(noisy["a"]["x"])  # type: ignore[call-overload]
    assert (moved[:, 2] == exact[:, 2]).all()
    assert 1 < np.abs(moved - exact).max() <= 2.005
    assert moved.min() >= 0


def test_refused_arguments(tmp_path: Path) -> None:
    file = write(tmp_path / "a.nii", tapered())
    with pytest.raises(ValueError, match="`every` is below 1"):
        simulated_clicks([file], {"x": [1]}, every=0)
    with pytest.raises(ValueError, match="`structures` is empty"):
        simulated_clicks([file], {})
    with pytest.raises(ValueError, match="`jitter`"):
        simulated_clicks([file], {"x": [1]}, jitter=-1)
    with pytest.raises(ValueError, match="axcodes"):
        simulated_clicks([file], {"x": [1]}, axcodes="PLX")
    with pytest.raises(DataError, match="no file: no label holds x"):
        simulated_clicks([], {"x": [1]})
    Image.new("RGB", (8, 8)).save(tmp_path / "rgb.png")
    with pytest.raises(DataError, match=r"rgb.png: 3 channels; a label map has one"):
        simulated_clicks([tmp_path / "rgb.png"], {"x": [1]})
