"""Which folders are DICOM images, what they are called, and which are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from monai_levelset.data.dicom_folders import check_series, holds_slices, series_name
from monai_levelset.data.errors import DataError
from tests.dicom_files import write_series

AFFINE = np.array([[-0.5, 0, 0, 20], [0, -0.75, 0, -30], [0, 0, 2, 100], [0, 0, 0, 1.0]])
pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning")


def scan(depth: int = 5) -> NDArray[np.int16]:
    return np.random.default_rng(0).integers(-1000, 1000, (8, 6, depth)).astype(np.int16)


@pytest.mark.parametrize("names", ["IM{:04d}.dcm", "IM{:04d}.IMA", "{:03d}", "1.2.840.{}"])
def test_slices_are_told_by_ending_or_content(tmp_path: Path, names: str) -> None:
    write_series(tmp_path / "a", scan(), AFFINE, names=names)
    for name in ("LICENSE", "README.txt", ".DS_Store", "0-notes"):
        (tmp_path / "a" / name).write_text("no image")
    assert holds_slices(tmp_path / "a")
    assert check_series(tmp_path / "a")
    assert not holds_slices(tmp_path)


def test_other_folders_are_no_series(tmp_path: Path) -> None:
    (tmp_path / "notes").write_bytes(bytes(500))
    (tmp_path / "short").write_bytes(b"DICM")
    (tmp_path / ".hidden").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    assert not holds_slices(tmp_path)
    assert not holds_slices(tmp_path / "notes")


def test_reports_alone_are_no_image(tmp_path: Path) -> None:
    write_series(tmp_path, scan(1), AFFINE)
    import pydicom

    data = pydicom.dcmread(tmp_path / "IM0000.dcm")
    del data.ImagePositionPatient
    data.save_as(tmp_path / "IM0000.dcm")
    assert holds_slices(tmp_path)
    assert not check_series(tmp_path)


def test_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert series_name(tmp_path / "p 1/CT.2", tmp_path) == "p 1_CT.2"
    assert series_name(tmp_path / "p 1/CT.2") == "CT.2"
    assert series_name(tmp_path, tmp_path) == tmp_path.name
    assert series_name(tmp_path / "a", tmp_path / "b") == "a"
    (tmp_path / "CT").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "CT")
    assert series_name(tmp_path / "linked", tmp_path) == "linked"
    monkeypatch.chdir(tmp_path)
    assert series_name(".", ".") == tmp_path.name


def refusal(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        check_series(folder)
    return str(caught.value)


def test_mixed_series_and_patients_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path, scan(), AFFINE)
    write_series(tmp_path, scan(1), AFFINE, names="scout{}.dcm", SeriesInstanceUID="1.9")
    text = refusal(tmp_path)
    assert "slices of 2 series, namely" in text
    assert "scout0.dcm" in text
    assert "IM0000.dcm" in text
    assert "`monai-levelset prepare dicom`" in text
    write_series(tmp_path, scan(1), AFFINE, names="scout{}.dcm", SeriesInstanceUID="1.9", PatientID="8")
    assert "slices of 2 series of 2 patients" in refusal(tmp_path)


def test_a_missing_slice_and_a_broken_file_are_named(tmp_path: Path) -> None:
    write_series(tmp_path, scan(), AFFINE, skip=[3])
    text = refusal(tmp_path)
    assert "IM0002.dcm and " in text
    assert "IM0004.dcm: 1 slice missing between them" in text
    (tmp_path / "IM0004.dcm").write_bytes(b"short")
    assert "IM0004.dcm: no DICOM file" in refusal(tmp_path)


def test_what_the_reader_would_split_is_refused(tmp_path: Path) -> None:
    """ITK takes another date of the series for another series and would read the first one only."""
    write_series(tmp_path, scan(), AFFINE, SeriesDate="20200101")
    write_series(tmp_path, scan(), AFFINE, skip=range(4), SeriesDate="20200102")
    assert "ITK reads its 5 slices as 2 series of" in refusal(tmp_path)


def test_one_slice_is_a_volume_of_one(tmp_path: Path) -> None:
    write_series(tmp_path, scan(1), AFFINE)
    assert check_series(tmp_path)
