"""The voxel size of a pair of masks, checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray


def checked_spacing(
    prediction: NDArray[Any], label: NDArray[Any], spacing: Sequence[float] | None
) -> tuple[float, ...]:
    """One size per axis, 1 where nothing is said.

    Args:
        prediction: label map.
        label: the truth.
        spacing: size per axis, or None.

    Returns:
        A number per axis.

    Raises:
        ValueError: the two differ in shape, or the spacing does not fit them.
    """
    if prediction.shape != label.shape:
        raise ValueError(f"prediction and label differ in shape: {prediction.shape} and {label.shape}")
    size = tuple(float(s) for s in spacing) if spacing is not None else (1.0,) * label.ndim
    if len(size) != label.ndim or not all(math.isfinite(s) and s > 0 for s in size):
        raise ValueError(
            f"spacing needs {label.ndim} positive numbers, one per axis of the label, not {spacing}"
        )
    return size
