"""The images of the pictures: slices of phantoms, and shapes that show one thing each."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from monai_levelset.data.phantoms import draw_cases
from monai_levelset.data.phantoms.gallery import section
from monai_levelset.levelset import signed_distance


class Scene(NamedTuple):
    """An image and the mask of its object, both `(1, 1, rows, columns)` float32."""

    image: torch.Tensor
    truth: torch.Tensor


def mesh(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Row and column of each pixel of a square image, counted from its centre.

    Args:
        size: pixels per side.

    Returns:
        Two tensors `(size, size)`.
    """
    axis = torch.arange(float(size)) - (size - 1) / 2
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return y, x


def batch(x: torch.Tensor) -> torch.Tensor:
    """`(rows, columns)` -> `(1, 1, rows, columns)` float32."""
    return x.float()[None, None]


def disc(size: int, radius: float, centre: tuple[float, float] = (0.0, 0.0)) -> torch.Tensor:
    """Signed distance of a disc.

    Args:
        size: pixels per side.
        radius: in pixels.
        centre: row and column, counted from the image's centre.

    Returns:
        `(1, 1, size, size)`.
    """
    y, x = mesh(size)
    return batch(radius - torch.hypot(y - centre[0], x - centre[1]))


def noise(size: int, *, sigma: float = 0.0, seed: int = 0) -> torch.Tensor:
    """Gaussian noise of unit variance, smoothed by `sigma` pixels before.

    Args:
        size: pixels per side.
        sigma: of the smoothing.
        seed: of the random numbers.

    Returns:
        `(1, 1, size, size)`.
    """
    values = np.random.default_rng(seed).standard_normal((size, size))
    values = gaussian_filter(values, sigma, mode="wrap") if sigma > 0 else values
    return batch(torch.from_numpy(values / values.std()))


@cache
def ventricle(size: int = 72, patient: int = 0) -> Scene:
    """Left ventricle of the cardiac phantom, cut out around its centre.

    Args:
        size: pixels per side.
        patient: which phantom.

    Returns:
        Image in [0, 1] and the cavity.
    """
    image, label = section("lv", draw_cases("lv", patient, 0)[0])
    rows, columns = (int(np.median(axis)) - size // 2 for axis in np.nonzero(label))
    window = slice(rows, rows + size), slice(columns, columns + size)
    image = np.ascontiguousarray(image[window])
    return Scene(batch(torch.from_numpy(image / image.max())), batch(torch.from_numpy(label[window] > 0)))


def probability(
    truth: torch.Tensor, *, noise_level: float = 1.4, sigma: float = 2.0, seed: int = 0
) -> torch.Tensor:
    """A probability map as a network might give it: right on the whole, wrong in places.

    Args:
        truth: mask `(1, 1, n, n)`.
        noise_level: standard deviation of the error of the log odds.
        sigma: how far the errors reach, in pixels.
        seed: of the errors.

    Returns:
        Probabilities of the shape of `truth`.
    """
    clean = (0.5 * signed_distance(truth)).clamp(-2.5, 2.5)
    return torch.sigmoid(clean + noise_level * noise(truth.shape[-1], sigma=sigma, seed=seed))


def notched(size: int = 72) -> torch.Tensor:
    """Mask of a disc with a notch, a spike and a bump: details of different width.

    Args:
        size: pixels per side.

    Returns:
        `(1, 1, size, size)`.
    """
    y, x = mesh(size)
    body = torch.hypot(y, x) < 22
    notch = (y.abs() < 2.5) & (x > 8)
    spike = (x.abs() < 2) & (y < -10) & (y > -33)
    bump = torch.hypot(y - 17, x + 17) < 8
    return batch((body & ~notch) | spike | bump)
