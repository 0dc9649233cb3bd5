"""Shapes as distance functions: positive inside, zero on the border, in millimetres.

Shapes combine as in constructive solid geometry: ``np.maximum`` is the union, ``np.minimum`` the
intersection and ``-d`` the complement.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[Any]


def grid(shape: Sequence[int], spacing: Sequence[float]) -> list[Array]:
    """Coordinates in millimetres with the origin at the centre of the grid.

    Args:
        shape: number of voxels per axis.
        spacing: voxel size per axis, in millimetres.

    Returns:
        One float32 array per axis, shaped for broadcasting (an open mesh).

    Example:
        >>> x, y = grid((3, 2), (2.0, 1.0))
        >>> x.ravel().tolist(), y.ravel().tolist()
        ([-2.0, 0.0, 2.0], [-0.5, 0.5])
    """
    axes = [
        ((np.arange(n) - (n - 1) / 2) * s).astype(np.float32) for n, s in zip(shape, spacing, strict=True)
    ]
    return list(np.meshgrid(*axes, indexing="ij", sparse=True))


def rotate(x: Array, y: Array, angle: float) -> tuple[Array, Array]:
    """Turn coordinates so that a shape drawn in them is rotated by ``angle`` radians (x towards y)."""
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return c * x + s * y, c * y - s * x


def ellipsoid(
    coords: Sequence[Array], centre: Sequence[Any] | Array, radii: Sequence[Any] | Array, angle: float = 0.0
) -> Array:
    """First-order distance to an ellipse or ellipsoid (exact for a ball).

    Args:
        coords: coordinate arrays as given by `grid`.
        centre: centre per axis; a number or an array that broadcasts (a centre that drifts along z).
        radii: half axes in millimetres; numbers or arrays (a radius that tapers along z).
        angle: rotation in the plane of the first two axes, radians.

    Returns:
        Approximate signed distance in millimetres, positive inside.

    Example:
        >>> x, y = grid((5, 1), (1.0, 1.0))
        >>> ellipsoid((x, y), (0, 0), (1.5, 1.5)).ravel().round(3).tolist()
        [-0.5, 0.5, 1.5, 0.5, -0.5]
    """
    moved = [c - np.asarray(m, np.float32) for c, m in zip(coords, centre, strict=True)]
    moved[:2] = rotate(moved[0], moved[1], angle)
    half = [np.maximum(np.asarray(r, np.float32), np.float32(1e-3)) for r in radii]
    k0 = np.sqrt(sum((p / r) ** 2 for p, r in zip(moved, half, strict=True)))
    k1 = np.sqrt(sum((p / r**2) ** 2 for p, r in zip(moved, half, strict=True)))
    smallest = np.minimum.reduce(np.broadcast_arrays(*half))
    return np.where(k0 < 1e-3, smallest, k0 * (1 - k0) / np.maximum(k1, 1e-9)).astype(np.float32)


def smooth_field(
    rng: np.random.Generator, shape: Sequence[int], spacing: Sequence[float], scale: float
) -> Array:
    """Random field with zero mean, unit standard deviation and structures of about ``scale`` millimetres.

    Independent numbers on a coarse grid (one per ``scale``) weight cubic B-splines, one axis after the
    other, so the cost does not grow with ``scale``.

    Args:
        rng: source of randomness.
        shape: voxels per axis.
        spacing: millimetres per voxel and axis.
        scale: distance between independent values, in millimetres.

    Returns:
        float32 array of the given shape.
    """
    bases = [spline_basis(n, s / scale) for n, s in zip(shape, spacing, strict=True)]
    field = rng.standard_normal([basis.shape[1] for basis in bases]).astype(np.float32)
    for basis in bases:
        field = np.tensordot(field, basis, axes=(0, 1))
    return np.asarray((field - field.mean()) / max(float(field.std()), 1e-6), np.float32)


def spline_basis(n: int, step: float) -> Array:
    """Cubic B-splines with unit knots at ``n`` points ``step`` apart: an ``(n, knots)`` float32 matrix.

    Example:
        >>> spline_basis(5, 0.5).sum(axis=1).round(5).tolist()
        [1.0, 1.0, 1.0, 1.0, 1.0]
    """
    points = 1 + np.arange(n) * step
    away = np.abs(points[:, None] - np.arange(int(np.ceil(points[-1])) + 3)[None])
    near = 2 / 3 - away**2 + away**3 / 2
    far = np.clip(2 - away, 0, None) ** 3 / 6
    return np.where(away < 1, near, far).astype(np.float32)


def tubes(shape: Sequence[int], spacing: Sequence[float], points: Array, radii: Array) -> Array:
    """Distance function of the union of balls along centre lines (vessels, ribs).

    Args:
        shape: voxels per axis.
        spacing: millimetres per voxel and axis.
        points: ``(n, d)`` centre-line points in the coordinates of `grid`, dense enough to touch each other.
        radii: ``(n,)`` radius in millimetres at each point.

    Returns:
        Radius of the nearest centre-line voxel minus the distance to it, millimetres; positive inside.
    """
    half = (np.asarray(shape) - 1) / 2
    index = np.rint(points / np.asarray(spacing) + half).astype(int)
    inside = np.all((index >= 0) & (index < np.asarray(shape)), axis=1)
    if not inside.any():
        return np.full(tuple(shape), -np.float32(1e3))
    where = tuple(index[inside].T)
    radius = np.zeros(tuple(shape), np.float32)
    np.maximum.at(radius, where, radii[inside].astype(np.float32))
    distance, nearest = ndimage.distance_transform_edt(
        radius == 0, sampling=tuple(spacing), return_indices=True
    )
    return np.asarray(radius[tuple(nearest)] - distance, np.float32)


def branches(
    rng: np.random.Generator,
    start: Sequence[float] | Array,
    heading: Sequence[float] | Array,
    *,
    length: float,
    radius: float,
    generations: int,
    step: float = 0.7,
    wander: float = 0.08,
    spread: float = 0.7,
) -> tuple[Array, Array]:
    """Centre lines of a random vessel tree.

    Each branch walks in small steps with a wandering direction and then splits in two thinner, shorter ones
    (radius times 0.78, length times 0.75).

    Args:
        rng: source of randomness.
        start: first point, millimetres.
        heading: first direction, any length.
        length: length of the first branch, millimetres.
        radius: radius of the first branch, millimetres.
        generations: number of times the tree splits.
        step: distance between centre-line points, millimetres.
        wander: change of direction per step, radians (standard deviation).
        spread: angle between a branch and its children, about this many radians.

    Returns:
        Points ``(n, d)`` and radii ``(n,)`` for `tubes`.
    """
    points: list[Array] = []
    radii: list[Array] = []
    todo = [(np.asarray(start, float), np.asarray(heading, float), length, radius, generations)]
    while todo:
        origin, direction, size, width, left = todo.pop()
        n = max(int(size / step), 2)
        direction = direction / np.linalg.norm(direction)
        bends = np.cumsum(rng.standard_normal((n, len(direction))) * wander, axis=0)
        steps = direction + bends
        steps *= step / np.linalg.norm(steps, axis=1, keepdims=True)
        line = origin + np.cumsum(steps, axis=0)
        points.append(line)
        radii.append(np.linspace(width, width * 0.8, n))
        if left > 0:
            side = rng.standard_normal(len(direction)) * spread
            last = steps[-1] / step
            for sign in (1, -1):
                todo.append((line[-1], last + sign * side, size * 0.75, width * 0.78, left - 1))
    return np.concatenate(points), np.concatenate(radii)
