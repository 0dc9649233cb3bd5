"""The Sunnybrook Cardiac Data: 45 short-axis cine MRI studies with the left ventricle contoured by hand.

Also known as the data of the MICCAI 2009 Cardiac MR Left Ventricle Segmentation Challenge (Radau et al. 2009,
http://hdl.handle.net/10380/3070), given to the public domain (CC0). Paper 000 (Tang et al. 2017) trains,
validates and tests on its three parts of 15 patients.

Three layouts are read:

- PNG: `images/`, `endocardium/`, `epicardium/` with the same file names (`SC-HF-I-01-IM-0001-0048.png`) and
  `splits.json`. It holds no pixel spacing, so the spacing is 1 pixel: distances measured on it are not mm.
- Cardiac Atlas Project: `SCD_IMAGES_01/SCD0000101/CINESAX_300/IM-0003-0048.dcm`,
  `SCD_ManualContours/SC-HF-I-01/contours-manual/IRCCI-expert/IM-0001-0048-icontour-manual.txt` and
  `scd_patientdata.csv`, which says that SCD0000101 is SC-HF-I-1.
- the challenge itself: `challenge_training/SC-HF-I-1/IM-0004-0048.dcm` and contours as above under
  `Sunnybrook Cardiac MR Database ContoursPart3/TrainingDataContours/`.

The contours' series number (always 0001) is not the image's. A contour belongs to the image of its patient
with the same last number, in the one series that holds all contoured numbers; where several do, the
folder named SAX and then `SAX_SERIES` decide.
"""

from __future__ import annotations

import csv
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_levelset.data.atomic import atomic_path
from monai_levelset.data.checks import check_folder, check_writable
from monai_levelset.data.contours import contour_to_mask, read_contour
from monai_levelset.data.datalist import Item, write_datalist
from monai_levelset.data.errors import DataError, raise_problems
from monai_levelset.data.sunnybrook_facts import CONTOURS, SAX_SERIES, SPLITS

__all__ = [
    "CONTOURS",
    "SAX_SERIES",
    "SPLITS",
    "Conversion",
    "contoured_slices",
    "convert_slice",
    "convert_sunnybrook",
    "describe_sunnybrook",
    "patient_name",
    "sunnybrook_png_items",
]

_NAME = re.compile(r"(SC-(?:HF-I|HF-NI|HYP|N))-(\d+)", re.IGNORECASE)
_PNG_NAME = re.compile(r"(?P<patient>.+)-IM-\d+-(?P<frame>\d+)\.png")
_CONTOUR_NAME = re.compile(r"IM-\d+-(?P<frame>\d+)-(?P<kind>[io])contour-manual\.txt")
_IMAGE_NAME = re.compile(r"IM-(?P<series>\d+)-(?P<frame>\d+)\.dcm", re.IGNORECASE)
_SECTION_NAMES = {"train": "training", "val": "validation", "test": "test"}

Frames = dict[int, Path]


@dataclass(frozen=True)
class Conversion:
    """What a conversion wrote.

    Attributes:
        datalist: the data list's path.
        counts: number of slices per section.
        skipped: one line per contour that was left out, with the reason.
    """

    datalist: Path
    counts: Mapping[str, int]
    skipped: tuple[str, ...] = field(default=())


def patient_name(text: str) -> str:
    """The name of a patient as the contours spell it, with two digits.

    Args:
        text: a name such as `SC-HF-I-1`, in any case.

    Returns:
        The full name, or an empty text where `text` is no patient's name.

    Example:
        >>> patient_name("SC-HF-NI-3"), patient_name("SC-HYP-01"), patient_name("README")
        ('SC-HF-NI-03', 'SC-HYP-01', '')
    """
    match = _NAME.fullmatch(text.strip())
    return f"{match[1].upper()}-{int(match[2]):02d}" if match else ""


