"""Axes brought to anatomical directions: the same arrays as MONAI's Orientationd gives."""

from __future__ import annotations

import itertools
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.transforms import Compose, LoadImaged, Orientation, Orientationd
from scipy.spatial.transform import Rotation

from monai_levelset.data import slice_items, training_items, write_datalist
from monai_levelset.data.axes import check_axcodes, turn_axes
from monai_levelset.data.grids import Grid, read_array

CODES = [
    "".join(letters)
    for order in itertools.permutations(("LR", "PA", "IS"))
    for letters in itertools.product(*order)
]
OBLIQUE = Rotation.from_euler("xyz", (25, -15, 20), degrees=True).as_matrix()
PERMUTED = np.array([[0.0, 0, -1], [1, 0, 0], [0, -1, 0]])


def affine_of(directions: np.ndarray, spacing: tuple[float, float, float] = (1.5, 2.0, 8.0)) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = directions * np.asarray(spacing)
    affine[:3, 3] = (-7.0, 12.5, 30.0)
    return affine


def save(path: Path, values: np.ndarray, affine: np.ndarray) -> str:
    """NIfTI through nibabel, MHA through ITK."""
    if path.suffix == ".mha":
        import itk

        image = itk.image_from_array(np.ascontiguousarray(values.T))
        lps = np.diag([-1.0, -1, 1, 1]) @ affine
        spacing = np.linalg.norm(lps[:3, :3], axis=0)
        image.SetSpacing([float(s) for s in spacing])
        image.SetOrigin([float(o) for o in lps[:3, 3]])
        image.SetDirection(itk.matrix_from_array(np.ascontiguousarray(lps[:3, :3] / spacing)))
        itk.imwrite(image, str(path))
    else:
        nib.save(nib.Nifti1Image(values, affine), path)
    return str(path)


def volume() -> tuple[np.ndarray, np.ndarray]:
    values = np.random.default_rng(0).normal(size=(4, 5, 3)).astype(np.float32)
    return values, (values > 0.3).astype(np.uint8)


@pytest.mark.parametrize("name", ["v.nii.gz", "v.mha"])
@pytest.mark.parametrize("axcodes", ["PLS", "RAS", "SRP", "LIA"])
@pytest.mark.parametrize(
    "directions", [np.eye(3), OBLIQUE, PERMUTED, OBLIQUE @ PERMUTED, np.diag([-1.0, 1, -1])]
)
def test_slices_are_those_of_orientationd(
    tmp_path: Path, directions: np.ndarray, axcodes: str, name: str
) -> None:
    values, label = volume()
    item = {
        "image": save(tmp_path / name, values, affine_of(directions)),
        "label": save(tmp_path / f"l{name}", label, affine_of(directions)),
    }
    keys = ["image", "label"]
    expected = Compose(
        [LoadImaged(keys, ensure_channel_first=True), Orientationd(keys, axcodes, labels=None)]
    )(item)
    cut = slice_items([item], tmp_path / "cache", axcodes=axcodes)
    assert [c["slice"] for c in cut] == list(range(expected["image"].shape[3]))
    load = LoadImaged(keys, ensure_channel_first=True)
    for k, loaded in enumerate(map(load, cut)):
        for key in keys:
            np.testing.assert_array_equal(loaded[key].numpy(), expected[key][..., k].numpy())
        np.testing.assert_allclose(loaded["image"].pixdim, expected["image"].pixdim[:2], rtol=1e-5)
        np.testing.assert_allclose(cut[k]["spacing"], expected["image"].pixdim[:2], rtol=1e-5)


def test_a_hand_turned_body(tmp_path: Path) -> None:
    """Rows of a PLS slice run to the back, its columns to the patient's left, and slices upwards."""
    values = np.zeros((2, 3, 4), np.uint8)
    values[1, 2, 3] = 7  # right, front, top of a RAS volume
    item = {"image": save(tmp_path / "v.nii.gz", values, np.diag([1.0, 2.0, 3.0, 1.0]))}
    cut = slice_items([item], tmp_path / "cache", axcodes="PLS")
    found = [np.argwhere(np.asarray(nib.load(c["image"]).dataobj) == 7).tolist() for c in cut]
    assert found == [[], [], [], [[0, 0]]]
    assert cut[0]["spacing"] == [2.0, 1.0]


