"""DICOM slices on disk: which series they form, in which order, on which grid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_levelset.data.errors import DataError

__all__ = ["Slice", "group_series", "read_headers", "read_volume", "series_problems", "sorted_slices"]

_TAGS = [
    "SOPClassUID", "SeriesInstanceUID", "StudyInstanceUID", "SeriesNumber", "SeriesDescription", "PatientID",
    "PatientName", "Modality", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows",
    "Columns", "SamplesPerPixel", "NumberOfFrames",
]  # fmt: skip
_ANGLE = 1e-3
_TILT = 0.01  # offset in the plane per mm along the normal: 0.6 degrees
_UNEVEN = 0.1  # of a slice distance


@dataclass(frozen=True)
class Slice:
    """What the header of one slice says.

    Attributes:
        path: the file.
        series: SeriesInstanceUID.
        patient: PatientID and PatientName; may be empty.
        study: StudyInstanceUID.
        modality: e.g. `CT`.
        position: centre of the first pixel, LPS, mm.
        orientation: direction of a row and of a column, LPS.
        spacing: distance of rows, distance of columns, mm.
        shape: rows, columns.
    """

    path: Path
    series: str
    patient: str
    study: str
    modality: str
    position: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing: tuple[float, ...]
    shape: tuple[int, int]

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit normal of the plane, LPS."""
        normal = np.cross(self.orientation[:3], self.orientation[3:])
        return np.asarray(normal / np.linalg.norm(normal), dtype=np.float64)


def read_headers(files: Iterable[Path], problems: list[str], skipped: list[str]) -> list[Slice]:
    """Read the headers of all DICOM images among `files`.

    Args:
        files: any files; they are told by content, not by name.
        problems: one line is appended per file that is called `.dcm` and is none, or holds several frames.
        skipped: one line per file that is no DICOM image.

    Returns:
        The slices, in the order of the files.
    """
    slices = []
    for path in files:
        try:
            found = _read_header(path)
        except DataError as error:
            problems.append(str(error))
            continue
        if isinstance(found, Slice):
            slices.append(found)
        else:
            skipped.append(f"{path}: {found}")
    return slices


def group_series(slices: Iterable[Slice]) -> dict[tuple[Path, str], list[Slice]]:
    """Group slices by folder and SeriesInstanceUID, in their order."""
    groups: dict[tuple[Path, str], list[Slice]] = defaultdict(list)
    for item in slices:
        groups[item.path.parent, item.series].append(item)
    return dict(groups)


def sorted_slices(slices: Sequence[Slice]) -> list[Slice]:
    """Sort the slices of a series by their position along the normal of the first."""
    normal = slices[0].normal
    return sorted(slices, key=lambda s: float(np.dot(s.position, normal)))


def series_problems(slices: Sequence[Slice]) -> list[str]:
    """Say why the slices of a series form no volume.

    All must have one patient, one size, one pixel spacing (within 0.1 %) and one orientation; no two the same
    position; distances along the normal equal within 10 %; and no drift in the plane (a tilted gantry) above
    0.6 degrees.

    Args:
        slices: those of one series, at least two.

    Returns:
        One line per problem, with the files.
    """
    first = slices[0]
    problems = []
    for item in slices[1:]:
        what = [name for name, differs in _differences(first, item) if differs]
        if what:
            problems.append(
                f"{item.path}: another {' and '.join(what)} than {first.path} of the same series. "
                "Separate them into folders of their own, or remove the one that does not belong."
            )
    return problems or _spacing_problems(sorted_slices(slices))


