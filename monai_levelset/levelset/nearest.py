"""Exact search for the nearest voxel without a label, in NumPy: OpenCV on slices where it can, else SciPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

_CV2_MAX_SQUARED = 4_000_000


def bounding_box(mask: Mask, margin: Sequence[int]) -> tuple[slice, ...]:
    """Bounding box of a mask that is not empty, with so many more voxels on either side of each axis.

    Args:
        mask: mask of any dimension with at least one voxel inside.
        margin: voxels to add, one number per axis; cut off at the border.

    Returns:
        One slice per axis.

    Example:
        >>> bounding_box(np.array([[0, 0, 0, 0], [0, 0, 1, 0]], dtype=bool), (0, 1))
        (slice(1, 2, None), slice(1, 4, None))
    """
    box = []
    for axis, m in enumerate(margin):
        hits = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        box.append(slice(max(int(hits[0]) - m, 0), min(int(hits[-1]) + 1 + m, mask.shape[axis])))
    return tuple(box)


def nearest_steps(label: Mask, h: tuple[float, ...]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The step s, in mm, from each voxel of a label to the nearest voxel without it.

    Args:
        label: 2D or 3D mask with at least one voxel of either kind.
        h: mm per voxel, one per axis.

    Returns:
        |s|^2 and sum_i (s_i h_i)^2, of the shape of `label`; zero where the label is not. For voxels of 1 mm
        the two are one and the same array, of whole numbers. Of several nearest voxels any may be taken.

    Example:
        >>> label = np.array([[0, 1, 1, 1]], dtype=bool)
        >>> squares, weighted = nearest_steps(label, (1.0, 2.0))
        >>> squares.tolist(), weighted.tolist()
        ([[0.0, 4.0, 16.0, 36.0]], [[0.0, 16.0, 64.0, 144.0]])
    """
    cv2, axis = _opencv(), _stacking_axis(label.shape, h)
    if cv2 is None or axis is None or sum(n * n for n in label.shape) > _CV2_MAX_SQUARED:
        return _by_scipy(label, h)
    step, side = h[axis], h[axis - 1]
    whole = step == side == 1
    if label.ndim == 2:
        squares = _in_slice(cv2, label)
        return (squares, squares) if whole else (squares * side**2, squares * side**4)
    stack = np.ascontiguousarray(np.moveaxis(label, axis, 0))
    within = np.empty(stack.shape, np.float32 if whole else np.float64)
    for mask, plane in zip(stack, within, strict=True):
        plane[...] = np.inf if mask.all() else _in_slice(cv2, mask)
    if not whole:
        within *= side**2
    squares, along = _across_slices(within, step, track=not whole)
    weighted = squares if whole else side**2 * squares + (step**2 - side**2) * along
    return np.moveaxis(squares, 0, axis), np.moveaxis(weighted, 0, axis)


def _opencv() -> Any:
    try:
        import cv2
    except ImportError:
        return None
    return cv2


def _stacking_axis(shape: tuple[int, ...], h: tuple[float, ...]) -> int | None:
    """The (shortest) axis that leaves slices of square voxels; for 2D any, if the voxels are square."""
    others = [h[:a] + h[a + 1 :] if len(h) == 3 else h for a in range(len(h))]
    axes = [a for a, rest in enumerate(others) if len(set(rest)) == 1]
    return min(axes, key=lambda a: shape[a], default=None)


def _in_slice(cv2: Any, mask: Mask) -> NDArray[np.float32]:
    """Squares in voxels: whole numbers, so OpenCV's float32 is rounded to the exact value."""
    rough = cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.rint(np.square(rough, out=rough), out=rough)


def _across_slices(within: NDArray[Any], step: float, track: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """min_j within[j] + (step (i - j))^2 for every slice i and, if tracked, the second term at the minimum.

    From near slices to far, until none farther can matter.
    """
    best, along = within.copy(), np.zeros(within.shape if track else len(within))
    for i, (closest, share) in enumerate(zip(best, along, strict=True)):
        for k in range(1, max(i, len(best) - 1 - i) + 1):
            offset = (k * step) ** 2
            if offset >= closest.max():
                break
            for candidate in [within[j] + offset for j in (i - k, i + k) if 0 <= j < len(best)]:
                if track:
                    np.copyto(share, offset, where=candidate < closest)
                np.minimum(closest, candidate, out=closest)
    return best, along


def _by_scipy(label: Mask, h: tuple[float, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from scipy.ndimage import distance_transform_edt

    nearest = distance_transform_edt(label, sampling=h, return_distances=False, return_indices=True)
    squares, weighted = np.zeros(label.shape), np.zeros(label.shape)
    for index, here, s in zip(nearest, np.ogrid[tuple(map(slice, label.shape))], h, strict=True):
        part = np.square((index - here.astype(index.dtype)) * s)
        squares += part
        part *= s * s
        weighted += part
    return squares, weighted
