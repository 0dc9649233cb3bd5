"""The original layouts are written here exactly as they are published, only smaller."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from monai.transforms import LoadImaged
from PIL import Image

from monai_levelset.data import (
    DataError,
    check_items,
    check_splits,
    convert_sunnybrook,
    load_datalist,
    prepare,
    sunnybrook_png_items,
)
from monai_levelset.data.sunnybrook import SAX_SERIES, SPLITS

ROWS, COLUMNS = 20, 24
SQUARE = "6.00 4.00\n10.00 4.00\n10.00 7.00\n6.00 7.00\n"  # x 6..10, y 4..7


def pixels(frame: int) -> np.ndarray:
    return (np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS) + frame).astype(np.uint16)


def write_dicom(path: Path, frame: int) -> None:
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = MRImageStorage, meta.MediaStorageSOPInstanceUID
    dataset.Modality, dataset.InstanceNumber = "MR", frame
    dataset.Rows, dataset.Columns = ROWS, COLUMNS
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 15, 0, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelSpacing, dataset.SliceThickness, dataset.SliceLocation = [1.25, 1.5], 8.0, 10.0 * frame
    dataset.PixelData = pixels(frame).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    major = int(pydicom.__version__.split(".")[0])
    dataset.save_as(path, **({"enforce_file_format": True} if major >= 3 else {"write_like_original": False}))


def write_contour(root: Path, patient: str, frame: int, kind: str = "i", text: str = SQUARE) -> None:
    folder = root / patient / "contours-manual" / "IRCCI-expert"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"IM-0001-{frame:04d}-{kind}contour-manual.txt").write_text(text)


def write_challenge_layout(root: Path) -> Path:
    contours = root / "Sunnybrook Cardiac MR Database ContoursPart3" / "TrainingDataContours"
    for patient, folder in (
        ("SC-HF-I-01", "SC-HF-I-1"),
        ("SC-HF-NI-07", "SC-HF-NI-7"),
        ("SC-N-10", "SC-N-10"),
    ):
        for frame in (8, 48):
            write_contour(contours, patient, frame)
            write_dicom(
                root / "challenge_training" / folder / f"IM-{SAX_SERIES[patient][0]}-{frame:04d}.dcm", frame
            )
    write_contour(contours, "SC-HF-I-01", 8, "o", "5 3\n11 3\n11 8\n5 8\n")
    junk = root / "__MACOSX" / "SC-HF-I-01" / "contours-manual" / "IRCCI-expert"
    junk.mkdir(parents=True)
    (junk / "._IM-0001-0048-icontour-manual.txt").write_bytes(b"\0\5\x16\7")
    return root


def write_atlas_layout(root: Path) -> Path:
    root.mkdir()
    (root / "scd_patientdata.csv").write_text(
        "PatientID,OriginalID,Gender,Age,Pathology\n"
        "SCD0000101,SC-HF-I-1,Male,70,Heart failure with infarct\n"
        "SCD0004101,SC-N-7,Female,40,Normal\n"
    )
    for patient, folder in (("SC-HF-I-01", "SCD0000101"), ("SC-N-07", "SCD0004101")):
        for frame in (8, 48):
            write_contour(root / "SCD_ManualContours", patient, frame)
            write_dicom(root / "SCD_IMAGES_01" / folder / "CINESAX_300" / f"IM-0003-{frame:04d}.dcm", frame)
        write_dicom(root / "SCD_IMAGES_01" / folder / "CINELAX_200" / "IM-0002-0008.dcm", 8)
    return root


def fingerprint(root: Path) -> dict[str, str]:
    return {
        str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(root.rglob("*")) if p.is_file()
    }


@pytest.fixture
def challenge(tmp_path: Path) -> Path:
    return write_challenge_layout(tmp_path / "source")


def test_the_official_parts() -> None:
    assert {name: len(patients) for name, patients in SPLITS.items()} == {
        "training": 15,
        "validation": 15,
        "test": 15,
    }
    assert len({p for patients in SPLITS.values() for p in patients}) == 45
    assert set(SAX_SERIES) == {p for patients in SPLITS.values() for p in patients}


def test_challenge_layout_becomes_nifti_with_true_spacing(challenge: Path, tmp_path: Path) -> None:
    before = fingerprint(challenge)
    result = convert_sunnybrook(challenge, tmp_path / "out")
    assert fingerprint(challenge) == before
    assert dict(result.counts) == {"training": 2, "validation": 2, "test": 2}
    assert result.skipped == ()
    items = load_datalist(result.datalist, "training")
    assert [item["id"] for item in items] == ["SC-HF-I-01-IM-0001-0008", "SC-HF-I-01-IM-0001-0048"]
    assert items[1]["patient"] == "SC-HF-I-01"
    assert (items[1]["spacing"], items[1]["slice_location"]) == ([1.5, 1.25], 480.0)
    loaded = LoadImaged(["image", "label"], ensure_channel_first=True)(items[1])
    np.testing.assert_array_equal(loaded["image"][0].numpy(), pixels(48).T)
    assert loaded["image"].pixdim.tolist() == [1.5, 1.25]  # columns 1.5 mm apart, rows 1.25 mm
    expected = np.zeros((COLUMNS, ROWS))
    expected[6:11, 4:8] = 1
    np.testing.assert_array_equal(loaded["label"][0].numpy(), expected)
    check_items(items, label_values=(0, 1))


def test_physical_area_of_the_contour(challenge: Path, tmp_path: Path) -> None:
    item = load_datalist(convert_sunnybrook(challenge, tmp_path / "out").datalist)[0]
    label = nib.load(item["label"])
    assert label.get_fdata().sum() * np.prod(label.header.get_zooms()) == 5 * 1.5 * 4 * 1.25


def test_epicardium_lists_only_slices_that_have_it(challenge: Path, tmp_path: Path) -> None:
    result = convert_sunnybrook(challenge, tmp_path / "out", "epicardium")
    assert dict(result.counts) == {"training": 1, "validation": 0, "test": 0}
    assert nib.load(load_datalist(result.datalist)[0]["label"]).get_fdata().sum() == 7 * 6


def test_atlas_layout_uses_the_patient_table_and_the_series_with_all_frames(tmp_path: Path) -> None:
    source = write_atlas_layout(tmp_path / "source")
    result = convert_sunnybrook(source, tmp_path / "out")
    assert dict(result.counts) == {"training": 2, "validation": 2, "test": 0}
    item = load_datalist(result.datalist, "validation")[1]
    assert item["id"] == "SC-N-07-IM-0001-0048"
    np.testing.assert_array_equal(nib.load(item["image"]).get_fdata(), pixels(48).T)


def test_atlas_layout_without_its_table_says_so(tmp_path: Path) -> None:
    source = write_atlas_layout(tmp_path / "source")
    (source / "scd_patientdata.csv").unlink()
    with pytest.raises(DataError, match=r"scd_patientdata\.csv is missing; it says who SCD0000101 is"):
        convert_sunnybrook(source, tmp_path / "out")


def test_of_two_complete_series_the_known_one_is_taken(challenge: Path, tmp_path: Path) -> None:
    for frame in (8, 48):
        write_dicom(challenge / "challenge_training" / "SC-HF-I-1" / f"IM-0009-{frame:04d}.dcm", frame + 1)
    item = load_datalist(convert_sunnybrook(challenge, tmp_path / "out").datalist)[0]
    np.testing.assert_array_equal(nib.load(item["image"]).get_fdata(), pixels(8).T)


def test_two_unknown_complete_series_are_refused(challenge: Path, tmp_path: Path) -> None:
    folder = challenge / "challenge_training" / "SC-HF-I-1"
    for frame in (8, 48):
        (folder / f"IM-0004-{frame:04d}.dcm").rename(folder / f"IM-0005-{frame:04d}.dcm")
        write_dicom(folder / f"IM-0009-{frame:04d}.dcm", frame)
    with pytest.raises(
        DataError, match=r"SC-HF-I-01: the contours fit several series: .*IM-0005-\*, .*IM-0009-\*"
    ):
        convert_sunnybrook(challenge, tmp_path / "out")


def test_a_contour_without_image_is_reported(
    challenge: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, image in enumerate(sorted(challenge.rglob("*.dcm"))):
        write_dicom(image, number)  # no two patients have the same image
    (challenge / "challenge_training" / "SC-HF-I-1" / "IM-0004-0048.dcm").unlink()
    result = prepare("sunnybrook", challenge, tmp_path / "out")
    assert dict(result.counts)["training"] == 1
    assert len(result.skipped) == 1
    printed = capsys.readouterr().out
    assert "sunnybrook: 1 training, 2 validation, 2 test cases" in printed
    assert "no image IM-*-0048.dcm of SC-HF-I-01" in printed


def test_corrupt_dicom_and_foreign_contours_are_named(challenge: Path, tmp_path: Path) -> None:
    image = challenge / "challenge_training" / "SC-HF-I-1" / "IM-0004-0048.dcm"
    image.write_bytes(image.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"IM-0004-0048\.dcm: not a readable DICOM image"):
        convert_sunnybrook(challenge, tmp_path / "out")
    image.write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"IM-0004-0048\.dcm: not a readable DICOM image"):
        convert_sunnybrook(challenge, tmp_path / "out")
    write_dicom(image, 48)
    contours = challenge / "Sunnybrook Cardiac MR Database ContoursPart3" / "TrainingDataContours"
    write_contour(contours, "SC-HF-I-01", 48, text="900 900\n910 900\n910 910\n")
    with pytest.raises(DataError, match="lies outside its image"):
        convert_sunnybrook(challenge, tmp_path / "out")
    write_contour(contours, "SC-HYP-77", 48)
    with pytest.raises(DataError, match="SC-HYP-77 is no patient of the challenge"):
        convert_sunnybrook(challenge, tmp_path / "out")


def test_output_inside_the_source_is_refused(challenge: Path) -> None:
    before = fingerprint(challenge)
    with pytest.raises(DataError, match="lies inside the source"):
        convert_sunnybrook(challenge, challenge / "out")
    assert fingerprint(challenge) == before


def write_png_layout(root: Path, *names: str) -> Path:
    for folder in ("images", "endocardium"):
        (root / folder).mkdir(parents=True)
        for name in names:
            values = np.zeros((4, 6), np.uint8)
            values[1:3, 2:4] = 255
            Image.fromarray(values).save(root / folder / name)
    return root


def test_png_layout(tmp_path: Path) -> None:
    root = write_png_layout(tmp_path, "SC-HF-I-01-IM-0001-0048.png", "SC-N-11-IM-0001-0160.png")
    sections = sunnybrook_png_items(root)
    assert {name: [item["patient"] for item in items] for name, items in sections.items()} == {
        "training": ["SC-HF-I-01"],
        "validation": [],
        "test": ["SC-N-11"],
    }
    splits = {"train": ["SC-N-11"], "val": ["SC-HF-I-01"], "test": []}
    (root / "splits.json").write_text(json.dumps(splits))
    assert sunnybrook_png_items(root)["training"][0]["id"] == "SC-N-11-IM-0001-0160"
    (root / "splits.json").write_text(json.dumps({**splits, "test": ["SC-N-11"]}))
    with pytest.raises(DataError, match="patient SC-N-11 is in training and test"):
        sunnybrook_png_items(root)


def test_png_layout_bad_input(tmp_path: Path) -> None:
    root = write_png_layout(tmp_path / "a", "SC-HF-I-01-IM-0001-0048.png", "someone-IM-0001-0001.png")
    with pytest.raises(DataError, match=r"someone-IM-0001-0001\.png: not named after a patient"):
        sunnybrook_png_items(root)
    root = write_png_layout(tmp_path / "b", "SC-HF-I-01-IM-0001-0048.png", "SC-N-11-IM-0001-0160.png")
    (root / "images" / "SC-N-11-IM-0001-0160.png").unlink()
    with pytest.raises(DataError, match=r"images/SC-N-11-IM-0001-0160\.png: the image .* is missing"):
        sunnybrook_png_items(root)
    with pytest.raises(DataError, match="unknown contour 'heart'. Choose one of endocardium, epicardium"):
        sunnybrook_png_items(root, "heart")


def test_prepare_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="unknown data set 'heart'. Known ones: acdc, .*, sunnybrook"):
        prepare("heart", tmp_path, tmp_path / "out")
    with pytest.raises(DataError, match="does not exist"):
        prepare("sunnybrook", tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "readme.txt").touch()
    with pytest.raises(DataError, match="neither the PNG layout"):
        prepare("sunnybrook", tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_importing_the_package_stays_light() -> None:
    modules = "('itk', 'pydicom', 'cv2', 'monai')"
    code = f"import sys, monai_levelset.data; print([m for m in {modules} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_real_copy_is_complete_and_clean(
    data_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = prepare("sunnybrook", data_root / "lv" / "sunnybrook", tmp_path)
    assert dict(result.counts) == {"training": 260, "validation": 266, "test": 279}
    assert "260 training" in capsys.readouterr().out
    sections = {name: load_datalist(result.datalist, name) for name in SPLITS}
    check_splits(sections)
    items = [item for part in sections.values() for item in part]
    assert len(items) == 805
    patients = {
        name: tuple(dict.fromkeys(item["patient"] for item in part)) for name, part in sections.items()
    }
    assert {name: tuple(sorted(p)) for name, p in patients.items()} == {
        n: tuple(sorted(p)) for n, p in SPLITS.items()
    }
    check_items(items, label_values=(0, 255))
    assert all(is_binary_256(item["label"]) for item in items)


def is_binary_256(path: str) -> bool:
    with Image.open(path) as image:
        return image.size == (256, 256) and set(np.unique(np.asarray(image))) == {0, 255}


def test_real_copy_has_420_epicardial_contours(data_root: Path) -> None:
    sections = sunnybrook_png_items(data_root / "lv" / "sunnybrook", "epicardium")
    assert sum(len(part) for part in sections.values()) == 420
