"""DICOM series and CHAOS: order, grid and values of slices written with pydicom, and of the real copies."""

from __future__ import annotations

import pickle
import shutil

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from monai_levelset.data.checks import check_items
from monai_levelset.data.errors import DataError
from monai_levelset.data.grids import read_array
from monai_levelset.data.readers.dicom import read_chaos, read_dicom_folder

ROWS, COLUMNS, SLICES = 6, 8, 5
AXIAL = (1, 0, 0, 0, 1, 0)
OBLIQUE = (0.8, 0.6, 0, 0, 0, -1)
pytestmark = [
    pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning"),
]


def write_slice(path, pixels, position, *, orientation=AXIAL, series="1.2.3", **tags):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = CTImageStorage, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    data = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    data.SeriesInstanceUID, data.StudyInstanceUID, data.Modality = series, "1.2", "CT"
    data.PatientID, data.PatientName, data.SamplesPerPixel = "", "", 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.Rows, data.Columns = pixels.shape
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
    data.RescaleSlope, data.RescaleIntercept = 1, -1000
    data.PixelSpacing, data.SliceThickness = [0.75, 0.5], 3.2
    data.ImagePositionPatient, data.ImageOrientationPatient = list(position), list(orientation)
    data.PixelData = np.ascontiguousarray(pixels, dtype=np.uint16).tobytes()
    for key, value in tags.items():
        setattr(data, key, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)


def scan_and_mask():
    """HU and mask, (row, column, slice), slices along the normal."""
    mask = np.zeros((ROWS, COLUMNS, SLICES), bool)
    mask[1:4, 2:6, 2:4] = True
    mask[1, 2, 1] = True
    return np.where(mask, 110, -900) + np.arange(SLICES), mask


def write_series(folder, *, order=None, origin=(-20.0, 30.0, 100.0), step=2.0, skip=(), names=None, **tags):
    """Write slice k of the scan as file `order[k]`."""
    scan, _ = scan_and_mask()
    orientation = np.array(tags.get("orientation", AXIAL), float)
    normal = np.cross(orientation[:3], orientation[3:])
    order = range(SLICES) if order is None else order
    for k, number in enumerate(order):
        if k in skip:
            continue
        name = (names or "i{:04d},0000b.dcm").format(number)
        write_slice(folder / name, scan[..., k] + 1000, np.array(origin) + k * step * normal, **tags)


def convert(case, folder):
    images, labels = pickle.loads(pickle.dumps(case.convert))(case, folder)
    return read_array(images[0]), (read_array(labels[0]) if labels else None)


@pytest.mark.parametrize("order", [range(SLICES), range(SLICES)[::-1], [3, 0, 4, 1, 2]])
def test_slices_are_ordered_by_position_not_by_name(tmp_path, order):
    write_series(tmp_path / "Patient Ä 1" / "CT", order=order, names="{:03d}")
    dataset = read_dicom_folder(tmp_path)
    (case,) = dataset.cases
    assert (case.id, case.label, dataset.modality) == ("Patient_Ä_1_CT", (), "CT")
    (values, grid), _ = convert(case, tmp_path / "out")
    np.testing.assert_array_equal(values, scan_and_mask()[0].transpose(1, 0, 2))
    assert values.dtype == np.int16
    assert grid.spacing == pytest.approx((0.5, 0.75, 2.0))
    np.testing.assert_allclose(
        grid.affine, [[-0.5, 0, 0, 20], [0, -0.75, 0, -30], [0, 0, 2, 100], [0, 0, 0, 1]]
    )


def test_an_oblique_series_keeps_its_grid(tmp_path):
    write_series(tmp_path / "in", orientation=OBLIQUE)
    (case,) = read_dicom_folder(tmp_path / "in").cases
    (values, grid), _ = convert(case, tmp_path / "out")
    np.testing.assert_array_equal(values, scan_and_mask()[0].transpose(1, 0, 2))
    # row direction (0.8, 0.6, 0), column direction (0, 0, -1), normal (-0.6, 0.8, 0), all LPS
    expected = [[-0.4, 0, 1.2, 20], [-0.3, 0, -1.6, -30], [0, -0.75, 0, 100], [0, 0, 0, 1]]
    np.testing.assert_allclose(grid.affine, expected, atol=1e-6)