def sunnybrook_png_items(root: str | Path, contour: str = "endocardium") -> dict[str, list[Item]]:
    """List the PNG layout.

    Args:
        root: the folder with `images/`, `endocardium/`, `epicardium/` and `splits.json` (keys train, val,
            test; the official split where the file is missing).
        contour: `endocardium` or `epicardium`; only slices with that contour are listed.

    Returns:
        Items for `training`, `validation` and `test`, sorted by file name: absolute `image` and `label` (0
        and 255), `id`, `patient`, `labeled`. There is no spacing in these files.

    Raises:
        DataError: where a folder is missing or empty, a label has no image, a file name or patient is
            unknown, or a patient is in two parts.
    """
    root = Path(root).absolute()
    images, labels = check_folder(root / "images"), check_folder(root / _known(contour))
    section_of = _sections_by_patient(_read_splits(root / "splits.json"))
    sections: dict[str, list[Item]] = {name: [] for name in SPLITS}
    problems = []
    for label in sorted(labels.glob("[!.]*.png")):
        match, image = _PNG_NAME.fullmatch(label.name), images / label.name
        if match is None or match["patient"] not in section_of:
            problems.append(f"{label}: not named after a patient of the splits. Rename it or remove it.")
        elif not image.is_file():
            problems.append(f"{image}: the image of a {contour} label is missing. Copy the data again.")
        else:
            sections[section_of[match["patient"]]].append(_item(image, label, match["patient"], label.stem))
    raise_problems(problems)
    if not any(sections.values()):
        raise DataError(f"{labels}: no PNG file in it. Copy the data again.")
    return sections


def convert_sunnybrook(source: str | Path, out: str | Path, contour: str = "endocardium") -> Conversion:
    """Turn the original DICOM images and contour files into 2D NIfTI pairs and a data list.

    Every slice with a contour becomes `out/images/NAME.nii.gz` and `out/labels/NAME.nii.gz`, NAME being
    `SC-HF-I-01-IM-0001-0048`. Arrays have the axes (column, row), as MONAI reads DICOM and PNG; the affine
    holds the true in-plane spacing (DICOM's PixelSpacing is row spacing first, so the first axis gets its
    second value), the slice thickness, and SliceLocation as z. The patient's oblique orientation is left out
    on purpose: MONAI's 2D transforms take spacing from the upper left of the affine. Masks follow
    `contour_to_mask`. The source is only read.

    Args:
        source: folder that holds images and contours in one of the original layouts, at any depth.
        out: folder to write to, outside of `source`. Finished files are replaced whole.
        contour: `endocardium` or `epicardium`.

    Returns:
        What was written, and which contours were left out because their image is missing.

    Raises:
        DataError: where contours, images or the patient table are missing, a file is corrupt, the series of a
            patient cannot be told, or `out` lies in `source`.
    """
    source, out = check_folder(source), Path(out)
    if out.absolute().resolve().is_relative_to(source.resolve()):
        raise DataError(
            f"{out}: the output lies inside the source, which must stay as it is. Choose another folder."
        )
    slices, skipped = contoured_slices(source, contour)
    check_writable(out)
    section_of = _sections_by_patient(SPLITS)
    sections: dict[str, list[Item]] = {name: [] for name in SPLITS}
    for patient, name, image, outline in slices:
        sections[section_of[patient]].append(convert_slice(image, outline, out, patient, name))
    counts = {name: len(items) for name, items in sections.items()}
    if not sum(counts.values()):
        raise DataError(f"{source}: no contour has an image. Unpack the DICOM images beside the contours.")
    datalist = write_datalist(out / "datalist.json", sections, **describe_sunnybrook(contour))
    return Conversion(datalist, counts, tuple(skipped))


