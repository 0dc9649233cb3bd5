"""LiTS: names of both batches, affines that differ between scan and label."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from monai_levelset.data.checks import check_items
from monai_levelset.data.errors import DataError
from monai_levelset.data.grids import read_array, read_grid
from monai_levelset.data.readers.lits import read_lits

SHAPE = (7, 8, 6)
AFFINE = np.array([[-0.8, 0, 0, 172.9], [0, -0.8, 0, 179.3], [0, 0, 2.5, -368.0], [0, 0, 0, 1.0]])


def scan_and_label():
    mask = np.zeros(SHAPE, np.uint8)
    mask[1:4, 2:5, 3:5] = 1
    mask[2, 3, 4] = 2
    return np.where(mask > 0, 90, -1000).astype(np.int16), mask


def save(path, values, affine):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, affine), path)


def write_pair(folder, number, *, affine=AFFINE, label_affine=None, mask=None, end=".nii"):
    scan, own = scan_and_label()
    save(folder / f"volume-{number}{end}", scan, affine)
    mask = own if mask is None else mask
    save(folder / f"segmentation-{number}{end}", mask, affine if label_affine is None else label_affine)


def test_the_official_layout(tmp_path):
    write_pair(tmp_path / "Training Batch 1", 0)
    write_pair(tmp_path / "Training Batch 2", 28, affine=np.eye(4))
    write_pair(tmp_path / "Training Batch 2", 130, end=".nii.gz")
    save(tmp_path / "Test Data" / "test-volume-0.nii", scan_and_label()[0], AFFINE)
    (tmp_path / "Training Batch 1" / "._volume-0.nii").write_text("junk")
    dataset = read_lits(tmp_path)
    assert [(c.id, c.section, len(c.label), c.extra) for c in dataset.cases] == [
        ("volume-000", None, 1, {"spacing_known": True}),
        ("volume-028", None, 1, {"spacing_known": False}),
        ("volume-130", None, 1, {"spacing_known": True}),
        ("test-volume-000", "test", 0, {"spacing_known": True}),
    ]
    assert all(case.convert is None for case in dataset.cases)
    pairs = [{"image": str(c.image[0]), "label": str(c.label[0])} for c in dataset.cases[:3]]
    check_items(pairs, label_values=(0, 1, 2))


def flipped(affine, axis):
    """The same voxel centres, counted from the other end."""
    turned = affine.copy()
    turned[:, 3] += turned[:, axis] * (SHAPE[axis] - 1)
    turned[:, axis] *= -1
    return turned


def moved(change):
    affine = AFFINE.copy()
    affine[:3, 3] = change(affine[:3, 3])
    return affine


@pytest.mark.parametrize(
    "label_affine",
    [
        moved(np.round),
        moved(np.negative),
        moved(np.zeros_like),
        np.abs(AFFINE) * np.sign(AFFINE + np.eye(4) * 2),
        flipped(AFFINE, 2),
        flipped(flipped(AFFINE, 0), 1),
    ],
    ids=["rounded", "sign of offset", "no offset", "signs", "z turned in the header alone", "x and y"],
)
def test_a_defect_of_the_label_header_is_mended(tmp_path, label_affine):
    write_pair(tmp_path, 4, label_affine=label_affine)
    (case,) = read_lits(tmp_path).cases
    assert case.convert is not None
    images, labels = case.convert(case, tmp_path / "out")
    assert images == list(case.image)
    values, grid = read_array(labels[0])
    np.testing.assert_array_equal(values, scan_and_label()[1])
    np.testing.assert_allclose(grid.affine, read_grid(images[0]).affine)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_label_that_is_really_turned_is_turned_back(tmp_path, axis):
    mask = np.flip(scan_and_label()[1], axis)
    write_pair(tmp_path, 4, mask=mask, label_affine=flipped(AFFINE, axis))
    (case,) = read_lits(tmp_path).cases
    _, labels = case.convert(case, tmp_path / "out")
    np.testing.assert_array_equal(read_array(labels[0])[0], scan_and_label()[1])


def test_swapped_axes_are_swapped_back(tmp_path):
    mask = np.transpose(scan_and_label()[1], (2, 0, 1))
    write_pair(tmp_path, 4, mask=mask, label_affine=AFFINE[:, [2, 0, 1, 3]])
    (case,) = read_lits(tmp_path).cases
    _, labels = case.convert(case, tmp_path / "out")
    np.testing.assert_array_equal(read_array(labels[0])[0], scan_and_label()[1])


def test_differences_that_are_no_known_defect_are_refused_together(tmp_path):
    write_pair(tmp_path, 1, label_affine=AFFINE @ np.diag([1.02, 1, 1, 1]))
    write_pair(tmp_path, 2, label_affine=moved(lambda offset: offset + np.array([0, 0, 5.0])))
    write_pair(tmp_path, 3, mask=np.ones((7, 8, 5), np.uint8))
    with pytest.raises(DataError, match="3 problems") as caught:
        read_lits(tmp_path)
    for words in (
        "segmentation-1.nii: its spacing [0.816, 0.8, 2.5] is not that of its image [0.8, 0.8, 2.5]",
        "segmentation-2.nii: its offset",
        "segmentation-3.nii: its size (7, 8, 5) is not that of its image (7, 8, 6)",
    ):
        assert words in str(caught.value)


def test_a_spacing_within_one_percent_is_rounding(tmp_path):
    write_pair(tmp_path, 1, label_affine=AFFINE @ np.diag([1.009, 1, 1, 1]))
    (case,) = read_lits(tmp_path).cases
    _, labels = case.convert(case, tmp_path / "out")
    np.testing.assert_allclose(read_grid(labels[0]).affine, AFFINE)


def test_every_missing_or_doubled_file_is_named(tmp_path):
    for number in range(4):
        write_pair(tmp_path, number)
    (tmp_path / "segmentation-1.nii").unlink()
    (tmp_path / "volume-2.nii").unlink()
    write_pair(tmp_path / "copy", 3)
    with pytest.raises(DataError, match="4 problems") as caught:
        read_lits(tmp_path)
    for words in (
        "volume-1.nii: its label segmentation-1.nii is missing",
        "segmentation-2.nii: its scan volume-2.nii is missing",
        "volume-3.nii: the same case as",
        "segmentation-3.nii: the same case as",
    ):
        assert words in str(caught.value)


def test_a_truncated_file_is_left_to_the_check_of_every_voxel(tmp_path):
    write_pair(tmp_path, 0)
    path = tmp_path / "volume-0.nii"
    path.write_bytes(path.read_bytes()[:300])
    (case,) = read_lits(tmp_path).cases
    with pytest.raises(DataError, match=r"volume-0\.nii"):
        check_items([{"image": str(case.image[0])}], keys=("image",))


def test_an_empty_folder_and_stray_files(tmp_path):
    with pytest.raises(DataError, match="empty"):
        read_lits(tmp_path)
    (tmp_path / "liver_0.nii").touch()
    with pytest.raises(DataError, match=r"no scan volume-0\.nii"):
        read_lits(tmp_path)
    write_pair(tmp_path, 0)
    assert read_lits(tmp_path).skipped == [f"{tmp_path / 'liver_0.nii'}: not named like LiTS"]