def test_the_rescaling_of_each_slice_counts(tmp_path):
    write_series(tmp_path / "in", skip=(4,))
    write_slice(tmp_path / "in" / "last.dcm", np.full((ROWS, COLUMNS), 9), (-20, 30, 108), RescaleSlope="0.5")
    (case,) = read_dicom_folder(tmp_path / "in").cases
    (values, _), _ = convert(case, tmp_path / "out")
    assert values.dtype == np.float32
    assert set(np.unique(values[..., 4])) == {-995.5}


def test_patients_are_hashed_and_series_of_a_folder_told_apart(tmp_path):
    for k, series in enumerate(("1.2.3", "1.2.4")):
        write_series(tmp_path / "a", series=series, names=f"s{k}-{{}}", PatientID="7", PatientName="Doe^Jo")
    write_series(tmp_path / "b", PatientID="7", PatientName="Doe^Jo")
    write_series(tmp_path / "c")
    cases = read_dicom_folder(tmp_path).cases
    assert [case.id for case in cases] == ["a-1", "a-2", "b", "c"]
    assert len({case.patient for case in cases[:3]}) == 1
    assert cases[0].patient.startswith("patient-")
    assert "Doe" not in str([case.patient for case in cases])
    assert cases[3].patient == "c"


def test_what_is_no_volume_is_left_out_and_reported(tmp_path):
    write_series(tmp_path)
    write_slice(tmp_path / "scout.dcm", np.ones((ROWS, COLUMNS)), (0, 0, 0), series="1.9")
    write_slice(tmp_path / "report.dcm", np.ones((ROWS, COLUMNS)), (0, 0, 0), PixelSpacing=None)
    (tmp_path / "notes.txt").write_text("x")
    dataset = read_dicom_folder(tmp_path)
    assert len(dataset.cases) == 1
    assert sorted(line.split(": ", 1)[1] for line in dataset.skipped) == [
        "DICOM without PixelSpacing, no slice of a volume",
        "no DICOM file",
        "the only slice of its series",
    ]


def refusal(folder):
    with pytest.raises(DataError) as caught:
        read_dicom_folder(folder)
    return str(caught.value)


def test_a_missing_slice_is_told_by_its_neighbours(tmp_path):
    write_series(tmp_path, skip=(3,))
    text = refusal(tmp_path)
    assert "i0002,0000b.dcm and " in text
    assert "i0004,0000b.dcm: 1 slice missing between them, they are 4 mm apart, the others 2 mm" in text


def test_doubled_uneven_and_tilted_slices_are_refused(tmp_path):
    write_series(tmp_path / "twice")
    write_slice(tmp_path / "twice" / "x.dcm", np.ones((ROWS, COLUMNS)), (-20, 30, 104))
    assert "the same position as" in refusal(tmp_path / "twice")
    write_series(tmp_path / "uneven", skip=(2,))
    write_slice(tmp_path / "uneven" / "x.dcm", np.ones((ROWS, COLUMNS)), (-20, 30, 104.9))
    assert "not evenly spaced (1.1 to 2.9 mm)" in refusal(tmp_path / "uneven")
    for k in range(4):
        write_slice(tmp_path / "tilted" / f"{k}.dcm", np.ones((ROWS, COLUMNS)), (0, 0.7 * k, 2 * k))
    assert "gantry tilted by 19.3 degrees" in refusal(tmp_path / "tilted")


def test_positions_rounded_to_a_tenth_are_even(tmp_path):
    for k in range(9):
        write_slice(tmp_path / f"{k}.dcm", np.ones((ROWS, COLUMNS)), (0, 0, round(0.625 * k, 1)))
    assert len(read_dicom_folder(tmp_path).cases) == 1


@pytest.mark.parametrize(
    ("tags", "what"),
    [
        ({"orientation": OBLIQUE}, "orientation"),
        ({"PixelSpacing": [0.75, 0.51]}, "pixel spacing"),
        ({"Rows": ROWS - 1}, "size"),
    ],
)
def test_every_slice_that_differs_is_named(tmp_path, tags, what):
    write_series(tmp_path, skip=(1, 3))
    for z in (102, 106):
        write_slice(tmp_path / f"odd{z}.dcm", np.ones((ROWS, COLUMNS)), (-20, 30, z), **tags)
    text = refusal(tmp_path)
    assert f"odd102.dcm: another {what} than" in text
    assert f"odd106.dcm: another {what} than" in text


