"""DICOM series folders: unlabelled ones of any origin, and CHAOS with its PNG labels."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_levelset.data.errors import DataError, raise_problems
from monai_levelset.data.readers.base import Case, SourceListing
from monai_levelset.data.readers.dicom_series import (
    Slice,
    group_series,
    read_headers,
    read_volume,
    series_problems,
    sorted_slices,
)
from monai_levelset.data.readers.files import check_options, plain_name
from monai_levelset.data.readers.label_grid import check_tissue, save_nifti, tissue_share
from monai_levelset.data.readers.listing import visible_files

__all__ = ["convert_series", "read_chaos", "read_dicom_folder"]

LIVER_HU = (-100.0, 300.0)
"""Liver and its vessels in portal venous CT."""


def read_dicom_folder(source: Path, **options: str) -> SourceListing:
    """Find every DICOM series under a folder; each becomes one unlabelled volume in NIfTI.

    Files are told by content, so they need no `.dcm`. A series is what shares a folder and a
    SeriesInstanceUID; its slices are ordered by position along their normal, whatever their names. Values are
    rescaled (RescaleSlope, RescaleIntercept: HU for CT); the grid is the true one, oblique where the series
    is. A case is called after its folder; `patient` is a hash of PatientID and name, so that neither gets
    into the data list, or the folder where both are empty.

    Args:
        source: folder with series at any depth, one patient per folder.
        options: none.

    Returns:
        One case per series with at least two slices; other objects (scouts of one slice, reports,
        segmentations, files that are no DICOM) are reported as left out.

    Raises:
        DataError: where no series is found; a folder or series holds several patients; slices of a series
            differ in size, spacing or orientation, are missing, doubled or unevenly spaced, the gantry was
            tilted; or a file's header is broken. Every file is named.
    """
    check_options("dicom", options)
    problems: list[str] = []
    skipped: list[str] = []
    slices = read_headers(visible_files(source), problems, skipped)
    problems += _mixed_patients(slices)
    raise_problems(problems)
    groups = {key: found for key, found in group_series(slices).items() if len(found) > 1}
    skipped += [
        f"{s.path}: the only slice of its series" for s in slices if (s.path.parent, s.series) not in groups
    ]
    if not groups:
        raise DataError(
            f"{source}: no DICOM series of at least two slices in it. Give the folder with the slices."
        )
    names = _names(source, groups)
    raise_problems([line for found in groups.values() for line in series_problems(found)])
    return SourceListing(
        name="DICOM series",
        description=f"DICOM series of {source.name}, without labels. Licence: that of its origin.",
        modality="/".join(sorted({found[0].modality for found in groups.values()})),
        labels={"0": "background"},
        cases=[
            Case(
                names[key],
                _pseudonym(found[0].patient) or names[key],
                tuple(s.path for s in sorted_slices(found)),
                convert=convert_series,
            )
            for key, found in sorted(groups.items(), key=lambda item: names[item[0]])
        ],
        skipped=skipped,
    )


def read_chaos(source: Path, **options: str) -> SourceListing:
    """Read the CT part of CHAOS in its official layout.

    `Train_Sets/CT/1/DICOM_anon/*.dcm` with `Train_Sets/CT/1/Ground/liver_GT_000.png`, and `Test_Sets/CT/3/
    DICOM_anon/` without labels. The PNGs lie in the order of the DICOM file names, which is that of
    descending z; the volume is written with ascending z and its label with it. Numbers in the names must rise
    in step, so that a slice lost on one side is noticed; 95 % of the label must lie on -100 to 300 HU, and
    the label in reversed order must not fit better.

    Args:
        source: folder of the unpacked archives, or of one case.
        options: none.

    Returns:
        The training cases, to be divided by patient, and the test cases. The MR part is left out.

    Raises:
        DataError: as `read_dicom_folder`; and where a training case has no label, or slices and PNGs
            differ in number or do not correspond.

    Source: https://chaos.grand-challenge.org, https://zenodo.org/records/3431873; Kavur et al., "CHAOS
    Challenge - combined (CT-MR) healthy abdominal organ segmentation", Medical Image Analysis 69, 2021.
    Licence: CC BY-NC-SA 4.0.
    """
    check_options("chaos", options)
    files = visible_files(source)
    folders: dict[Path, list[Path]] = defaultdict(list)
    for path in files:
        if path.parent.name.upper() == "DICOM_ANON":
            folders[path.parent].append(path)
    problems: list[str] = []
    skipped = [
        f"{p}: magnetic resonance, only CT is read"
        for p in sorted({f.parent for f in files if _is_mr(f, source)})
    ]
    found = [_chaos_case(source, folder, paths, problems) for folder, paths in sorted(folders.items())]
    raise_problems(problems)
    cases = [case for case in found if case is not None]
    if not cases:
        raise DataError(
            f"{source}: no CT/1/DICOM_anon with slices in it. Give the folder with Train_Sets unpacked."
        )
    return SourceListing(
        name="CHAOS CT",
        description=(
            "Healthy liver in portal venous CT (Kavur et al. 2021), https://zenodo.org/records/3431873. "
            "Licence: CC BY-NC-SA 4.0."
        ),
        modality="CT",
        labels={"0": "background", "1": "liver"},
        cases=cases,
        skipped=skipped,
    )


def convert_series(
    case: Case, folder: Path, *, tissue: tuple[float, float] | None = None
) -> tuple[list[Path], list[Path]]:
    """Write a series, and its PNG masks where there are some, as NIfTI volumes on one grid.

    Args:
        case: `image` holds the slices sorted along their normal, `label` no file or one mask per slice.
        folder: where `images/ID.nii.gz` and `labels/ID.nii.gz` are written.
        tissue: range of intensities that the masks must lie on; None: no check.

    Returns:
        The written image and label.

    Raises:
        DataError: where a slice or mask cannot be read, a mask has another size or more than two values, or
            the masks do not lie on the tissue.
    """
    values, affine = read_volume(case.image)
    image, label = (folder / kind / f"{case.id}.nii.gz" for kind in ("images", "labels"))
    if not case.label:
        save_nifti(image, values, affine)
        return [image], []
    mask = _read_masks(case.label, (values.shape[1], values.shape[0]))
    if tissue is not None:
        _check_masks(case, values, mask, tissue)
    save_nifti(image, values, affine)
    save_nifti(label, mask, affine)
    return [image], [label]


def _check_masks(
    case: Case, values: NDArray[Any], mask: NDArray[np.uint8], tissue: tuple[float, float]
) -> None:
    images, labels = case.image[0].parent, case.label[0].parent
    check_tissue(images, labels, values, mask, tissue)
    if tissue_share(values, mask[..., ::-1], tissue) > tissue_share(values, mask, tissue) + 0.01:
        raise DataError(
            f"{labels}: the labels fit {images} better in reversed order. Compare both in a viewer and "
            "rename the labels, or remove the case."
        )


def _mixed_patients(slices: Sequence[Slice]) -> list[str]:
    folders: dict[Path, dict[str, Path]] = defaultdict(dict)
    for item in slices:
        folders[item.path.parent].setdefault(item.patient, item.path)
    return [
        f"{folder}: slices of {len(patients)} patients, for example "
        f"{' and '.join(map(str, patients.values()))}. Put each patient into a folder of its own."
        for folder, patients in folders.items()
        if len(patients) > 1
    ]


def _pseudonym(patient: str) -> str:
    return f"patient-{hashlib.sha256(patient.encode()).hexdigest()[:12]}" if patient else ""


def _names(source: Path, groups: dict[tuple[Path, str], list[Slice]]) -> dict[tuple[Path, str], str]:
    folders = [folder for folder, _ in groups]
    names: dict[tuple[Path, str], str] = {}
    for folder, series in groups:
        relative = folder.relative_to(source)
        base = plain_name("_".join(relative.parts) or source.resolve().name)
        several = folders.count(folder) > 1
        name = f"{base}-{folders[: len(names) + 1].count(folder)}" if several else base
        while name in names.values():
            name += "_"
        names[folder, series] = name
    return names


def _is_mr(path: Path, source: Path) -> bool:
    return "MR" in (part.upper() for part in path.relative_to(source).parts[:-1])


def _chaos_case(source: Path, folder: Path, paths: list[Path], problems: list[str]) -> Case | None:
    root = folder.parent
    parts = [part.lower() for part in folder.relative_to(source).parts]
    if "mr" in parts:
        return None
    test = any(part.startswith("test") for part in parts)
    slices = read_headers(paths, problems, problems)
    if len(slices) < 2:
        problems.append(f"{folder}: {len(slices)} DICOM slices in it. Unpack the case again.")
        return None
    lines = _mixed_patients(slices) or _mixed_series(folder, slices) or series_problems(slices)
    ordered = sorted_slices(slices)
    masks = sorted(p for p in (root / "Ground").glob("*.png") if not p.name.startswith("."))
    if not masks and not test:
        lines.append(f"{root / 'Ground'}: no label liver_GT_*.png in it. Unpack the case again.")
    if masks and not lines:
        masks, lines = _in_order(slices, masks, ordered)
    problems += lines
    name = root.resolve().name
    name = plain_name(f"ct-{name}" if name.isdigit() else name)
    convert = partial(convert_series, tissue=LIVER_HU) if masks else convert_series
    return Case(name, name, tuple(s.path for s in ordered), tuple(masks), "test" if test else None, convert)


def _mixed_series(folder: Path, slices: Sequence[Slice]) -> list[str]:
    series = {item.series: item.path for item in slices}
    if len(series) == 1:
        return []
    files = " and ".join(str(path) for path in series.values())
    return [f"{folder}: slices of {len(series)} series, for example {files}. Unpack the case again."]


def _in_order(slices: list[Slice], masks: list[Path], ordered: list[Slice]) -> tuple[list[Path], list[str]]:
    """Bring masks, which lie in the order of the slices' names, into the order of the positions."""
    folder, ground = slices[0].path.parent, masks[0].parent
    if len(masks) != len(slices):
        return [], [
            f"{ground}: {len(masks)} labels for {len(slices)} slices in {folder}. Unpack the case again."
        ]
    if ordered not in (slices, slices[::-1]):
        return [], [
            f"{folder}: the file names do not follow the slices' positions, so the order of the labels is "
            "unknown. Unpack the case again."
        ]
    steps = {_number(s.path) - _number(m) for s, m in zip(slices, masks, strict=True)}
    if len(steps) > 1:
        return [], [
            f"{ground}: the numbers of the labels do not rise with those of the slices in {folder}, one is "
            "missing on either side. Unpack the case again."
        ]
    return (masks if ordered == slices else masks[::-1]), []


