"""Mean-field inference in a densely connected conditional random field, the post-processing of DeepLab."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

# Smaller numbers change nothing, but a CPU is slow with those that are almost zero.
_CERTAIN = 1e-8
_LEAST = -50.0


def dense_crf(
    probability: Tensor,
    image: Tensor,
    *,
    bilateral_weight: float = 4.0,
    position_sd: float = 6.0,
    intensity_sd: float = 0.5,
    smooth_weight: float = 3.0,
    smooth_sd: float = 3.0,
    radius: int = 7,
    iterations: int = 10,
) -> Tensor:
    r"""Refine class probabilities by a dense CRF with Gaussian edge potentials.

    After Kraehenbuehl and Koltun, "Efficient inference in fully connected CRFs with Gaussian edge
    potentials" (NIPS 2011), algorithm 1 with the Potts model:

        Q_i(l) ~ p_i(l) exp( sum_{j != i} W_ij Q_j(l) )
        W = w1 n(k1) + w2 n(k2)
        k1_ij = exp(-|x_i - x_j|^2 / (2 position_sd^2) - |I_i - I_j|^2 / (2 intensity_sd^2))
        k2_ij = exp(-|x_i - x_j|^2 / (2 smooth_sd^2))

    with n(k) = D^(-1/2) k D^(-1/2), D the sums of the rows, as in the authors' code. Where they approximate
    the sum over all pixels by filtering in a lattice, it is exact here but ends at a window: a Gaussian's
    tail beyond two standard deviations hardly counts. Time and memory grow with (2 radius + 1)^2.

    Args:
        probability: `(B, N, H, W)`, summing to 1 over the classes.
        image: `(B, C, H, W)`, any number of channels, in the unit of `intensity_sd`.
        bilateral_weight: w1, of neighbours that look alike.
        position_sd: their distance, pixels.
        intensity_sd: their difference.
        smooth_weight: w2, of neighbours whatever they look like.
        smooth_sd: their distance, pixels.
        radius: half width of the square window, pixels. With max(H, W) - 1 or more all pixels are neighbours.
        iterations: of the mean field, all pixels at once.

    Returns:
        Q, shape and type of `probability`.

    Raises:
        ValueError: shapes that do not fit, a standard deviation that is not positive, or a radius below 1.

    Example:
        >>> import torch
        >>> map_ = torch.full((1, 1, 5, 5), 0.9)
        >>> map_[..., 2, 2] = 0.3  # a hole in an even image is filled
        >>> filled = dense_crf(torch.cat([1 - map_, map_], 1), torch.zeros(1, 1, 5, 5), radius=2)
        >>> bool((filled[:, 1] > 0.9).all())
        True
    """
    _check(probability, image, (position_sd, intensity_sd, smooth_sd), radius)
    alike = _kernel(image, position_sd, intensity_sd, radius)
    near = _kernel(torch.zeros_like(image[:, :1]), smooth_sd, 1.0, radius)
    kernel = bilateral_weight * alike + smooth_weight * near
    unary = probability.clamp_min(_CERTAIN).log()
    q = probability
    for _ in range(iterations):
        q = (unary + _messages(kernel, q, radius)).softmax(1)
    return q


def _check(probability: Tensor, image: Tensor, sds: tuple[float, ...], radius: int) -> None:
    fits = probability.ndim == image.ndim == 4 and probability.shape[2:] == image.shape[2:]
    if not fits or len(probability) != len(image):
        raise ValueError(
            "dense_crf takes probabilities (B, N, H, W) and images (B, C, H, W) of one size, got "
            f"{tuple(probability.shape)} and {tuple(image.shape)}."
        )
    if min(sds) <= 0:
        raise ValueError(f"Standard deviations must be positive, got {min(sds)}.")
    if radius < 1:
        raise ValueError(f"`radius` must be at least 1 pixel, got {radius}.")


def _kernel(image: Tensor, position_sd: float, intensity_sd: float, radius: int) -> Tensor:
    """n(k) between each pixel and its neighbours, `(window, B, 1, H, W)`; 0 outside the image."""
    wide, inside = _padded(image, radius), _padded(torch.ones_like(image[:, :1]), radius)
    kernel = torch.stack(
        [
            _shifted(inside, *step, radius)
            * math.exp(-(step[0] ** 2 + step[1] ** 2) / (2 * position_sd**2))
            * _likeness(_shifted(wide, *step, radius) - image, intensity_sd)
            for step in _steps(radius)
        ]
    )
    root = kernel.sum(0).clamp_min(torch.finfo(kernel.dtype).tiny).rsqrt()
    for values, step in zip(kernel, _steps(radius), strict=True):
        values.mul_(root).mul_(_shifted(_padded(root, radius), *step, radius))
    return kernel


def _likeness(difference: Tensor, sd: float) -> Tensor:
    exponent = difference.square().sum(1, keepdim=True) / (-2 * sd**2)
    return exponent.clamp_min_(_LEAST).exp_()


def _messages(kernel: Tensor, q: Tensor, radius: int) -> Tensor:
    """sum_j W_ij Q_j of each class, `(B, N, H, W)`."""
    wide, sums = _padded(q, radius), torch.zeros_like(q)
    for values, step in zip(kernel, _steps(radius), strict=True):
        sums.addcmul_(values, _shifted(wide, *step, radius))
    return sums


def _steps(radius: int) -> list[tuple[int, int]]:
    """Rows and columns from a pixel to its neighbours in the window; the pixel itself is none."""
    reach = range(-radius, radius + 1)
    return [(row, column) for row in reach for column in reach if row or column]


def _padded(maps: Tensor, radius: int) -> Tensor:
    return F.pad(maps, [radius] * 4)


def _shifted(padded: Tensor, row: int, column: int, radius: int) -> Tensor:
    """The neighbours' values at that step from each pixel, a view."""
    height, width = padded.shape[-2] - 2 * radius, padded.shape[-1] - 2 * radius
    top, left = radius + row, radius + column
    return padded[..., top : top + height, left : left + width]
