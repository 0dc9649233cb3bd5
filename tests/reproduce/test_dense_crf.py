"""The dense CRF against hand-computed values and a sum over all pairs of pixels."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from monai_levelset.reproduce.dense_crf import dense_crf


def all_pairs(
    p: Tensor, image: Tensor, *, w1: float, xy: float, rgb: float, w2: float, near: float
) -> Tensor:
    """Mean field of one image `(N, H, W)` with the whole matrix of pairs, ten iterations."""
    n, height, width = p.shape
    x = torch.cartesian_prod(torch.arange(height), torch.arange(width)).double()
    colour = image.flatten(1).T.double()
    far = torch.cdist(x, x).square()
    matrix = torch.zeros_like(far)
    for weight, exponent in (
        (w1, far / (2 * xy**2) + torch.cdist(colour, colour).square() / (2 * rgb**2)),
        (w2, far / (2 * near**2)),
    ):
        kernel = torch.exp(-exponent).fill_diagonal_(0)
        sums = kernel.sum(1)
        matrix += weight * kernel / (sums[:, None] * sums).sqrt()
    unary = p.flatten(1).double().log()
    q = p.flatten(1).double()
    for _ in range(10):
        q = (unary + q @ matrix).softmax(0)
    return q.view(n, height, width)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), classes=st.integers(2, 4), channels=st.integers(1, 3))
def test_is_the_sum_over_all_pairs_with_the_window_over_all(seed: int, classes: int, channels: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    p = torch.randn(2, classes, 6, 6, generator=generator, dtype=torch.float64).softmax(1)
    image = torch.randn(2, channels, 6, 6, generator=generator, dtype=torch.float64)
    found = dense_crf(
        p,
        image,
        bilateral_weight=2.0,
        position_sd=3.0,
        intensity_sd=0.7,
        smooth_weight=1.0,
        smooth_sd=1.5,
        radius=5,
    )
    for item in range(2):
        expected = all_pairs(p[item], image[item], w1=2.0, xy=3.0, rgb=0.7, w2=1.0, near=1.5)
        torch.testing.assert_close(found[item], expected)


def test_two_pixels_by_hand() -> None:
    """With one neighbour the normalised kernel is 1, so each pixel adds w1 + w2 times the other's Q."""
    p = torch.tensor([0.9, 0.4]).view(1, 1, 1, 2)
    p = torch.cat([p, 1 - p], 1)
    found = dense_crf(
        p, torch.zeros(1, 1, 1, 2), bilateral_weight=0.5, smooth_weight=0.25, radius=1, iterations=1
    )
    odds = [0.9 / 0.1 * math.exp(0.75 * (0.4 - 0.6)), 0.4 / 0.6 * math.exp(0.75 * (0.9 - 0.1))]
    expected = torch.tensor([value / (1 + value) for value in odds])
    torch.testing.assert_close(found[0, 0, 0], expected)


def test_without_edges_the_probability_stays() -> None:
    p = torch.randn(1, 3, 5, 4).softmax(1)
    found = dense_crf(p, torch.randn(1, 2, 5, 4), bilateral_weight=0.0, smooth_weight=0.0, radius=2)
    torch.testing.assert_close(found, p)


def test_an_edge_of_the_image_draws_the_boundary() -> None:
    """A map that is unsure at the wrong side of a step in the image follows the step."""
    image = torch.zeros(1, 1, 8, 12)
    image[..., 6:] = 5
    p = torch.full((1, 1, 8, 12), 0.1)
    p[..., 5] = 0.6
    p[..., 6:] = 0.9
    found = dense_crf(
        torch.cat([1 - p, p], 1), image, bilateral_weight=4.0, intensity_sd=1.0, smooth_weight=0.0, radius=4
    )
    assert torch.equal(found[0, 1] > 0.5, image[0, 0] > 0)


def test_certain_pixels_stay_finite() -> None:
    p = torch.zeros(1, 2, 4, 4)
    p[:, 0] = 1
    torch.testing.assert_close(dense_crf(p, torch.zeros(1, 1, 4, 4), radius=1), p)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"position_sd": 0.0}, "must be positive, got 0"),
        ({"radius": 0}, "at least 1 pixel, got 0"),
    ],
)
def test_unfit_settings(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dense_crf(torch.full((1, 2, 4, 4), 0.5), torch.zeros(1, 1, 4, 4), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(1, 1, 4, 5), (2, 1, 4, 4), (1, 4, 4)])
def test_unfit_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="of one size"):
        dense_crf(torch.full((1, 2, 4, 4), 0.5), torch.zeros(shape))
