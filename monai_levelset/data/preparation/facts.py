"""What a report tells about one case: size, spacing, intensities, amount of each label."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_levelset.data.grids import Grid

__all__ = ["fingerprint", "grid_facts", "image_facts", "label_facts", "spacing_problem"]

_SAMPLE = 1_000_000  # voxels that percentiles are taken from
_PERCENTILES = {"p1": 1.0, "median": 50.0, "p99": 99.0}
_SPACINGS = (0.005, 50.0)  # mm: from a microscope's pixel to a survey scan's step


def fingerprint(values: NDArray[Any]) -> str:
    """A hash of size and voxel values, the same for files that differ only in compression or header.

    Example:
        >>> fingerprint(np.zeros((2, 3))) == fingerprint(np.zeros((3, 2)))
        False
    """
    digest = hashlib.sha256(repr((values.shape, values.dtype.str)).encode())
    digest.update(np.ascontiguousarray(values.T).data)  # files come with the first axis fastest
    return digest.hexdigest()[:32]


def grid_facts(grid: Grid) -> dict[str, Any]:
    """Size in voxels, spacing in mm (None where the format knows none), whether the affine says nothing.

    Example:
        >>> grid_facts(Grid((4, 6)))
        {'shape': [4, 6], 'spacing': None, 'identity': False}
    """
    spacing = None if grid.affine is None else [round(s, 6) for s in grid.spacing]
    identity = grid.affine is not None and np.array_equal(grid.affine, np.eye(4))
    return {"shape": list(grid.shape), "spacing": spacing, "identity": identity}


def image_facts(values: NDArray[Any], grid: Grid) -> list[dict[str, float]]:
    """Range, mean and percentiles of each channel; percentiles of at most a million voxels, evenly taken.

    Example:
        >>> image_facts(np.array([[0, 1], [2, 3]]), Grid((2, 2)))
        [{'min': 0.0, 'max': 3.0, 'mean': 1.5, 'p1': 0.03, 'median': 1.5, 'p99': 2.97}]
    """
    channels = [values] if grid.channels == 1 else list(np.moveaxis(values, -1, 0))
    return [_intensities(channel) for channel in channels]


def label_facts(values: NDArray[Any], grid: Grid) -> dict[str, Any]:
    """Amount of every label value but 0: ml, in 2D cm2, and pixels where no spacing is known.

    Example:
        >>> mask = np.zeros((20, 20, 5), np.uint8)
        >>> mask[:10, :10] = 1
        >>> label_facts(mask, Grid(mask.shape, np.diag([1.0, 1.0, 2.0, 1.0])))
        {'unit': 'ml', 'amount': {'1': 1.0}}
    """
    inside = values[values > 0]
    if inside.dtype == np.uint8:
        bins = np.bincount(inside, minlength=1)
        found = np.flatnonzero(bins)
        counts = bins[found]
    else:
        found, counts = np.unique(inside, return_counts=True)
    unit, factor = ("pixels", 1.0)
    if grid.affine is not None:
        unit, factor = ("ml", 1e-3) if len(grid.shape) == 3 else ("cm2", 1e-2)
        factor *= math.prod(grid.spacing)
    amount = {str(int(v)): round(float(n) * factor, 6) for v, n in zip(found, counts, strict=True)}
    return {"unit": unit, "amount": amount}


def spacing_problem(grid: Grid) -> str:
    """Why the spacing cannot be in millimetres; an empty text where it can.

    Example:
        >>> spacing_problem(Grid((4, 4, 4), np.diag([0.7, 0.7, 5.0, 1.0])))
        ''
        >>> spacing_problem(Grid((4, 4, 4), np.diag([7e-4, 7e-4, 5e-3, 1.0])))
        'its spacing (0.0007, 0.0007, 0.005) mm is implausible...'
    """
    low, high = _SPACINGS
    if grid.affine is None or all(low <= s <= high for s in grid.spacing):
        return ""
    shown = ", ".join(f"{s:g}" for s in grid.spacing)
    return (
        f"its spacing ({shown}) mm is implausible, {low:g} to {high:g} mm is expected. Find out the unit and "
        "write the header again in mm."
    )


def _intensities(channel: NDArray[Any]) -> dict[str, float]:
    flat = channel.reshape(-1)
    sample = flat[:: max(1, math.ceil(flat.size / _SAMPLE))].astype(np.float64)
    facts = {"min": float(flat.min()), "max": float(flat.max()), "mean": float(flat.mean(dtype=np.float64))}
    facts.update(
        zip(_PERCENTILES, map(float, np.percentile(sample, list(_PERCENTILES.values()))), strict=True)
    )
    return {name: round(value, 6) for name, value in facts.items()}
