"""From tissues to pictures: soft painting, partial volume, bias fields and the noise of the scanners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from monai_levelset.data.phantoms.shapes import Array, smooth_field


def paint(image: Array, distance: Array, value: Any, edge: float) -> None:
    """Paint a shape into ``image`` in place, its border mixed over ``edge`` millimetres (partial volume).

    Args:
        image: float array that is changed.
        distance: shape's distance function, millimetres, positive inside; broadcasts against ``image``.
        value: intensity of the tissue: a number or an array.
        edge: width of the mixed border, millimetres, about one voxel.

    Example:
        >>> row = np.zeros(3)
        >>> paint(row, np.array([-1.0, 0.0, 1.0]), 10.0, edge=1.0)
        >>> row.tolist()
        [0.0, 5.0, 10.0]
    """
    weight = np.clip(0.5 + distance / edge, 0, 1)
    image += weight * (value - image)


def bias_field(
    rng: np.random.Generator, shape: Sequence[int], spacing: Sequence[float], *, strength: float, scale: float
) -> Array:
    """Smooth positive factor: ``exp(strength * field)`` with structures of ``scale`` millimetres."""
    return np.exp(strength * smooth_field(rng, shape, spacing, scale))


def rician(rng: np.random.Generator, image: Array, sigma: float) -> Array:
    """Magnitude of the signal plus complex Gaussian noise: the noise of a magnitude MR image.

    Args:
        rng: source of randomness.
        image: noise-free signal, non-negative.
        sigma: standard deviation of the noise in each of the two channels, in units of ``image``.

    Returns:
        Array like ``image``, non-negative; where the signal is 0 the mean is ``sigma * sqrt(pi / 2)``.
    """
    noise = rng.standard_normal((2, *image.shape), dtype=np.float32) * np.float32(sigma)
    return np.hypot(image + noise[0], noise[1])


def ct_noise(rng: np.random.Generator, shape: Sequence[int], sigma: float) -> Array:
    """Gaussian noise in HU, correlated over about a voxel in the plane as after a smooth kernel."""
    white = rng.standard_normal(tuple(shape), dtype=np.float32)
    soft = ndimage.gaussian_filter(white, (0.6, 0.6) + (0.0,) * (len(shape) - 2))
    return soft * np.float32(sigma / soft.std())


def to_int16(image: Array) -> Array:
    """Round and clip to int16, the type scanners store."""
    return np.clip(np.rint(image), -32768, 32767).astype(np.int16)
