"""The Sunnybrook Cardiac Data: 45 short-axis cine MRI studies with the left ventricle contoured by hand.

Layouts, source and licence (Radau et al. 2009, CC0) are described in `monai_levelset.data.sunnybrook`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

from monai_levelset.data.errors import DataError, raise_problems
from monai_levelset.data.readers.base import Case, SourceListing
from monai_levelset.data.sunnybrook import (
    CONTOURS,
    SPLITS,
    contoured_slices,
    convert_slice,
    describe_sunnybrook,
    sunnybrook_png_items,
)

__all__ = ["read_sunnybrook"]


def read_sunnybrook(source: Path, *, contour: str = "endocardium") -> SourceListing:
    """Find the slices with a contour, as PNG files or as original DICOM and contour files.

    Args:
        source: folder in one of the layouts that `monai_levelset.data.sunnybrook` describes.
        contour: `endocardium` or `epicardium`.

    Returns:
        One case per slice; the sections are the challenge's training, validation and online patients.

    Raises:
        DataError: where neither layout is found, contours, images or the patient table are missing, a series
            holds images of several patients, or which series was contoured cannot be told.
    """
    head = describe_sunnybrook(contour)
    if (source / "images").is_dir() and any((source / name).is_dir() for name in CONTOURS):
        return SourceListing(**head, cases=_png_cases(source, contour))
    if next(source.rglob("*contour-manual.txt"), None) is not None:
        cases, skipped = _dicom_cases(source, contour)
        return SourceListing(**head, cases=cases, skipped=skipped)
    raise DataError(
        f"{source}: neither the PNG layout (images/ and endocardium/) nor the original one "
        "(IM-*-icontour-manual.txt contour files and DICOM images) is in it. Give the folder that holds "
        "one of them."
    )


def _png_cases(source: Path, contour: str) -> list[Case]:
    return [
        Case(item["id"], item["patient"], (Path(item["image"]),), (Path(item["label"]),), section)
        for section, items in sunnybrook_png_items(source, contour).items()
        for item in items
    ]


def _dicom_cases(source: Path, contour: str) -> tuple[list[Case], list[str]]:
    slices, skipped = contoured_slices(source, contour)
    section_of = {patient: section for section, patients in SPLITS.items() for patient in patients}
    images: dict[str, list[Path]] = defaultdict(list)
    cases = []
    for patient, name, image, outline in slices:
        images[patient].append(image)
        cases.append(Case(name, patient, (image,), (outline,), section_of[patient], _convert))
    raise_problems(_mixed_patients(images))
    if not cases:
        raise DataError(f"{source}: no contour has an image. Unpack the DICOM images beside the contours.")
    return cases, skipped


def _convert(case: Case, folder: Path) -> tuple[list[Path], list[Path]]:
    item = convert_slice(case.image[0], case.label[0], folder, case.patient, case.id)
    return [folder / item["image"]], [folder / item["label"]]


def _mixed_patients(images: Mapping[str, list[Path]]) -> list[str]:
    problems = []
    for patient, paths in images.items():
        ids = {path: _patient_id(path) for path in paths}
        counts = Counter(value for value in ids.values() if value)
        if len(counts) > 1:
            usual = counts.most_common(1)[0][0]
            problems += [
                f"{path}: its DICOM header says patient {value}, the other images of {patient} say {usual}. "
                "Unpack this folder again."
                for path, value in ids.items()
                if value and value != usual
            ]
    return problems


def _patient_id(path: Path) -> str:
    """The header's PatientID; empty where there is none. A broken file is reported by the conversion."""
    import pydicom

    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["PatientID"])
    except Exception:  # pydicom raises anything on broken files
        return ""
    return str(header.get("PatientID") or "").strip()
