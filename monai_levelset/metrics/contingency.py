"""How many pixels two partitions of a picture have in common, region by region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Table:
    """Non-empty cells of the contingency table of a segmentation and one truth, and its margins.

    Attributes:
        segment: number of the segment of each cell.
        region: number of the true region of each cell.
        pixels: pixels of each cell, at least 1.
        segments: pixels of every segment.
        regions: pixels of every region.
    """

    segment: NDArray[np.int64]
    region: NDArray[np.int64]
    pixels: NDArray[np.int64]
    segments: NDArray[np.int64]
    regions: NDArray[np.int64]


def contingency_tables(segmentation: ArrayLike, truths: Sequence[ArrayLike]) -> list[Table]:
    """One table per truth.

    Raises:
        ValueError: if there is no truth, a shape differs, a map is empty or its labels are not integers.
    """
    maps = [np.asarray(each) for each in truths]
    if not maps:
        raise ValueError("there is no true partition; give the label map of one annotator or more")
    found = np.asarray(segmentation)
    for index, true in enumerate(maps):
        if true.shape != found.shape:
            raise ValueError(f"segmentation {found.shape} and truth {index} {true.shape} differ in shape")
    segments = _consecutive(found, "the segmentation")
    return [_table(segments, _consecutive(true, f"truth {index}")) for index, true in enumerate(maps)]


def _consecutive(labels: NDArray[Any], name: str) -> NDArray[np.int64]:
    if labels.size == 0:
        raise ValueError(f"{name} has no pixels")
    if labels.dtype.kind not in "iub":
        raise ValueError(f"{name} must be a map of integer labels, not {labels.dtype}")
    return np.unique(labels.ravel(), return_inverse=True)[1].astype(np.int64)


def _table(segments: NDArray[np.int64], regions: NDArray[np.int64]) -> Table:
    cell, pixels = np.unique(segments * (regions.max() + 1) + regions, return_counts=True)
    segment, region = np.divmod(cell, regions.max() + 1)
    return Table(segment, region, pixels, np.bincount(segments), np.bincount(regions))
