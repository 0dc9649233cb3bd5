"""LiTS, liver and liver lesions in CT (ISBI and MICCAI 2017)."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from monai_levelset.data.errors import DataError, raise_problems
from monai_levelset.data.grids import read_grid
from monai_levelset.data.readers.base import Case, SourceListing
from monai_levelset.data.readers.files import by_key, check_options
from monai_levelset.data.readers.label_grid import mend_labels
from monai_levelset.data.readers.listing import visible_files

__all__ = ["read_lits"]

LIVER_HU = (-150.0, 300.0)
"""Liver, its vessels and lesions in CT of any phase, noise included."""

_NAME = re.compile(
    r"(?P<test>test-)?(?P<kind>volume|segmentation)-(?P<number>\d+)\.nii(\.gz)?", re.IGNORECASE
)


def read_lits(source: Path, **options: str) -> SourceListing:
    """Read LiTS in its official layout.

    `volume-0.nii` and `segmentation-0.nii` to 130, in `Training Batch 1` and `Training Batch 2` or any other
    folders, compressed or not; test scans are `test-volume-0.nii` to 69, without labels.

    Files are used as they are. A label that its header puts elsewhere than its scan is written anew on the
    scan's grid where the difference is known: the same voxels with axes turned or swapped; or axes of another
    sign, or offsets that differ by up to one voxel, in sign, or are zero. Such a label must lie on -150 to
    300 HU to 95 %. Spacings must agree within 1 %, sizes exactly. Every other difference is refused.

    Args:
        source: folder of the unpacked archives.
        options: none.

    Returns:
        The training cases, to be divided by patient, and the test cases. `spacing_known` is false where the
        header says 1 mm along every axis: the scans taken over from 3D-IRCADb (28 to 47) lost their spacing.

    Raises:
        DataError: where no scan is found, a scan has no label or a label no scan, two files claim one case,
            or the grids do not fit.

    Source: https://competitions.codalab.org/competitions/17094; Bilic et al., "The Liver Tumor Segmentation
    Benchmark (LiTS)", Medical Image Analysis 84, 2023, arXiv:1901.04056. Licence: CC BY-NC-ND 4.0.
    """
    check_options("lits", options)
    files = visible_files(source)
    problems: list[str] = []
    found = [(match, path) for path in files if (match := _NAME.fullmatch(path.name))]
    volumes, labels = (
        by_key(((_key(m), p) for m, p in found if m["kind"].lower() == kind), problems)
        for kind in ("volume", "segmentation")
    )
    if not volumes:
        raise DataError(
            f"{source}: no scan volume-0.nii in it. Give the folder with the LiTS archives unpacked."
        )
    problems += [
        f"{path}: its label segmentation-{key}.nii is missing. Unpack it, or remove the scan."
        for key, path in volumes.items()
        if key not in labels and not key.startswith("test")
    ]
    problems += [
        f"{path}: its scan volume-{key}.nii is missing. Unpack it, or remove the label."
        for key, path in labels.items()
        if key not in volumes
    ]
    cases = [_case(key, path, labels.get(key)) for key, path in volumes.items()]
    cases = mend_labels(cases, problems, tissue=LIVER_HU)
    raise_problems(problems)
    return SourceListing(
        name="LiTS",
        description=(
            "Liver and liver lesions in CT (Bilic et al. 2023), "
            "https://competitions.codalab.org/competitions/17094. Licence: CC BY-NC-ND 4.0."
        ),
        modality="CT",
        labels={"0": "background", "1": "liver", "2": "lesion"},
        cases=sorted(cases, key=_order),
        skipped=[f"{path}: not named like LiTS" for path in files if _is_stray(path)],
    )


def _key(match: re.Match[str]) -> str:
    return ("test-" if match["test"] else "") + str(int(match["number"]))


def _case(key: str, volume: Path, label: Path | None) -> Case:
    number = int(key.removeprefix("test-"))
    test = key.startswith("test-")
    name = f"{'test-' if test else ''}volume-{number:03d}"
    case = Case(name, name, (volume,), () if label is None else (label,), "test" if test else None)
    try:
        unknown = bool(max(abs(s - 1.0) for s in read_grid(volume).spacing) < 1e-6)
    except DataError:  # told by the check of every file, which follows
        return case
    return replace(case, extra={"spacing_known": not unknown})


def _order(case: Case) -> tuple[bool, str]:
    return case.section == "test", case.id


def _is_stray(path: Path) -> bool:
    return path.name.lower().endswith((".nii", ".nii.gz")) and not _NAME.fullmatch(path.name)
