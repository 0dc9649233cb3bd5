"""CT in HU is let through, everything else is refused with the way out."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from monai_levelset.data.ct import GREY_VALUES, check_ct
from monai_levelset.data.errors import DataError
from tests.dicom_files import write_series

HU = (0, 280)
AFFINE = np.diag([0.7, 0.7, 5.0, 1.0])


def body(shape: tuple[int, ...] = (20, 20, 4)) -> NDArray[np.int16]:
    """Soft tissue with 6 % fat and no air, as a volume cut close to the body may be."""
    values = np.random.default_rng(0).normal(60, 40, shape)
    values[:, 0] = -100
    values[0] = -100
    values[1:, 1:][values[1:, 1:] < -20] = 0
    return values.astype(np.int16)


def save(path: Path, values: NDArray, affine: NDArray = AFFINE) -> Path:
    nib.save(nib.Nifti1Image(values, affine), path)
    return path


def refusal(path: Path, window: tuple[float, float]) -> str:
    with pytest.raises(DataError) as caught:
        check_ct([path], window=window)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


def test_ct_passes(tmp_path: Path) -> None:
    paths = [save(tmp_path / "a.nii.gz", body()), save(tmp_path / "b.nii", body((20, 20)))]
    paths.append(write_series(tmp_path / "c", body(), np.diag([-0.7, -0.7, 5.0, 1.0])))
    check_ct(paths, window=HU)


@pytest.mark.parametrize("how", ["shifted", "mr", "ringing", "mask", "windowed"])
def test_what_is_not_in_hu_is_refused(tmp_path: Path, how: str) -> None:
    values = body().astype(np.float32)
    rng = np.random.default_rng(1)
    changed = {
        "shifted": values + 1024,
        "mr": rng.gamma(2, 300, values.shape),
        "ringing": rng.gamma(1, 300, values.shape) - 30,
        "mask": values > 80,
        "windowed": values.clip(0, 280),
    }[how]
    text = refusal(save(tmp_path / "a.nii.gz", changed.astype(np.float32)), HU)
    assert "no CT in HU: its values go from" in text
    assert "0 % of them below -50, where CT has fat and air" in text
    assert "Save it with its rescaling" in text


def test_the_window_may_be_that_of_unscaled_values(tmp_path: Path) -> None:
    check_ct([save(tmp_path / "a.nii.gz", body() + 1024)], window=(1024, 1304))


def test_the_check_can_be_left_out(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii.gz", body().clip(0))
    check_ct([path], window=HU, must_be_hu=False)
    assert "leave slices.json out" in refusal(save(path, body() * 10), GREY_VALUES)
    with pytest.raises(DataError, match="leave slices.json out"):
        check_ct([path], window=GREY_VALUES, must_be_hu=False)


def test_pictures_need_the_window_of_pictures(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(body((20, 20)).clip(0, 255).astype(np.uint8)).save(path)
    text = refusal(path, HU)
    assert "a picture holds no Hounsfield units" in text
    assert "slices.json as a second configuration" in text
    check_ct([path], window=GREY_VALUES)
    assert "values from -100 to" in refusal(save(tmp_path / "a.nii.gz", body()), GREY_VALUES)
    assert "leave slices.json out" in refusal(save(tmp_path / "a.nii.gz", body() * 10 + 1000), GREY_VALUES)


@pytest.mark.parametrize(("axes", "axial"), [([0, 1, 2], 1), ([1, 0, 2], 1), ([0, 2, 1], 0), ([2, 1, 0], 0)])
def test_slices_must_be_axial_volumes_need_not(tmp_path: Path, axes: list[int], axial: int) -> None:
    tilt = np.array([[1, 0.1, 0, 5], [-0.1, 0.9, 0.4, 0], [0, -0.4, 0.9, 0], [0, 0, 0, 1]]) @ AFFINE
    affine = tilt[:, [*axes, 3]]
    check_ct([save(tmp_path / "volume.nii.gz", body(), affine)], window=HU)
    path = save(tmp_path / "slice.nii.gz", body((20, 20)), affine)
    if axial:
        check_ct([path], window=HU)
    else:
        assert "not axial" in refusal(path, HU)


def test_all_problems_are_listed_unreadable_and_mixed_ones_too(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(b"no gzip")
    write_series(tmp_path / "b", body((9, 9, 6)), np.diag([-0.7, -0.7, 5.0, 1.0]), skip=[2])
    with pytest.raises(DataError, match="3 problems") as caught:
        check_ct([tmp_path / "a.nii.gz", tmp_path / "b", tmp_path / "c.nii"], window=HU)
    for words in ("a.nii.gz: cannot be read", "1 slice missing", "c.nii: the file does not exist"):
        assert words in str(caught.value)
