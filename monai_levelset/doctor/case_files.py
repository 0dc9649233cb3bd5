"""Every file of some cases, read once: problems, sizes, spacings, amounts of labels."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tqdm import tqdm

from monai_levelset.data.cache_folders import item_paths
from monai_levelset.data.preparation.examine import Job, Result, examine
from monai_levelset.data.readers.base import Case
from monai_levelset.doctor.report import Finding

__all__ = ["case_key", "grid_findings", "look_at"]

_ISOTROPIC = 1e-6


def case_key(item: Mapping[str, Any]) -> str:
    """What tells one item from all others: its images' paths.

    Args:
        item: a data-list item.

    Returns:
        The key of its result in what `look_at` returns.
    """
    return "\n".join(map(str, item_paths(item.get("image"))))


def look_at(items: Sequence[Mapping[str, Any]]) -> dict[str, Result]:
    """Read all files of some items. A progress bar is shown on a terminal.

    Args:
        items: data-list items with absolute paths.

    Returns:
        `case_key` -> files, facts and problems.
    """
    jobs = {case_key(item): _job(item) for item in items}
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        results = pool.map(examine, jobs.values())
        shown = tqdm(results, total=len(jobs), desc="reading data", unit="case", disable=None, leave=False)
        return dict(zip(jobs, shown, strict=True))


def grid_findings(section: str, results: Mapping[str, Result]) -> list[Finding]:
    """Sizes and spacings of the images.

    Args:
        section: of the findings.
        results: what `look_at` returned.

    Returns:
        The ranges; a warning where images have different numbers of axes, or NIfTI files state no position.
    """
    facts = [result.facts for result in results.values() if "shape" in result.facts]
    if not facts:
        return []
    axes = sorted({len(fact["shape"]) for fact in facts})
    findings = [_grids(section, [fact for fact in facts if len(fact["shape"]) == n]) for n in axes]
    if len(axes) > 1:
        fix = "keep slices and volumes in folders of their own"
        findings.append(Finding(section, "grids", "warning", "slices and volumes are mixed", fix))
    blank = sum(fact["identity"] for fact in facts)
    if blank:
        message = f"{blank} of {len(facts)} images state the spacing 1 mm and no position, as a default"
        fix = "if it is not true, write the affine again: distances in mm and --spacing rely on it"
        findings.append(Finding(section, "grids", "warning", message, fix))
    return findings


def _job(item: Mapping[str, Any]) -> Job:
    images, labels = tuple(item_paths(item.get("image"))), tuple(item_paths(item.get("label")))
    case = Case(str(item.get("id", images[0].name)), str(item.get("patient", "")), images, labels)
    return Job(case, "", Path(), None)


def _grids(section: str, facts: Sequence[Mapping[str, Any]]) -> Finding:
    message = f"{len(facts)} of {_range([fact['shape'] for fact in facts])} voxels"
    spacings = [fact["spacing"] for fact in facts if fact["spacing"]]
    message += f", {_range(spacings)} mm" if spacings else ", no spacing in the files"
    return Finding(section, "grids", "ok", message)


def _range(values: Sequence[Sequence[float]]) -> str:
    """Per axis the smallest and, where it differs, the largest."""
    shown = []
    for axis in zip(*values, strict=True):
        low, high = min(axis), max(axis)
        shown.append(f"{low:.4g}" if high - low < _ISOTROPIC else f"{low:.4g}-{high:.4g}")
    return " x ".join(shown)
