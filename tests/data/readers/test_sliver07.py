"""SLIVER07: MetaImage pairs exactly as the archives hold them, and labels whose header is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from monai.transforms import LoadImaged

from monai_levelset.data.checks import check_items
from monai_levelset.data.errors import DataError
from monai_levelset.data.grids import read_array
from monai_levelset.data.readers.sliver07 import read_sliver07

SHAPE = (8, 7, 6)
SPACING, OFFSET = (0.7, 0.7, 2.0), (-12.5, 30.25, -110.0)


def write_mhd(path, values, spacing=SPACING, offset=OFFSET, matrix=(1, 0, 0, 0, 1, 0, 0, 0, 1)):
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {"int16": "MET_SHORT", "int8": "MET_CHAR", "uint8": "MET_UCHAR"}[values.dtype.name]
    text = {
        "ObjectType": "Image",
        "NDims": 3,
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "TransformMatrix": " ".join(map(str, matrix)),
        "Offset": " ".join(map(str, offset)),
        "ElementSpacing": " ".join(map(str, spacing)),
        "DimSize": " ".join(map(str, values.shape)),
        "ElementType": kind,
        "ElementDataFile": path.with_suffix(".raw").name,
    }
    path.write_text("".join(f"{key} = {value}\n" for key, value in text.items()))
    path.with_suffix(".raw").write_bytes(values.tobytes(order="F"))


def scan_and_label(number=0):
    mask = np.zeros(SHAPE, np.int8)
    mask[1:4, 2:5, 3:5] = 1
    scan = np.full(SHAPE, -900, np.int16)
    scan[mask > 0] = 110 + number
    return scan, mask


def write_set(root: Path, numbers=(1, 2), **label_header):
    for n in numbers:
        scan, mask = scan_and_label(n)
        write_mhd(root / "scan" / f"liver-orig{n:03d}.mhd", scan)
        write_mhd(root / "label" / f"liver-seg{n:03d}.mhd", mask, **label_header)


def test_labels_that_monai_reads_are_used_as_they_are(tmp_path):
    scan, mask = scan_and_label()
    write_mhd(tmp_path / "liver-orig001.mhd", scan)
    write_mhd(tmp_path / "liver-seg001.mhd", mask.astype(np.uint8))
    (case,) = read_sliver07(tmp_path).cases
    assert case.convert is None
    check_items([{"image": str(case.image[0]), "label": str(case.label[0])}], label_values=(0, 1))


def test_the_official_layout(tmp_path):
    source = tmp_path / "Leber Ü 07"
    write_set(source / "training-scans", numbers=())
    write_set(source, numbers=range(1, 21))
    for n in (1, 2):
        write_mhd(source / "test-scans" / f"liver-test{n:03d}.mhd", scan_and_label()[0])
    (source / "scan" / "._liver-orig001.mhd").write_text("junk")
    dataset = read_sliver07(source)
    labelled = [case for case in dataset.cases if case.label]
    assert [case.id for case in labelled] == [f"liver-{n:03d}" for n in range(1, 21)]
    assert {case.section for case in labelled} == {None}
    assert [(c.id, c.section) for c in dataset.cases if not c.label] == [
        ("liver-test001", "test"),
        ("liver-test002", "test"),
    ]
    assert all(case.convert is None for case in dataset.cases if not case.label)
    assert dataset.skipped == []
    converted = [case.convert(case, tmp_path / "out") for case in labelled[:5]]
    items = [{"image": str(images[0]), "label": str(labels[0])} for images, labels in converted]
    assert [item["image"] for item in items] == [str(case.image[0]) for case in labelled[:5]]
    check_items(items, label_values=(0, 1))
    loaded = LoadImaged(["image", "label"])(items[4])
    np.testing.assert_array_equal(loaded["label"].numpy(), scan_and_label()[1])
    np.testing.assert_array_equal(loaded["image"].numpy(), scan_and_label(5)[0])
    np.testing.assert_allclose(loaded["image"].affine.numpy(), loaded["label"].affine.numpy())
    np.testing.assert_allclose(loaded["image"].affine.numpy()[:3, 3], [12.5, -30.25, -110.0])


def test_scans_of_a_test_folder_need_no_label(tmp_path):
    write_set(tmp_path / "training")
    write_mhd(tmp_path / "test-scans" / "scan" / "liver-orig001.mhd", scan_and_label()[0])
    assert [case.id for case in read_sliver07(tmp_path).cases] == ["liver-001", "liver-002", "liver-test001"]


@pytest.mark.parametrize(
    "header",
    [
        {"offset": (12.5, 30.25, -110.0)},
        {"offset": (0, 0, 0)},
        {"offset": (-13, 30, -110)},
        {"matrix": (1, 0, 0, 0, 1, 0, 0, 0, -1)},
        {"spacing": (0.7, 0.7, -2.0)},
        {"spacing": (0.703, 0.7, 2.0), "offset": (-12.5, 30.25, 110.0)},
    ],
    ids=["sign", "no offset", "rounded", "axis", "negative spacing", "spacing and sign"],
)
def test_a_defect_of_the_label_header_is_mended(tmp_path, header):
    write_set(tmp_path / "in", numbers=(3,), **header)
    (case,) = read_sliver07(tmp_path / "in").cases
    assert case.convert is not None
    images, labels = case.convert(case, tmp_path / "out")
    assert images == list(case.image)
    assert [path.name for path in labels] == ["liver-003.nii.gz"]
    check_items([{"image": str(images[0]), "label": str(labels[0])}], label_values=(0, 1))
    np.testing.assert_array_equal(read_array(labels[0])[0], scan_and_label()[1])


def test_a_label_that_is_really_turned_is_turned_back(tmp_path):
    scan, mask = scan_and_label(1)
    write_mhd(tmp_path / "in" / "liver-orig001.mhd", scan)
    last = OFFSET[2] + 2.0 * (SHAPE[2] - 1)
    turned = (1, 0, 0, 0, 1, 0, 0, 0, -1)
    write_mhd(
        tmp_path / "in" / "liver-seg001.mhd", mask[:, :, ::-1], offset=(*OFFSET[:2], last), matrix=turned
    )
    (case,) = read_sliver07(tmp_path / "in").cases
    _, labels = case.convert(case, tmp_path / "out")
    np.testing.assert_array_equal(read_array(labels[0])[0], mask)


def test_a_label_on_no_tissue_is_refused(tmp_path):
    write_set(tmp_path, numbers=(1,), offset=(0, 0, 0))
    write_mhd(tmp_path / "label" / "liver-seg001.mhd", scan_and_label()[1][::-1].copy(), offset=(0, 0, 0))
    (case,) = read_sliver07(tmp_path).cases
    with pytest.raises(DataError, match=r"liver-seg001\.mhd: only \d+% of it lies on tissue"):
        case.convert(case, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_turned_header_over_symmetric_voxels_is_refused(tmp_path):
    scan, mask = np.full(SHAPE, 100, np.int16), scan_and_label()[1]
    write_mhd(tmp_path / "liver-orig001.mhd", scan)
    write_mhd(tmp_path / "liver-seg001.mhd", mask, matrix=(1, 0, 0, 0, 1, 0, 0, 0, -1))
    (case,) = read_sliver07(tmp_path).cases
    with pytest.raises(DataError, match="turned and unturned"):
        case.convert(case, tmp_path / "out")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"offset": (-12.5, 30.25, -60.0)}, r"its offset .* is not that of its image"),
        ({"spacing": (0.7, 0.7, 2.5)}, r"its spacing \[0.7, 0.7, 2.5\] is not that of its image"),
        ({"matrix": (0.8, 0.6, 0, -0.6, 0.8, 0, 0, 0, 1)}, "not parallel"),
    ],
)
def test_other_differences_are_refused_for_every_case(tmp_path, header, message):
    write_set(tmp_path, **header)
    with pytest.raises(DataError, match=message) as caught:
        read_sliver07(tmp_path)
    assert "liver-seg001.mhd" in str(caught.value)
    assert "liver-seg002.mhd" in str(caught.value)


def test_every_missing_or_truncated_file_is_named(tmp_path):
    write_set(tmp_path, numbers=range(1, 6))
    (tmp_path / "label" / "liver-seg001.mhd").unlink()
    (tmp_path / "scan" / "liver-orig002.mhd").unlink()
    (tmp_path / "scan" / "liver-orig003.raw").unlink()
    raw = tmp_path / "label" / "liver-seg004.raw"
    raw.write_bytes(raw.read_bytes()[:-1])
    write_mhd(tmp_path / "copy" / "liver-orig005.mhd", scan_and_label()[0])
    with pytest.raises(DataError, match="5 problems") as caught:
        read_sliver07(tmp_path)
    for words in (
        "liver-orig001.mhd: no label liver-seg001.mhd",
        "liver-seg002.mhd: no scan liver-orig002.mhd",
        "liver-orig003.raw: missing",
        "liver-seg004.raw: truncated, 335 of 336 bytes",
        "liver-orig005.mhd: the same case as",
    ):
        assert words in str(caught.value)


def test_no_scan_at_all_and_unknown_options(tmp_path):
    (tmp_path / "liver.nii").touch()
    with pytest.raises(DataError, match="no scan liver-orig001"):
        read_sliver07(tmp_path)
    with pytest.raises(DataError, match="no option contour"):
        read_sliver07(tmp_path, contour="x")