def contoured_slices(
    source: Path, contour: str = "endocardium"
) -> tuple[list[tuple[str, str, Path, Path]], list[str]]:
    """Find which image belongs to which contour in one of the original layouts.

    Args:
        source: folder that holds images and contours, at any depth.
        contour: `endocardium` or `epicardium`.

    Returns:
        Patient, name, image and contour file of every slice, sorted; and one line per contour without image.

    Raises:
        DataError: as `convert_sunnybrook`, apart from corrupt files: none is read.
    """
    contours = _find_contours(source, _known(contour))
    series = _find_images(source, contours)
    slices: list[tuple[str, str, Path, Path]] = []
    skipped: list[str] = []
    for patient, frames in sorted(contours.items()):
        images = _short_axis_series(patient, frames, series.get(patient, {}))
        for frame, contour_file in sorted(frames.items()):
            if frame in images:
                slices.append((patient, f"{patient}-IM-0001-{frame:04d}", images[frame], contour_file))
            else:
                skipped.append(f"{contour_file}: no image IM-*-{frame:04d}.dcm of {patient}")
    return slices, skipped


def describe_sunnybrook(contour: str = "endocardium") -> dict[str, Any]:
    """Head of a Sunnybrook data list: name, description, modality and label names, for `write_datalist`.

    Example:
        >>> describe_sunnybrook()["modality"]
        'MRI'
    """
    return {
        "name": "Sunnybrook Cardiac Data",
        "description": "Short-axis cine MRI, contoured by hand (Radau et al. 2009). Licence: CC0.",
        "modality": "MRI",
        "labels": {"0": "background", "1": f"left ventricle ({_known(contour)})"},
    }


def _known(contour: str) -> str:
    if contour not in CONTOURS:
        raise DataError(f"unknown contour {contour!r}. Choose one of {', '.join(CONTOURS)}.")
    return contour


def _read_splits(path: Path) -> dict[str, Iterable[str]]:
    if not path.is_file():
        return dict(SPLITS)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {section: content[key] for key, section in _SECTION_NAMES.items()}
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}: broken JSON in line {error.lineno}: {error.msg}. Copy the data again."
        ) from error
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{path}: the lists train, val and test are expected. Copy the data again."
        ) from error


def _sections_by_patient(splits: Mapping[str, Iterable[str]]) -> dict[str, str]:
    section_of: dict[str, str] = {}
    for section, patients in splits.items():
        for patient in patients:
            if section_of.setdefault(patient, section) != section:
                raise DataError(
                    f"patient {patient} is in {section_of[patient]} and {section}. Keep it in one only."
                )
    return section_of


def _item(image: Path, label: Path, patient: str, name: str) -> Item:
    return {"image": str(image), "label": str(label), "id": name, "patient": patient, "labeled": 1}


def _files(source: Path, pattern: str) -> list[Path]:
    found = source.rglob(pattern)
    return sorted(p for p in found if not p.name.startswith(".") and "__MACOSX" not in p.parts)


def _find_contours(source: Path, contour: str) -> dict[str, Frames]:
    found: dict[str, Frames] = defaultdict(dict)
    for path in _files(source, f"*{CONTOURS[contour]}contour-manual.txt"):
        match = _CONTOUR_NAME.fullmatch(path.name)
        patient = next(filter(None, map(patient_name, reversed(path.parts))), "")
        if match and patient:
            found[patient][int(match["frame"])] = path
    if not found:
        raise DataError(
            f"{source}: no {contour} contour "
            f"(SC-*/contours-manual/IRCCI-expert/IM-*-{CONTOURS[contour]}contour-"
            "manual.txt) in it. Unpack the contours there."
        )
    known = {patient for patients in SPLITS.values() for patient in patients}
    raise_problems(
        [f"{source}: {p} is no patient of the challenge. Remove it." for p in sorted(set(found) - known)]
    )
    return found


