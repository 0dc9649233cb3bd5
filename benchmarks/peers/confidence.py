"""Confidence map of four extreme points, by its formula, in NumPy: as one writes it, and as one tunes it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


def confidence_map(points: Array, shape: tuple[int, int]) -> Array:
    """1/(1 + d1 + d2) of the two segments between opposite points (Zheng et al., eqs. 1 to 3).

    Args:
        points: top, bottom, left, right, each (row, column), `(4, 2)`.
        shape: of the map.

    Returns:
        The map.
    """
    axes = [np.arange(n, dtype=np.float64) for n in shape]
    pixels = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    return _confidence(_distance(pixels, *points[:2]), _distance(pixels, *points[2:]))


def _distance(pixels: Array, a: Array, b: Array) -> Array:
    """Distance of pixels `(H, W, 2)` to the segment from a to b, in halves of its length."""
    side = b - a
    along = np.clip((pixels - a) @ side / (side @ side), 0, 1)
    nearest = a + along[..., None] * side
    return np.linalg.norm(pixels - nearest, axis=-1) / (np.linalg.norm(side) / 2)


def confidence_map_by_axis(points: Array, shape: tuple[int, int]) -> Array:
    """The same with rows and columns in arrays of their own, which NumPy handles faster."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    first, second = (_distance_by_axis(rows, columns, *pair) for pair in (points[:2], points[2:]))
    return _confidence(first, second)


def _distance_by_axis(rows: Array, columns: Array, a: Array, b: Array) -> Array:
    down, right = b - a
    along = np.clip(((rows - a[0]) * down + (columns - a[1]) * right) / (down**2 + right**2), 0, 1)
    gap = np.hypot(rows - a[0] - along * down, columns - a[1] - along * right)
    return gap / (0.5 * np.hypot(down, right))


def _confidence(first: Array, second: Array) -> Array:
    return 1 / (1 + np.minimum(first, second) + np.hypot(first, second))
