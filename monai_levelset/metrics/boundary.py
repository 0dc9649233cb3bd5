"""How well the contours of two masks agree, up to a tolerance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt, find_objects

from monai_levelset.metrics.spacing import checked_spacing


def boundary_f(
    prediction: ArrayLike, truth: ArrayLike, *, tolerance: float, spacing: Sequence[float] | None = None
) -> float:
    """Boundary F-measure of two masks.

    After Csurka et al. (2013), "What is a good evaluation measure for semantic segmentation?".

    Harmonic mean of precision, the share of predicted boundary voxels with a true one no farther than the
    tolerance, and recall, the share of true ones with a predicted one as near. The paper asks for less than
    the tolerance; here a distance equal to it counts, so that a tolerance of 0 is exact agreement.

    The boundary are the voxels of the mask with a face neighbour outside it; outside the image is outside the
    mask. Both masks empty: 1. Exactly one of them empty: 0.

    Args:
        prediction: mask ``(*spatial)``, 2D or 3D; what is not 0 belongs to it.
        truth: the true mask, same shape.
        tolerance: largest distance of a match, in units of the spacing, 0 or more. The paper takes 0.75 % of
            the image's diagonal.
        spacing: voxel size, one number per axis in array order. Default 1: the tolerance is in voxels.

    Returns:
        A number in [0, 1], 1 for boundaries that agree.

    Raises:
        ValueError: if the shapes differ, the masks are not 2D or 3D, or spacing or tolerance do not fit.

    Example:
        >>> import numpy as np
        >>> square = np.pad(np.ones((4, 4)), 2)
        >>> shifted = np.roll(square, 1, axis=0)
        >>> boundary_f(shifted, square, tolerance=0), boundary_f(shifted, square, tolerance=1)
        (0.5, 1.0)
    """
    found, true = np.asarray(prediction) != 0, np.asarray(truth) != 0
    size = checked_spacing(found, true, spacing)
    if found.ndim not in (2, 3):
        raise ValueError(f"masks must be 2D or 3D, got the shape {found.shape}")
    if not 0 <= tolerance < np.inf:
        raise ValueError(f"`tolerance` must be a distance of 0 or more, got {tolerance}")
    if not (found.any() and true.any()):
        return float(found.any() == true.any())
    box = find_objects((found | true).astype(np.uint8))[0]
    edges = _boundary(found[box]), _boundary(true[box])
    limit = tolerance * (1 + 1e-9)  # 3 * 0.1 is more than 0.3
    precision, recall = _matched(*edges, limit, size), _matched(*edges[::-1], limit, size)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _boundary(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(mask & ~binary_erosion(mask))


def _matched(edge: NDArray[Any], reference: NDArray[Any], limit: float, spacing: tuple[float, ...]) -> float:
    """Share of the voxels of one boundary that lie within the limit of the other."""
    distance = distance_transform_edt(~reference, sampling=spacing)
    return float((distance[edge] <= limit).mean())