def _find_images(source: Path, contours: Mapping[str, Any]) -> dict[str, dict[tuple[Path, str], Frames]]:
    original_names = _read_patient_table(source)
    found: dict[str, dict[tuple[Path, str], Frames]] = defaultdict(lambda: defaultdict(dict))
    unnamed = set()
    for path in _files(source, "*.[dD][cC][mM]"):
        match = _IMAGE_NAME.fullmatch(path.name)
        names = (original_names.get(part) or patient_name(part) for part in reversed(path.parts[:-1]))
        patient = next(filter(None, names), "")
        unnamed |= set() if patient else {part for part in path.parts if re.fullmatch(r"SCD\d{7}", part)}
        if match and patient in contours:
            found[patient][path.parent, match["series"]][int(match["frame"])] = path
    if not found and unnamed:
        raise DataError(
            f"{source}: scd_patientdata.csv is missing; it says who {min(unnamed)} is. Put it there."
        )
    if not found:
        raise DataError(
            f"{source}: no DICOM image IM-*-*.dcm of a contoured patient in it. Unpack the images there."
        )
    return found


def _read_patient_table(source: Path) -> dict[str, str]:
    names: dict[str, str] = {}
    for path in _files(source, "scd_patientdata.csv"):
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file, skipinitialspace=True):
                names[(row.get("PatientID") or "").strip()] = patient_name(row.get("OriginalID") or "")
    return names


def _short_axis_series(patient: str, frames: Frames, series: Mapping[tuple[Path, str], Frames]) -> Frames:
    if not series:
        return {}
    most = max(len(frames.keys() & images.keys()) for images in series.values())
    candidates = {key: images for key, images in series.items() if len(frames.keys() & images.keys()) == most}
    rules = (
        lambda folder, _: "SAX" in folder.name.upper(),
        lambda _, number: number in SAX_SERIES.get(patient, ()),
    )
    for rule in rules:
        chosen = {key: images for key, images in candidates.items() if rule(*key)}
        candidates = chosen or candidates
    if len(candidates) > 1:
        names = ", ".join(sorted(f"{folder}/IM-{number}-*" for folder, number in candidates))
        raise DataError(
            f"{patient}: the contours fit several series: {names}. Keep only the short-axis cine series."
        )
    return next(iter(candidates.values()))


def convert_slice(image: Path, contour: Path, out: Path, patient: str, name: str) -> Item:
    """Write one slice as `out/images/NAME.nii.gz` and `out/labels/NAME.nii.gz`, see `convert_sunnybrook`.

    Returns:
        Its data-list item, with paths relative to `out`.

    Raises:
        DataError: where a file is corrupt or the contour lies outside the image.
    """
    pixels, affine = _read_dicom(image)
    mask = contour_to_mask(read_contour(contour), (pixels.shape[0], pixels.shape[1]))
    if not mask.any():
        raise DataError(f"{contour}: the contour lies outside its image {image}. Unpack both again.")
    item = _item(out / "images" / f"{name}.nii.gz", out / "labels" / f"{name}.nii.gz", patient, name)
    _save(item["image"], pixels, affine)
    _save(item["label"], mask, affine)
    spacing = [float(affine[0, 0]), float(affine[1, 1])]
    relative = {"image": f"images/{name}.nii.gz", "label": f"labels/{name}.nii.gz"}
    return {**item, **relative, "spacing": spacing, "slice_location": float(affine[2, 3])}


def _read_dicom(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        dataset = pydicom.dcmread(path)
        pixels = dataset.pixel_array
        row_spacing, column_spacing = (float(v) for v in dataset.PixelSpacing)
    except (
        InvalidDicomError,
        OSError,
        EOFError,
        ValueError,
        AttributeError,
        NotImplementedError,
        TypeError,
    ) as error:
        raise DataError(
            f"{path}: not a readable DICOM image with PixelSpacing ({error}). Unpack it again."
        ) from error
    thickness = float(dataset.get("SliceThickness") or 1.0)
    affine = np.diag([column_spacing, row_spacing, thickness, 1.0])
    affine[2, 3] = float(dataset.get("SliceLocation") or 0.0)
    return pixels, affine


def _save(path: str, values: NDArray[Any], affine: NDArray[np.float64]) -> None:
    import nibabel as nib

    image = nib.Nifti1Image(np.ascontiguousarray(values.T), affine)
    image.header.set_xyzt_units("mm")
    with atomic_path(path) as temporary:
        nib.save(image, temporary)
