"""Confidence map of four extreme points, by its formula, in NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def confidence_map(points: NDArray[np.floating], shape: tuple[int, int]) -> NDArray[np.float64]:
    """1/(1 + d1 + d2) of the two segments between opposite points (Zheng et al., section 3.2).

    Args:
        points: top, bottom, left, right, each (row, column), `(4, 2)`.
        shape: of the map.

    Returns:
        The map.
    """
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    first = _scaled_distance(rows, columns, points[0], points[1])
    second = _scaled_distance(rows, columns, points[2], points[3])
    nearest = np.minimum(first, second)
    both = np.sqrt(first**2 + second**2)
    return 1 / (1 + nearest + both)


def _scaled_distance(
    rows: NDArray[np.float64], columns: NDArray[np.float64], a: NDArray[np.floating], b: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Distance of every pixel to the segment from a to b, in halves of its length."""
    length2 = (b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2
    along = ((rows - a[0]) * (b[0] - a[0]) + (columns - a[1]) * (b[1] - a[1])) / length2
    along = np.clip(along, 0, 1)
    gap = np.hypot(rows - a[0] - along * (b[0] - a[0]), columns - a[1] - along * (b[1] - a[1]))
    return gap / (0.5 * np.sqrt(length2))
