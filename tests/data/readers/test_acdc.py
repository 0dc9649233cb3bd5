"""ACDC: official patients with Info.cfg and contradicting headers, and the flat benchmark layout."""

from __future__ import annotations

import json
import shutil

import nibabel as nib
import numpy as np
import pytest

from monai_levelset.data.checks import check_items
from monai_levelset.data.errors import DataError
from monai_levelset.data.grids import read_array
from monai_levelset.data.readers.acdc import read_acdc

SHAPE = (6, 7, 4)
SPACING = (1.5625, 1.5625, 10.0)
INFO = "ED: 1\nES: {es}\nGroup: DCM\nHeight: 184.0\nNbFrame: 30\nWeight: 95.0\n"


def save(path, values, *, sform_spacing=SPACING):
    """As the official files: pixdim and qform hold the spacing, sform what `sform_spacing` says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(values, np.diag([-SPACING[0], -SPACING[1], SPACING[2], 1.0]))
    image.set_qform(image.affine, code=1)
    image.header.set_zooms(SPACING)
    image.header["sform_code"] = 1
    image.header["srow_x"] = [-sform_spacing[0], 0, 0, 0]
    image.header["srow_y"] = [0, -sform_spacing[1], 0, 0]
    image.header["srow_z"] = [0, 0, sform_spacing[2], 0]
    image._affine = image.header.get_best_affine()
    path.write_bytes(b"")
    with nib.openers.Opener(path, "wb") as file:
        image.header["vox_offset"] = 352
        image.header["magic"] = b"n+1"
        image.header.write_to(file)
        file.write(b"\0" * (352 - file.tell()))
        file.write(np.asarray(values).tobytes(order="F"))


def frame(seed):
    mask = np.zeros(SHAPE, np.uint8)
    mask[1:3, 1:3, 1:3], mask[3, 1:3, 1:3], mask[4, 1:3, 1:3] = 1, 2, 3
    return (np.arange(mask.size).reshape(SHAPE) * 3 + seed).astype(np.int16), mask


def write_patient(folder, number, es=12, *, gt=True, **header):
    name = f"patient{number:03d}"
    for index, phase in enumerate((1, es)):
        image, mask = frame(number + index)
        save(folder / name / f"{name}_frame{phase:02d}.nii.gz", image, **header)
        if gt:
            save(folder / name / f"{name}_frame{phase:02d}_gt.nii.gz", mask, **header)
    nib.save(nib.Nifti1Image(np.zeros((*SHAPE, 2), np.int16), np.eye(4)), folder / name / f"{name}_4d.nii.gz")
    (folder / name / "Info.cfg").write_text(INFO.format(es=es))
    (folder / name / "MANDATORY_CITATION.md").write_text("cite")


def test_the_official_layout(tmp_path):
    write_patient(tmp_path / "ACDC" / "database" / "training", 1)
    write_patient(tmp_path / "ACDC" / "database" / "training", 2, es=9)
    write_patient(tmp_path / "ACDC" / "database" / "testing", 101)
    write_patient(tmp_path / "ACDC" / "database" / "testing", 102, gt=False)
    dataset = read_acdc(tmp_path)
    assert [(c.id, c.patient, c.section, len(c.label), c.extra["phase"]) for c in dataset.cases] == [
        ("patient001_frame01", "patient001", None, 1, "ED"),
        ("patient001_frame12", "patient001", None, 1, "ES"),
        ("patient002_frame01", "patient002", None, 1, "ED"),
        ("patient002_frame09", "patient002", None, 1, "ES"),
        ("patient101_frame01", "patient101", "test", 1, "ED"),
        ("patient101_frame12", "patient101", "test", 1, "ES"),
        ("patient102_frame01", "patient102", "test", 0, "ED"),
        ("patient102_frame12", "patient102", "test", 0, "ES"),
    ]
    assert dict(dataset.cases[3].extra) == {
        "phase": "ES",
        "frame": 9,
        "group": "DCM",
        "height": 184.0,
        "weight": 95.0,
    }
    assert dataset.labels["3"] == "left ventricle"
    assert all(case.convert is None for case in dataset.cases)
    pairs = [{"image": str(c.image[0]), "label": str(c.label[0])} for c in dataset.cases[:6]]
    check_items(pairs, label_values=(0, 1, 2, 3))


def test_a_sform_of_one_mm_gives_way_to_the_true_spacing(tmp_path):
    write_patient(tmp_path / "training", 7, sform_spacing=(1.0, 1.0, 1.0))
    case = read_acdc(tmp_path).cases[0]
    with pytest.raises(DataError, match="sform says spacing"):
        read_array(case.image[0])
    images, labels = case.convert(case, tmp_path / "out")
    assert [path.name for path in (*images, *labels)] == ["patient007_frame01.nii.gz"] * 2
    check_items([{"image": str(images[0]), "label": str(labels[0])}], label_values=(0, 1, 2, 3))
    values, grid = read_array(images[0])
    np.testing.assert_array_equal(values, frame(7)[0])
    assert values.dtype == np.int16
    assert grid.spacing == pytest.approx(SPACING)
    np.testing.assert_allclose(grid.affine, np.diag([-SPACING[0], -SPACING[1], SPACING[2], 1.0]))
    np.testing.assert_array_equal(read_array(labels[0])[0], frame(7)[1])


def test_without_qform_the_spacing_is_that_of_pixdim(tmp_path):
    write_patient(tmp_path / "training", 7, sform_spacing=(1.0, 1.0, 1.0))
    case = read_acdc(tmp_path).cases[0]
    image = nib.load(case.image[0])
    values = np.asarray(image.dataobj)
    raw = bytearray(nib.openers.Opener(case.image[0], "rb").read())
    raw[252:254] = b"\0\0"  # qform_code
    with nib.openers.Opener(case.image[0], "wb") as file:
        file.write(bytes(raw))
    images, _ = case.convert(case, tmp_path / "out")
    np.testing.assert_allclose(read_array(images[0])[1].affine, np.diag([*SPACING, 1.0]))
    np.testing.assert_array_equal(read_array(images[0])[0], values)


def test_a_label_of_another_size_is_refused_when_converted(tmp_path):
    write_patient(tmp_path / "training", 7, sform_spacing=(1.0, 1.0, 1.0))
    case = read_acdc(tmp_path).cases[0]
    save(case.label[0], np.zeros((6, 7, 3), np.uint8), sform_spacing=(1.0, 1.0, 1.0))
    with pytest.raises(DataError, match=r"frame01_gt\.nii\.gz: its size \(6, 7, 3\)"):
        case.convert(case, tmp_path / "out")


def test_every_missing_file_is_named(tmp_path):
    for number in range(1, 6):
        write_patient(tmp_path / "training", number)
    folder = tmp_path / "training"
    (folder / "patient001" / "Info.cfg").unlink()
    (folder / "patient002" / "patient002_frame12.nii.gz").unlink()
    (folder / "patient003" / "patient003_frame01_gt.nii.gz").unlink()
    (folder / "patient004" / "Info.cfg").write_text("ED: 1\nGroup: NOR\n")
    shutil.copytree(folder / "patient005", folder / "copy" / "patient005")
    with pytest.raises(DataError) as caught:
        read_acdc(tmp_path)
    for words in (
        "patient001: Info.cfg is missing",
        "patient002_frame12.nii.gz: missing, it is frame ES",
        "patient002_frame12_gt.nii.gz: its image patient002_frame12 is missing",
        "patient003_frame01.nii.gz: its label patient003_frame01_gt is missing",
        "Info.cfg: no line ES",
        "the same case as",
    ):
        assert words in str(caught.value)


def test_a_broken_info_is_named(tmp_path):
    write_patient(tmp_path / "training", 1)
    (tmp_path / "training" / "patient001" / "Info.cfg").write_text("ED: one\nES: 12\n")
    with pytest.raises(DataError, match=r"Info\.cfg: cannot be read"):
        read_acdc(tmp_path)


def write_flat(root):
    for name in ("patient002_frame01", "patient002_frame12", "patient003_frame01"):
        for kind, values in zip(("images", "labels"), frame(3), strict=True):
            (root / kind).mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(values.astype(np.uint8), np.eye(4)), root / kind / f"{name}.nii.gz")
    splits = {"train": ["patient003_frame01"], "val": ["patient002_frame01", "patient002_frame12"]}
    (root / "splits.json").write_text(json.dumps(splits))


def test_the_flat_layout(tmp_path):
    write_flat(tmp_path / "acdc")
    cases = read_acdc(tmp_path).cases
    assert [(c.id, c.patient, c.section, c.extra["frame"]) for c in cases] == [
        ("patient002_frame01", "patient002", "validation", 1),
        ("patient002_frame12", "patient002", "validation", 12),
        ("patient003_frame01", "patient003", "training", 1),
    ]


def test_the_flat_layout_must_agree_with_its_splits(tmp_path):
    write_flat(tmp_path)
    (tmp_path / "labels" / "patient002_frame01.nii.gz").unlink()
    (tmp_path / "images" / "patient002_frame12.nii.gz").unlink()
    shutil.copy(tmp_path / "images" / "patient003_frame01.nii.gz", tmp_path / "images" / "new.nii.gz")
    with pytest.raises(DataError, match="4 problems") as caught:
        read_acdc(tmp_path)
    for words in ("new.nii.gz: not in splits.json", "its label", "its image is missing", "lists it"):
        assert words in str(caught.value)


def test_a_folder_without_patients(tmp_path):
    (tmp_path / "a.txt").touch()
    with pytest.raises(DataError, match="no patient001"):
        read_acdc(tmp_path)


def test_the_real_flat_copy(data_root):
    dataset = read_acdc(data_root / "lv" / "acdc")
    assert len(dataset.cases) == 160
    sections = {s: {c.patient for c in dataset.cases if c.section == s} for s in ("training", "validation")}
    assert (len(sections["training"]), len(sections["validation"])) == (70, 10)
    assert all(case.convert is None for case in dataset.cases)
    pairs = [{"image": str(c.image[0]), "label": str(c.label[0])} for c in dataset.cases[:4]]
    check_items(pairs, label_values=(0, 1, 2, 3))
