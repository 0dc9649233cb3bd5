from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from monai_levelset.metrics import check_same_grid, load_volume
from monai_levelset.metrics.volume import load_label


def save_nifti(path: Path, array: np.ndarray, spacing: tuple[float, ...] = (1.0, 1.0, 1.0)) -> Path:
    nib.save(nib.Nifti1Image(array, np.diag([*spacing, 1.0])), path)
    return path


def save_png(path: Path, array: np.ndarray) -> Path:
    Image.fromarray(array).save(path)
    return path


def test_nifti_keeps_values_and_spacing(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    volume = load_volume(save_nifti(tmp_path / "a.nii.gz", array, (0.5, 2.0, 3.0)))
    np.testing.assert_array_equal(volume.array, array)
    assert volume.spacing == (0.5, 2.0, 3.0)


def test_png_axes_are_x_y_like_nifti(tmp_path: Path) -> None:
    picture = np.zeros((3, 5), dtype=np.uint8)
    picture[2, 4] = 255
    volume = load_volume(save_png(tmp_path / "a.png", picture))
    assert volume.array.shape == (5, 3)
    assert volume.array[4, 2] == 255
    assert (volume.spacing, volume.affine) == ((1.0, 1.0), None)


def test_a_volume_of_one_slice_is_a_slice(tmp_path: Path) -> None:
    volume = load_volume(
        save_nifti(tmp_path / "a.nii.gz", np.ones((4, 5, 1), dtype=np.uint8), (0.5, 2.0, 8.0))
    )
    assert volume.array.shape == (4, 5)
    assert volume.spacing == (0.5, 2.0)


def test_missing_and_corrupt_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no\.nii"):
        load_volume(tmp_path / "no.nii")
    for name in ("bad.png", "bad.nii.gz"):
        (tmp_path / name).write_bytes(b"not an image")
        with pytest.raises(ValueError, match=rf"{name}: cannot be read"):
            load_volume(tmp_path / name)


def test_only_label_maps_pass_as_labels(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="channels"):
        load_label(save_png(tmp_path / "rgb.png", np.zeros((4, 4, 3), dtype=np.uint8)))
    with pytest.raises(ValueError, match="fractions"):
        load_label(save_nifti(tmp_path / "p.nii", np.full((2, 2, 2), 0.5, dtype=np.float32)))
    with pytest.raises(ValueError, match="NaN"):
        load_label(save_nifti(tmp_path / "n.nii", np.full((2, 2, 2), np.nan, dtype=np.float32)))
    whole = load_label(save_nifti(tmp_path / "w.nii", np.full((2, 2, 2), 2.0, dtype=np.float32)))
    assert np.issubdtype(whole.array.dtype, np.integer)


def test_grids_that_differ_name_both_files(tmp_path: Path) -> None:
    a = load_volume(save_nifti(tmp_path / "a.nii", np.ones((4, 4, 4), dtype=np.uint8)))
    b = load_volume(save_nifti(tmp_path / "b.nii", np.ones((4, 4, 5), dtype=np.uint8)))
    c = load_volume(save_nifti(tmp_path / "c.nii", np.ones((4, 4, 4), dtype=np.uint8), (1.0, 1.0, 2.0)))
    with pytest.raises(ValueError, match=r"a\.nii and .*b\.nii differ in shape"):
        check_same_grid(a, b)
    with pytest.raises(ValueError, match=r"a\.nii and .*c\.nii differ in affine"):
        check_same_grid(a, c)
    check_same_grid(a, a)


def test_colour_picture_lies_on_its_grey_label(tmp_path: Path) -> None:
    colour = load_volume(save_png(tmp_path / "c.png", np.zeros((4, 6, 3), dtype=np.uint8)))
    check_same_grid(colour, load_label(save_png(tmp_path / "l.png", np.zeros((4, 6), dtype=np.uint8))))