@given(
    st.sampled_from(CODES),
    st.tuples(*[st.floats(-180, 180)] * 3),
    st.tuples(*[st.floats(0.3, 9)] * 3),
    st.booleans(),
)
def test_any_affine_as_monai_turns_it(
    axcodes: str, angles: tuple[float, ...], spacing: tuple[float, float, float], mirrored: bool
) -> None:
    directions = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * [-1 if mirrored else 1, 1, 1]
    values, _ = volume()
    affine = affine_of(directions, spacing)
    expected = Orientation(axcodes, labels=None)(MetaTensor(values[None].copy(), affine=affine))
    turned, grid = turn_axes(values, Grid(values.shape, affine), axcodes)
    np.testing.assert_array_equal(turned, expected[0].numpy())
    np.testing.assert_allclose(grid.affine, expected.affine.numpy(), atol=1e-9)
    assert grid.shape == turned.shape


def test_no_affine_counts_as_ras() -> None:
    values, _ = volume()
    turned, _ = turn_axes(values, Grid(values.shape), "LPS")
    np.testing.assert_array_equal(turned, values[::-1, ::-1])


def test_channels_turn_with_their_volume(tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(0, 100, (4, 5, 3, 2)).astype(np.int16)
    item = {"image": save(tmp_path / "v.nii.gz", values, affine_of(PERMUTED))}
    steps = [LoadImaged(["image"], ensure_channel_first=True), Orientationd(["image"], "PLS", labels=None)]
    expected = Compose(steps)(item)["image"].numpy()
    for k, cut in enumerate(slice_items([item], tmp_path / "cache", axcodes="PLS")):
        channels = [np.asarray(nib.load(path).dataobj) for path in cut["image"]]
        np.testing.assert_array_equal(np.stack(channels), expected[..., k])


def test_each_axcodes_has_slices_of_its_own_and_none_keeps_the_old(tmp_path: Path) -> None:
    item = {"image": save(tmp_path / "v.nii.gz", volume()[0], np.diag([-1.0, -1, 8, 1])), "id": "a"}
    folders = {
        axcodes: Path(slice_items([item], tmp_path / "cache", axcodes=axcodes)[0]["image"]).parent
        for axcodes in (None, "PLS", "RAS")
    }
    assert len(set(folders.values())) == 3
    assert slice_items([item], tmp_path / "cache") == slice_items([item], tmp_path / "cache", axis=2)


def test_2d_files_stay_as_they_are(tmp_path: Path) -> None:
    item = {"image": save(tmp_path / "flat.nii.gz", volume()[0][..., 0], np.diag([-1.0, -1, 1, 1]))}
    assert slice_items([item], tmp_path / "cache", axcodes="PLS") == [item]


@pytest.mark.parametrize("axcodes", ["", "PL", "PLSS", "RLS", "pls", "XYZ", "PPS"])
def test_codes_that_name_no_axes(tmp_path: Path, axcodes: str) -> None:
    with pytest.raises(ValueError, match="one each of L/R, P/A and I/S"):
        check_axcodes(axcodes)
    with pytest.raises(ValueError, match="axcodes"):
        slice_items([], tmp_path, axcodes=axcodes)
    with pytest.raises(ValueError, match="axcodes"):
        training_items(tmp_path, axcodes=axcodes)


def test_an_axis_besides_axcodes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Drop axis"):
        slice_items([], tmp_path, axcodes="PLS", axis=0)


def test_training_items_turn_volumes(tmp_path: Path) -> None:
    values, label = volume()
    affine = affine_of(np.diag([-1.0, 1, 1]))
    item = {"image": "i.nii.gz", "label": "l.nii.gz", "id": "a", "patient": "a"}
    save(tmp_path / "i.nii.gz", values, affine)
    save(tmp_path / "l.nii.gz", label, affine)
    write_datalist(tmp_path / "datalist.json", {"training": [item]})
    cut = training_items(tmp_path, axcodes="PLS")
    for k, slice_item in enumerate(cut):
        turned = values[:, ::-1, k].T  # x already runs to the left
        np.testing.assert_array_equal(read_array(slice_item["image"])[0], turned)
