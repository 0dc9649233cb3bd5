"""ACDC, both ventricles and the myocardium in cine MRI (MICCAI 2017)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_levelset.data.errors import DataError, raise_problems
from monai_levelset.data.readers.base import Case, SourceListing
from monai_levelset.data.readers.files import by_key, check_options, strip_suffix
from monai_levelset.data.readers.label_grid import save_nifti
from monai_levelset.data.readers.listing import visible_files
from monai_levelset.data.readers.splits import read_splits

__all__ = ["convert_acdc", "read_acdc"]

_NAME = re.compile(r"(?P<patient>patient\d{3})_frame(?P<frame>\d{2})(?P<gt>_gt)?\.nii(\.gz)?")
_FIELDS = {"Group": "group", "Height": "height", "Weight": "weight"}
_HEAD: dict[str, Any] = {
    "name": "ACDC",
    "description": (
        "Short-axis cine MRI at end-diastole and end-systole (Bernard et al. 2018), "
        "https://www.creatis.insa-lyon.fr/Challenge/acdc. Licence: CC BY-NC-SA 4.0."
    ),
    "modality": "MRI",
    "labels": {"0": "background", "1": "right ventricle", "2": "myocardium", "3": "left ventricle"},
}

Frames = dict[str, dict[int, Path]]


def read_acdc(source: Path, **options: str) -> SourceListing:
    """Read ACDC in its official layout, or the flat one of the few-label benchmarks.

    Official: `training/patient001/` to 100 and `testing/patient101/` to 150, each with `Info.cfg` (lines `ED:
    1`, `ES: 12`, `Group: DCM`, `Height`, `NbFrame`, `Weight`), `patient001_frame01.nii.gz` and
    `patient001_frame01_gt.nii.gz` for the frames ED and ES, and the whole cine `patient001_4d.nii.gz`, which
    is not used. Flat: `images/` and `labels/` with files of equal names `patient002_frame01.nii.gz`, and
    `splits.json` with the lists `train`, `val` and perhaps `test`.

    The official files state their spacing in pixdim and qform, while their sform, which most programs prefer,
    says 1 mm. Such a case is written anew with the spacing of pixdim; other files are used as they are.

    Args:
        source: folder of the unpacked archive.
        options: none.

    Returns:
        Two cases per patient. `extra` holds `phase` (ED or ES), `frame`, `group` (NOR, MINF, DCM, HCM, RV),
        `height` in cm and `weight` in kg; of the flat layout only `frame`. The official test patients are
        in the section `test`, the training patients are to be divided; the flat layout's sections are kept.

    Raises:
        DataError: where no patient is found, `Info.cfg`, a frame, or the label of a training frame is
            missing, a label has no image, or `splits.json` and the folder disagree.

    Source: https://www.creatis.insa-lyon.fr/Challenge/acdc/databases.html; Bernard et al., "Deep Learning
    Techniques for Automatic MRI Cardiac Multi-structures Segmentation and Diagnosis: Is the Problem Solved?",
    IEEE TMI 37(11), 2018. Licence: CC BY-NC-SA 4.0.
    """
    check_options("acdc", options)
    files = visible_files(source)
    flat = next((p.parent for p in files if p.name == "splits.json" and (p.parent / "images").is_dir()), None)
    problems: list[str] = []
    cases = _official_cases(source, files, problems) if flat is None else _flat_cases(flat, files, problems)
    raise_problems(problems)
    if not cases:
        raise DataError(
            f"{source}: no patient001/patient001_frame01.nii.gz in it. "
            "Give the folder with training/ and testing/."
        )
    cases = [replace(case, convert=convert_acdc) if _contradicts(case) else case for case in cases]
    return SourceListing(**_HEAD, cases=cases)


def convert_acdc(case: Case, folder: Path) -> tuple[list[Path], list[Path]]:
    """Write a frame and its label with the spacing of pixdim.

    The affine is the qform where it is set, else diagonal; the label gets that of its image.

    Args:
        case: one image, at most one label.
        folder: where `images/ID.nii.gz` and `labels/ID.nii.gz` are written.

    Returns:
        The written image and label.

    Raises:
        DataError: where a file cannot be read, or image and label differ in size, or in spacing by more than
            1 %.
    """
    values, affine = _read(case.image[0])
    targets = [folder / "images" / f"{case.id}.nii.gz"]
    save_nifti(targets[0], values, affine)
    for label in case.label:
        mask, mask_affine = _read(label)
        spacings = [np.linalg.norm(a[:3, :3], axis=0) for a in (mask_affine, affine)]
        if mask.shape != values.shape or not np.allclose(spacings[0], spacings[1], rtol=0.01):
            raise DataError(
                f"{label}: its size {mask.shape} or spacing {spacings[0].round(4).tolist()} is not that of "
                f"{case.image[0]}, {values.shape} and {spacings[1].round(4).tolist()}. Unpack both again."
            )
        targets.append(folder / "labels" / f"{case.id}.nii.gz")
        save_nifti(targets[1], mask.astype(np.uint8), affine)
    return targets[:1], targets[1:]


def _official_cases(source: Path, files: list[Path], problems: list[str]) -> list[Case]:
    found = [(match, path) for path in files if (match := _NAME.fullmatch(path.name))]
    images, labels = (
        by_key(((f"{m['patient']}_frame{m['frame']}", p) for m, p in found if bool(m["gt"]) == gt), problems)
        for gt in (False, True)
    )
    infos = by_key(((p.parent.name, p) for p in files if p.name == "Info.cfg"), problems)
    folders = by_key(((p.name.split("_")[0], p.parent) for p in files if "_4d.nii" in p.name), [])
    folders |= {key.split("_")[0]: path.parent for key, path in images.items()}
    problems += [
        f"{path}: its image {key} is missing. Unpack it, or remove the label."
        for key, path in labels.items()
        if key not in images
    ]
    cases: list[Case] = []
    for patient in sorted(set(folders) | set(infos)):
        if patient not in infos:
            problems.append(f"{folders[patient]}: Info.cfg is missing. Unpack the patient again.")
            continue
        info = _read_info(infos[patient], problems)
        test = "testing" in infos[patient].relative_to(source).parts
        cases += _patient_cases(patient, infos[patient], info, test, images, labels, problems)
    return cases


def _patient_cases(
    patient: str,
    path: Path,
    info: Mapping[str, Any],
    test: bool,
    images: Mapping[str, Path],
    labels: Mapping[str, Path],
    problems: list[str],
) -> list[Case]:
    cases = []
    for phase in ("ED", "ES"):
        if phase not in info:
            continue
        key = f"{patient}_frame{info[phase]:02d}"
        if key not in images:
            problems.append(
                f"{path.parent / key}.nii.gz: missing, it is frame {phase}. Unpack the patient again."
            )
            continue
        if key not in labels and not test:
            problems.append(
                f"{images[key]}: its label {key}_gt is missing. Unpack it, or remove the patient."
            )
        extra = {"phase": phase, "frame": info[phase]}
        extra |= {name: info[field] for field, name in _FIELDS.items() if field in info}
        label = (labels[key],) if key in labels else ()
        cases.append(Case(key, patient, (images[key],), label, "test" if test else None, extra=extra))
    return cases


def _read_info(path: Path, problems: list[str]) -> dict[str, Any]:
    info: dict[str, Any] = {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            field, colon, value = line.partition(":")
            if colon and field.strip() in ("ED", "ES"):
                info[field.strip()] = int(value)
            elif colon and field.strip() in ("Height", "Weight"):
                info[field.strip()] = float(value)
            elif colon:
                info[field.strip()] = value.strip()
    except (OSError, ValueError) as error:
        problems.append(f"{path}: cannot be read ({error}). Unpack it again.")
        return info
    missing = [phase for phase in ("ED", "ES") if phase not in info]
    if missing:
        problems.append(f"{path}: no line {' and no line '.join(missing)}. Unpack it again.")
    return info


def _flat_cases(root: Path, files: list[Path], problems: list[str]) -> list[Case]:
    images, labels = (
        by_key(((strip_suffix(p), p) for p in files if p.parent == root / kind), problems)
        for kind in ("images", "labels")
    )
    section_of = read_splits(root)
    for name, path in images.items():
        if name not in section_of:
            problems.append(f"{path}: not in splits.json. Add it there, or remove it.")
        elif name not in labels:
            problems.append(f"{path}: its label {root / 'labels' / path.name} is missing. Copy it again.")
    problems += [
        f"{path}: its image is missing. Copy it again." for n, path in labels.items() if n not in images
    ]
    problems += [f"{root / 'images' / n}.nii.gz: missing, splits.json lists it. Copy it again."
                 for n in section_of if n not in images]  # fmt: skip
    return [
        Case(
            name,
            name.split("_")[0],
            (path,),
            (labels[name],),
            section_of[name],
            extra={"frame": int(name.rpartition("frame")[2])} if _NAME.fullmatch(path.name) else {},
        )
        for name, path in images.items()
        if name in labels and name in section_of
    ]


def _contradicts(case: Case) -> bool:
    """Whether a file's sform and pixdim state different spacings; unreadable files are told later."""
    import nibabel as nib

    for path in (*case.image, *case.label):
        try:
            image: Any = nib.load(path)
        except (OSError, EOFError, ValueError, nib.filebasedimages.ImageFileError):
            return False
        spacing = np.linalg.norm(image.affine[:3, :3], axis=0)
        if not np.allclose(spacing, np.abs(image.header.get_zooms()[:3]), rtol=0.01):
            return True
    return False


def _read(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    import nibabel as nib

    try:
        image: Any = nib.load(path)
        values = np.asanyarray(image.dataobj)
    except (OSError, EOFError, ValueError, nib.filebasedimages.ImageFileError) as error:
        raise DataError(
            f"{path}: cannot be read, truncated or corrupt ({error}). Unpack it again."
        ) from error
    qform, code = image.header.get_qform(coded=True)
    if code and qform is not None:
        return values, np.asarray(qform, dtype=np.float64)
    return values, np.diag([*np.abs(image.header.get_zooms()[:3]), 1.0]).astype(np.float64)
