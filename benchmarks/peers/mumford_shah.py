"""Mumford-Shah loss as published, by its formula: each image channel is spread over all classes."""

from __future__ import annotations

from torch import Tensor


def mumford_shah_loss(probability: Tensor, image: Tensor, tv_weight: float = 1e-3) -> Tensor:
    """Sum over pixels of |x - c_n|^2 y_n and of the anisotropic total variation (Kim and Ye 2020, eq. 5).

    Args:
        probability: y, `(B, N, *spatial)`.
        image: x, `(B, C, *spatial)`.
        tv_weight: lambda.

    Returns:
        Scalar.
    """
    return region_term(probability, image) + tv_weight * total_variation(probability)


def region_term(probability: Tensor, image: Tensor) -> Tensor:
    """Distance of every pixel to the mean of every class, weighted by its probability."""
    axes = tuple(range(2, probability.ndim))
    loss = probability.new_zeros(())
    for channel in range(image.shape[1]):
        x = image[:, channel : channel + 1].expand_as(probability)
        centroid = (x * probability).sum(axes, keepdim=True) / probability.sum(axes, keepdim=True)
        distance = x - centroid.expand_as(probability)
        loss = loss + (distance * distance * probability).sum()
    return loss


def total_variation(probability: Tensor) -> Tensor:
    """Absolute differences of neighbours along every axis, from slices."""
    loss = probability.new_zeros(())
    for axis in range(2, probability.ndim):
        n = probability.shape[axis]
        loss = loss + (probability.narrow(axis, 1, n - 1) - probability.narrow(axis, 0, n - 1)).abs().sum()
    return loss