def _number(path: Path) -> int:
    """The number that counts the slice: `i0018,0000b.dcm` is 18, `IMG-0004-00001.dcm` is 1."""
    first = path.stem.split(",")[0]
    return int((re.findall(r"\d+", first) or ["0"])[-1])


def _read_masks(paths: Sequence[Path], shape: tuple[int, int]) -> NDArray[np.uint8]:
    problems: list[str] = []
    planes = [plane for path in paths if (plane := _read_mask(path, shape, problems)) is not None]
    raise_problems(problems)
    return np.stack(planes, axis=-1)


def _read_mask(path: Path, shape: tuple[int, int], problems: list[str]) -> NDArray[np.uint8] | None:
    from PIL import Image

    try:
        with Image.open(path) as image:
            pixels: NDArray[Any] = np.asarray(image.convert("L"))
    except (OSError, SyntaxError, ValueError) as error:
        problems.append(f"{path}: no readable PNG ({error}). Unpack it again.")
        return None
    values = np.unique(pixels)
    if pixels.shape != shape:
        problems.append(f"{path}: {pixels.shape} pixels, its slice has {shape}. Unpack the case again.")
    elif values.size > 2 or (values.size == 2 and values[0] != 0):
        problems.append(
            f"{path}: the values {values[:5].tolist()}, 0 and one other are expected. Unpack it again."
        )
    return (pixels > 0).astype(np.uint8).T