def test_two_patients_in_one_folder_are_refused(tmp_path):
    write_series(tmp_path / "a", PatientID="1")
    write_series(tmp_path / "a", series="1.2.9", names="other{}", PatientID="2")
    text = refusal(tmp_path)
    assert "slices of 2 patients" in text
    assert "i0000,0000b.dcm and " in text


def test_truncated_files_and_wrong_ones_are_named(tmp_path):
    write_series(tmp_path)
    (tmp_path / "i0002,0000b.dcm").write_bytes(b"short")
    assert "i0002,0000b.dcm: no DICOM file" in refusal(tmp_path)
    write_series(tmp_path)
    for k in (1, 3):
        path = tmp_path / f"i{k:04d},0000b.dcm"
        path.write_bytes(path.read_bytes()[:-20])
    (case,) = read_dicom_folder(tmp_path).cases
    with pytest.raises(DataError, match="2 problems") as caught:
        case.convert(case, tmp_path / "out")
    assert "i0001,0000b.dcm: its pixels cannot be read" in str(caught.value)
    assert "i0003,0000b.dcm: its pixels cannot be read" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_frames_in_one_file_and_no_series_at_all(tmp_path):
    write_slice(tmp_path / "many.dcm", np.ones((ROWS, COLUMNS)), (0, 0, 0), NumberOfFrames=4)
    assert "several frames" in refusal(tmp_path)
    (tmp_path / "many.dcm").unlink()
    (tmp_path / "a.txt").touch()
    assert "no DICOM series" in refusal(tmp_path)


def write_chaos(root, number, *, first=0, descending=True, label=True, names="i{:04d},0000b.dcm"):
    order = [first + (SLICES - 1 - k if descending else k) for k in range(SLICES)]
    write_series(root / str(number) / "DICOM_anon", order=order, names=names)
    _, mask = scan_and_mask()
    for k in range(SLICES):
        path = root / str(number) / "Ground" / f"liver_GT_{order[k] - first:03d}.png"
        if label:
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask[..., k].astype(np.uint8) * 255).save(path)


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("names", ["i{:04d},0000b.dcm", "IMG-0004-{:05d}.dcm"])
def test_chaos_labels_follow_their_slices(tmp_path, descending, names):
    root = tmp_path / "CHAOS_Train_Sets" / "Train_Sets" / "CT"
    write_chaos(root, 1, descending=descending, names=names, first=1)
    write_chaos(root.parent.parent / "Test_Sets" / "CT", 3, label=False)
    write_series(root.parent / "MR" / "1" / "T2SPIR" / "DICOM_anon")
    dataset = read_chaos(tmp_path)
    assert [(c.id, c.patient, c.section, len(c.label)) for c in dataset.cases] == [
        ("ct-3", "ct-3", "test", 0),
        ("ct-1", "ct-1", None, SLICES),
    ]
    assert ["MR" in line for line in dataset.skipped] == [True]
    case = next(case for case in dataset.cases if case.label)
    (values, grid), (label, label_grid) = convert(case, tmp_path / "out")
    scan, mask = scan_and_mask()
    np.testing.assert_array_equal(values, scan.transpose(1, 0, 2))
    np.testing.assert_array_equal(label, mask.transpose(1, 0, 2))
    np.testing.assert_array_equal(grid.affine, label_grid.affine)


def chaos_refusal(folder, out=None):
    try:
        for case in read_chaos(folder).cases:
            case.convert(case, out)
    except DataError as error:
        return str(error)
    raise AssertionError("nothing was refused")