def read_volume(paths: Sequence[Path]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Read a series as one volume in rescaled values (HU for CT).

    Args:
        paths: its files, sorted along the normal.

    Returns:
        Values with the axes (column, row, slice), int16 where all of them are whole and fit, else float32;
        and the affine to RAS, oblique where the series is.

    Raises:
        DataError: where a file's pixels cannot be read; all such files are listed.
    """
    from monai_levelset.data.errors import raise_problems

    problems: list[str] = []
    headers = read_headers(paths, problems, problems)
    raise_problems(problems)
    planes = [plane for path in paths if (plane := _plane(path, problems)) is not None]
    raise_problems(problems)
    volume = np.stack(planes, axis=-1)
    info = np.iinfo(np.int16)
    if np.all(volume == np.round(volume)) and volume.min() >= info.min and volume.max() <= info.max:
        volume = volume.astype(np.int16)
    return volume, _affine(headers)


def _read_header(path: Path) -> Slice | str:
    import pydicom
    from pydicom.errors import InvalidDicomError
    from pydicom.uid import SegmentationStorage

    try:
        data = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)
    except InvalidDicomError:
        if path.suffix.lower() == ".dcm":
            raise DataError(f"{path}: no DICOM file, or its beginning is lost. Copy it again.") from None
        return "no DICOM file"
    except (OSError, EOFError, ValueError, AttributeError, NotImplementedError) as error:
        raise DataError(f"{path}: its DICOM header cannot be read ({error}). Copy it again.") from error
    if data.get("SOPClassUID") == SegmentationStorage:
        return "a DICOM segmentation"
    needed = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns")
    missing = [tag for tag in needed if data.get(tag) in (None, "")]
    if int(data.get("NumberOfFrames") or 1) > 1:
        raise DataError(
            f"{path}: a DICOM file with several frames. Convert it to NIfTI (e.g. with dcm2niix)."
        )
    if missing:
        return f"DICOM without {', '.join(missing)}, no slice of a volume"
    if int(data.get("SamplesPerPixel") or 1) != 1:
        return "a DICOM colour image"
    return Slice(
        path=path,
        series=str(data.get("SeriesInstanceUID", "")),
        patient=f"{data.get('PatientID') or ''} {data.get('PatientName') or ''}".strip(),
        study=str(data.get("StudyInstanceUID", "")),
        modality=str(data.get("Modality", "")),
        position=tuple(float(v) for v in data.ImagePositionPatient),
        orientation=tuple(float(v) for v in data.ImageOrientationPatient),
        spacing=tuple(float(v) for v in data.PixelSpacing),
        shape=(int(data.Rows), int(data.Columns)),
    )


def _differences(a: Slice, b: Slice) -> list[tuple[str, bool]]:
    return [
        ("patient", a.patient != b.patient),
        ("size", a.shape != b.shape),
        ("pixel spacing", not np.allclose(a.spacing, b.spacing, rtol=1e-3)),
        ("orientation", not np.allclose(a.orientation, b.orientation, atol=_ANGLE)),
    ]


def _spacing_problems(slices: Sequence[Slice]) -> list[str]:
    positions = np.array([s.position for s in slices])
    along = positions @ slices[0].normal
    steps = np.diff(along)
    usual = float(np.median(steps))
    same = np.flatnonzero(steps <= 0.01 * max(usual, 0.01)).tolist()
    if same:
        return [
            f"{slices[k + 1].path}: the same position as {slices[k].path}. Remove the one that is a copy, or "
            "separate the series (e.g. time points)."
            for k in same
        ]
    gaps = np.flatnonzero(steps > 1.5 * usual).tolist()
    if gaps:
        return [
            f"{slices[k].path} and {slices[k + 1].path}: {_missing(steps[k], usual)} between them, they are "
            f"{steps[k]:.4g} mm apart, the others {usual:.4g} mm. Copy the series again."
            for k in gaps
        ]
    even = np.linspace(along[0], along[-1], len(along))
    off = np.abs(along - even)
    if off.max() > _UNEVEN * usual + 0.01:
        worst = slices[int(off.argmax())].path
        return [
            f"{worst}: the slices of its series are not evenly spaced ({steps.min():.4g} to "
            f"{steps.max():.4g} mm). Resample the series to even distances first."
        ]
    drift = positions[-1] - positions[0] - (along[-1] - along[0]) * slices[0].normal
    if np.linalg.norm(drift) > _TILT * (along[-1] - along[0]):
        angle = np.degrees(np.arctan2(np.linalg.norm(drift), along[-1] - along[0]))
        return [
            f"{slices[0].path}: its series was taken with a gantry tilted by {angle:.1f} degrees, voxels "
            "would be sheared. Convert it with a tool that corrects the tilt (e.g. dcm2niix)."
        ]
    return []


def _missing(step: float, usual: float) -> str:
    count = max(1, round(step / usual) - 1)
    return f"{count} slice{'s' if count > 1 else ''} missing"


def _plane(path: Path, problems: list[str]) -> NDArray[np.float32] | None:
    import pydicom

    try:
        data = pydicom.dcmread(path)
        pixels = np.asarray(data.pixel_array, dtype=np.float64)
        slope, intercept = (
            float(data.get("RescaleSlope", 1) or 1),
            float(data.get("RescaleIntercept", 0) or 0),
        )
    except Exception as error:  # pydicom's decoders raise many kinds
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        problems.append(
            f"{path}: its pixels cannot be read, truncated or of an unknown compression ({reason}). Copy it "
            "again, or decompress it (e.g. with dcmdjpeg)."
        )
        return None
    return (pixels * slope + intercept).astype(np.float32).T


def _affine(slices: Sequence[Slice]) -> NDArray[np.float64]:
    first, last = slices[0], slices[-1]
    affine = np.eye(4)
    affine[:3, 0] = np.array(first.orientation[:3]) * first.spacing[1]
    affine[:3, 1] = np.array(first.orientation[3:]) * first.spacing[0]
    length = float(np.dot(np.subtract(last.position, first.position), first.normal))
    affine[:3, 2] = first.normal * length / max(len(slices) - 1, 1)
    affine[:3, 3] = first.position
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
