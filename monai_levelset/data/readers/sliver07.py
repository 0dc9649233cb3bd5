"""SLIVER07, liver in contrast-enhanced CT (MICCAI 2007)."""

from __future__ import annotations

import re
from pathlib import Path

from monai_levelset.data.errors import DataError, raise_problems
from monai_levelset.data.readers.base import Case, SourceListing
from monai_levelset.data.readers.files import by_key, check_options
from monai_levelset.data.readers.label_grid import mend_labels
from monai_levelset.data.readers.listing import visible_files
from monai_levelset.data.readers.metaimage import metaimage_problems

__all__ = ["read_sliver07"]

LIVER_HU = (-100.0, 300.0)
"""Liver, its vessels and lesions in portal venous CT."""

_NAME = re.compile(r"liver-(?P<kind>orig|seg|test)(?P<number>\d{3})\.mhd", re.IGNORECASE)


def read_sliver07(source: Path, **options: str) -> SourceListing:
    """Read SLIVER07 in its official layout.

    The archives `training-scans.zip`, `training-labels.zip` and `test-scans.zip` hold `scan/` and `label/`
    with `liver-orig001.mhd` and `.raw` to `020`, `liver-seg001.mhd` to `020`, and ten test scans without
    labels, `liver-test001.mhd` on. They may be unpacked side by side or each into a folder of its own. A scan
    in a folder whose name begins with `test` is a test scan, whatever its name.

    Scans are used as they are. Labels stored as signed bytes, which MONAI does not read, are written anew as
    NIfTI. A label whose header differs from its scan's in a known way (an axis turned,
    an offset with another sign, rounded or missing) is written anew on the scan's grid, provided that 95 % of
    it lies on -100 to 300 HU; every other difference is refused.

    Args:
        source: folder of the unpacked archives.
        options: none.

    Returns:
        20 labelled cases to be divided by patient, and the test scans.

    Raises:
        DataError: where no scan is found, a scan has no label or a label no scan, a `.raw` file is missing or
            truncated, two files claim one case, or the grids do not fit.

    Source: https://sliver07.grand-challenge.org, https://zenodo.org/records/2597908; Heimann et al.,
    "Comparison and evaluation of methods for liver segmentation from CT datasets", IEEE TMI 28(8), 2009.
    Licence: research on liver segmentation by the registered team only, no redistribution.
    """
    check_options("sliver07", options)
    files = visible_files(source)
    problems: list[str] = []
    found = [(match, path) for path in files if (match := _NAME.fullmatch(path.name))]
    scans, labels, tests = (
        by_key(((m["number"], p) for m, p in found if _kind(m, p, source) == kind), problems)
        for kind in ("orig", "seg", "test")
    )
    if not (scans or tests):
        raise DataError(
            f"{source}: no scan liver-orig001.mhd in it. Give the folder with training-scans.zip and "
            "training-labels.zip unpacked."
        )
    problems += [
        f"{path}: no label liver-seg{number}.mhd is there. Unpack training-labels.zip, or remove the scan."
        for number, path in scans.items()
        if number not in labels
    ]
    problems += [
        f"{path}: no scan liver-orig{number}.mhd is there. Unpack training-scans.zip, or remove the label."
        for number, path in labels.items()
        if number not in scans
    ]
    problems += [line for _, path in found for line in metaimage_problems(path)]
    cases = [
        Case(f"liver-{number}", f"liver-{number}", (path,), (labels[number],))
        for number, path in scans.items()
        if number in labels
    ]
    cases = mend_labels(cases, problems, tissue=LIVER_HU)
    raise_problems(problems)
    cases += [Case(f"liver-test{n}", f"liver-test{n}", (p,), section="test") for n, p in tests.items()]
    return SourceListing(
        name="SLIVER07",
        description=(
            "Liver in contrast-enhanced CT (Heimann et al. 2009), https://zenodo.org/records/2597908. "
            "Licence: for research on liver segmentation by the registered team only, no redistribution."
        ),
        modality="CT",
        labels={"0": "background", "1": "liver"},
        cases=sorted(cases, key=lambda case: case.id),
        skipped=[f"{p}: not named like SLIVER07" for p in files if _is_stray(p)],
    )


def _kind(match: re.Match[str], path: Path, source: Path) -> str:
    folders = path.relative_to(source).parts[:-1]
    in_test = any(folder.lower().startswith("test") for folder in folders)
    return "test" if in_test else match["kind"].lower()


def _is_stray(path: Path) -> bool:
    return path.suffix.lower() in (".mhd", ".mha") and not _NAME.fullmatch(path.name)
