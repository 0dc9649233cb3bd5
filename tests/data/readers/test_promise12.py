"""PROMISE12: MetaImage with raw and zraw, cases of equal numbers in several parts."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from monai_levelset.data.checks import check_items
from monai_levelset.data.errors import DataError
from monai_levelset.data.grids import read_array
from monai_levelset.data.readers.promise12 import read_promise12

SHAPE = (6, 7, 5)


def write_mhd(path, values, *, compressed=False, offset=(-95.2, 87.0, -40.5), end="\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = path.with_suffix(".zraw" if compressed else ".raw")
    content = values.tobytes(order="F")
    content = zlib.compress(content) if compressed else content
    lines = ["ObjectType = Image", "NDims = 3", "BinaryData = True", "BinaryDataByteOrderMSB = False"]
    lines += ["CompressedData = True", f"CompressedDataSize = {len(content)}"] if compressed else []
    lines += ["TransformMatrix = 1 0 0 0 1 0 0 0 1", f"Offset = {' '.join(map(str, offset))}"]
    lines += ["CenterOfRotation = 0 0 0", "AnatomicalOrientation = RAI"]
    lines += ["ElementSpacing = 0.625 0.625 3.6", f"DimSize = {' '.join(map(str, SHAPE))}"]
    lines += [f"ElementType = {'MET_SHORT' if values.dtype == np.int16 else 'MET_CHAR'}"]
    lines += [f"ElementDataFile = {data.name}"]
    path.write_text(end.join(lines) + end, newline="")
    data.write_bytes(content)


def write_case(folder, name, *, label=True, compressed=False, **header):
    image = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE) + int(name[-2:])
    mask = np.zeros(SHAPE, np.int8)
    mask[2:4, 2:5, 1:4] = 1
    write_mhd(folder / f"{name}.mhd", image, compressed=compressed)
    if label:
        write_mhd(folder / f"{name}_segmentation.mhd", mask, compressed=compressed, **header)
    return image, mask


def test_the_official_layout(tmp_path):
    image, mask = write_case(tmp_path / "TrainingData_Part1", "Case00")
    write_case(tmp_path / "TrainingData_Part2", "Case17", compressed=True)
    write_case(tmp_path / "TestData", "Case00", label=False)
    write_case(tmp_path / "livechallenge_test_data", "Case00", label=False)
    dataset = read_promise12(tmp_path)
    assert [(c.id, c.section, len(c.label)) for c in dataset.cases] == [
        ("Case00", None, 1),
        ("Case17", None, 1),
        ("live-Case00", "test", 0),
        ("test-Case00", "test", 0),
    ]
    assert all(case.convert is None for case in dataset.cases[2:])
    converted = [case.convert(case, tmp_path / "out") for case in dataset.cases[:2]]
    pairs = [{"image": str(images[0]), "label": str(labels[0])} for images, labels in converted]
    check_items(pairs, label_values=(0, 1))
    np.testing.assert_array_equal(read_array(dataset.cases[0].image[0])[0], image)
    for pair in pairs:
        np.testing.assert_array_equal(read_array(pair["label"])[0], mask)
    np.testing.assert_array_equal(read_array(dataset.cases[1].image[0])[0], image + 17)


def test_labelled_test_cases_keep_their_label(tmp_path):
    write_case(tmp_path / "test_data", "Case03")
    (case,) = read_promise12(tmp_path).cases
    assert (case.id, case.section, case.label[0].name) == ("test-Case03", "test", "Case03_segmentation.mhd")


def test_windows_line_ends_and_a_deeper_folder(tmp_path):
    folder = tmp_path / "promise 12" / "TrainingData"
    write_case(folder, "Case05", end="\r\n")
    assert [case.id for case in read_promise12(tmp_path).cases] == ["Case05"]


def test_a_label_elsewhere_is_refused_even_where_only_a_sign_differs(tmp_path):
    write_case(tmp_path, "Case01", offset=(95.2, 87.0, -40.5))
    with pytest.raises(DataError, match=r"Case01_segmentation\.mhd: its header puts it elsewhere"):
        read_promise12(tmp_path)


def test_every_missing_file_is_named(tmp_path):
    write_case(tmp_path, "Case01", label=False)
    write_case(tmp_path, "Case02")
    (tmp_path / "Case02.mhd").unlink()
    write_case(tmp_path, "Case03", compressed=True)
    (tmp_path / "Case03.zraw").unlink()
    write_case(tmp_path, "Case04")
    (tmp_path / "Case04.mhd").write_text("NDims = 3\n")
    with pytest.raises(DataError, match="4 problems") as caught:
        read_promise12(tmp_path)
    for words in (
        "Case01.mhd: its label Case01_segmentation is missing",
        "Case02_segmentation.mhd: its image is missing",
        "Case03.zraw: missing",
        "Case04.mhd: no MetaImage header, DimSize and ElementDataFile missing",
    ):
        assert words in str(caught.value)


def test_stray_images_are_reported(tmp_path):
    write_case(tmp_path, "Case01")
    (tmp_path / "prediction.mha").write_bytes(b"x")
    assert read_promise12(tmp_path).skipped == [f"{tmp_path / 'prediction.mha'}: not named like PROMISE12"]


def test_the_real_nifti_copy(data_root, tmp_path):
    folder = data_root / "prostate" / "promise12_case00"
    for name in ("Case00.nii.gz", "Case00_segmentation.nii.gz"):
        (tmp_path / name).symlink_to(folder / name)
    (case,) = read_promise12(tmp_path).cases
    assert case.convert is None
    check_items([{"image": str(case.image[0]), "label": str(case.label[0])}], label_values=(0, 1))