def test_chaos_labels_that_do_not_correspond_are_refused(tmp_path):
    write_chaos(tmp_path / "a" / "CT", 1, label=False)
    write_chaos(tmp_path / "b" / "CT", 2)
    (tmp_path / "b" / "CT" / "2" / "Ground" / "liver_GT_002.png").unlink()
    text = chaos_refusal(tmp_path)
    assert "no label liver_GT_*.png" in text
    assert "4 labels for 5 slices" in text
    ground = tmp_path / "c" / "CT" / "1" / "Ground"
    write_chaos(tmp_path / "c" / "CT", 1)
    (ground / "liver_GT_004.png").rename(ground / "liver_GT_009.png")
    assert "numbers of the labels do not rise" in chaos_refusal(tmp_path / "c")
    write_chaos(tmp_path / "d" / "CT", 1)
    write_series(tmp_path / "d" / "CT" / "1" / "DICOM_anon", order=[0, 1, 2, 4, 3])
    assert "file names do not follow" in chaos_refusal(tmp_path / "d")


def test_chaos_labels_on_no_liver_or_of_other_values_are_refused(tmp_path):
    write_chaos(tmp_path, 1)
    ground, out = tmp_path / "1" / "Ground", tmp_path / "out"
    for k in range(SLICES):
        Image.fromarray(np.eye(ROWS, COLUMNS, dtype=np.uint8) * 255).save(ground / f"liver_GT_{k:03d}.png")
    assert "lies on tissue of -100 to 300" in chaos_refusal(tmp_path, out)
    Image.fromarray(np.full((ROWS, COLUMNS + 1), 255, np.uint8)).save(ground / "liver_GT_000.png")
    gray = np.array([[0, 63, 255, 0, 0, 0, 0, 0]] * ROWS, np.uint8)
    Image.fromarray(gray).save(ground / "liver_GT_001.png")
    (ground / "liver_GT_002.png").write_bytes(b"no png")
    text = chaos_refusal(tmp_path, out)
    assert "liver_GT_000.png: (6, 9) pixels, its slice has (6, 8)" in text
    assert "liver_GT_001.png: the values [0, 63, 255]" in text
    assert "liver_GT_002.png: no readable PNG" in text
    assert not out.exists()


def test_chaos_labels_in_reversed_order_are_refused(tmp_path):
    scan = np.full((ROWS, COLUMNS), 1110)
    for k in range(40):  # 2 % of the label lie beside the liver, reversed none
        pixels = scan - (1000 if k == 0 else 0)
        write_slice(tmp_path / "1" / "DICOM_anon" / f"i{k:04d},0000b.dcm", pixels, (0, 0, 2 * k))
        mask = np.full((ROWS, COLUMNS), 255 if k < 39 else 0, np.uint8)
        (tmp_path / "1" / "Ground").mkdir(exist_ok=True)
        Image.fromarray(mask).save(tmp_path / "1" / "Ground" / f"liver_GT_{k:03d}.png")
    assert "better in reversed order" in chaos_refusal(tmp_path, tmp_path / "out")


def test_the_real_chaos_case(data_root, tmp_path):
    (case,) = read_chaos(data_root / "liver" / "chaos_case").cases
    assert (len(case.image), len(case.label)) == (36, 36)
    (values, grid), (label, _) = convert(case, tmp_path)
    itk_values, itk_grid = read_array(data_root / "liver" / "chaos_case" / "DICOM_anon")
    np.testing.assert_array_equal(values, itk_values)
    np.testing.assert_allclose(grid.affine, itk_grid.affine, atol=1e-6)
    inside = values[label > 0]
    assert 120 < inside.mean() < 160  # liver in the portal venous phase
    assert inside.std() < 40
    assert values[label[..., ::-1] > 0].std() > 100  # upside down it covers lung and bowel


def test_the_real_series_without_labels(data_root, tmp_path):
    shutil.copytree(data_root / "liver" / "dcmqi_3slice", tmp_path / "in")
    dataset = read_dicom_folder(tmp_path / "in")
    (case,) = dataset.cases
    assert (case.id, len(case.image), len(dataset.skipped)) == ("ct-3slice", 3, 4)
    images, _ = case.convert(case, tmp_path / "out")
    check_items([{"image": str(images[0]), "label": str(tmp_path / "in" / "liver_seg.nrrd")}])
    itk_values, _ = read_array(tmp_path / "in" / "ct-3slice")
    np.testing.assert_array_equal(np.asarray(nib.load(images[0]).dataobj), itk_values)
