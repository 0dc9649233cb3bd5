"""A network trained on one image alone while it is segmented."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from monai_levelset.losses import MumfordShahLoss
from monai_levelset.per_image import PerImageNet, PerImageOptimizer, majority

LOSS: dict[str, Any] = {"softmax": True, "per_voxel": True, "reduction": "mean"}
SMALL: dict[str, Any] = {"classes": 6, "width": 8, "superpixels": 60}


@pytest.fixture(scope="module")
def stripes() -> tuple[Tensor, Tensor]:
    """A noisy picture of three colours, and its truth."""
    truth = torch.arange(36).div(12, rounding_mode="floor").expand(24, 36)
    colours = torch.tensor([[0.2, 0.3, 0.8], [0.9, 0.8, 0.1], [0.5, 0.0, 0.4]])
    noise = 0.05 * torch.randn(3, 24, 36, generator=torch.Generator().manual_seed(0))
    return (colours[truth].permute(2, 0, 1) + noise)[None], truth


def agreement(labels: Tensor, truth: Tensor) -> float:
    """Part of the pixels whose label is that of most pixels of their true region, one region per label."""
    counts = np.zeros((int(labels.max()) + 1, int(truth.max()) + 1))
    np.add.at(counts, (labels.numpy().ravel(), truth.numpy().ravel()), 1)
    from scipy.optimize import linear_sum_assignment

    return float(counts[linear_sum_assignment(-counts)].sum() / counts.sum())


def brute_force_majority(labels: list[int], segments: list[int]) -> list[int]:
    found = []
    for segment in segments:
        votes = [label for label, place in zip(labels, segments, strict=True) if place == segment]
        found.append(min(set(votes), key=lambda label: (-votes.count(label), label)))
    return found


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5)), min_size=1, max_size=40))
def test_majority_is_the_most_frequent_label_of_the_superpixel(pixels: list[tuple[int, int]]) -> None:
    labels, segments = ([pixel[i] for pixel in pixels] for i in range(2))
    found = majority(torch.tensor(labels), torch.tensor(segments), 5)
    assert found.tolist() == brute_force_majority(labels, segments)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"loss": MumfordShahLoss(**LOSS), "beta": 10.0},
        {"loss": MumfordShahLoss(bias_field=True, **LOSS), "beta": 10.0},
        {"loss": MumfordShahLoss(**LOSS), "beta": 100.0, "superpixel_weight": 0.0},
    ],
    ids=["superpixels", "with the loss", "with bias field", "the loss alone"],
)
def test_finds_the_regions_of_a_noisy_picture(
    options: dict[str, Any], stripes: tuple[Tensor, Tensor]
) -> None:
    image, truth = stripes
    scores = PerImageOptimizer(steps=60, min_labels=3, **SMALL, **options)(image)
    bias = getattr(options.get("loss"), "bias_field", False)
    assert scores.shape == (1, 6 + bias, 24, 36)
    assert agreement(scores[0, :6].argmax(0), truth) > 0.95


def test_stops_when_few_labels_are_left(stripes: tuple[Tensor, Tensor]) -> None:
    steps: list[int] = []

    class Count(torch.nn.Module):
        def forward(self, scores: Tensor, image: Tensor) -> Tensor:
            steps.append(int(scores.argmax(1).unique().numel()))
            return scores.sum() * 0

    PerImageOptimizer(steps=100, min_labels=4, loss=Count(), **SMALL)(stripes[0])
    assert len(steps) < 100
    assert min(steps) > 4


def test_images_of_a_batch_and_slices_of_a_volume_are_segmented_by_themselves(
    stripes: tuple[Tensor, Tensor],
) -> None:
    first = stripes[0]
    second = first.flip(-1) * 0.5
    optimize = PerImageOptimizer(steps=3, **SMALL)
    expected = torch.cat([optimize(first), optimize(second)])
    assert torch.equal(optimize(torch.cat([first, second])), expected)
    assert torch.equal(optimize(torch.stack([first, second], -1)), torch.stack([*expected.split(1)], -1))


def test_seed_repeats_and_global_generators_stay(stripes: tuple[Tensor, Tensor]) -> None:
    before = torch.get_rng_state()
    first, again, other = (PerImageOptimizer(steps=2, seed=seed, **SMALL)(stripes[0]) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_works_within_no_grad_and_inference_mode(stripes: tuple[Tensor, Tensor]) -> None:
    optimize = PerImageOptimizer(steps=2, **SMALL)
    expected = optimize(stripes[0])
    with torch.no_grad():
        assert torch.equal(optimize(stripes[0]), expected)
    with torch.inference_mode():
        assert torch.equal(optimize(stripes[0].clone()), expected)
    assert not expected.requires_grad


def test_works_on_a_smaller_image_and_returns_the_images_size() -> None:
    seen: list[tuple[int, ...]] = []

    class Look(torch.nn.Module):
        def forward(self, scores: Tensor, image: Tensor) -> Tensor:
            seen.append(tuple(image.shape))
            return scores.sum() * 0

    optimize = PerImageOptimizer(steps=1, size=16, loss=Look(), **SMALL)
    assert optimize(torch.rand(1, 2, 20, 40)).shape == (1, 6, 20, 40)
    assert optimize(torch.rand(1, 2, 10, 12)).shape == (1, 6, 10, 12)
    assert seen == [(1, 2, 8, 16), (1, 2, 10, 12)]


def test_the_unit_of_the_image_does_not_matter(stripes: tuple[Tensor, Tensor]) -> None:
    optimize = PerImageOptimizer(steps=3, **SMALL)
    torch.testing.assert_close(optimize(stripes[0] * 1000 + 500), optimize(stripes[0]), atol=0.02, rtol=0.02)


def test_a_constant_picture_is_one_region() -> None:
    scores = PerImageOptimizer(steps=5, **SMALL)(torch.full((1, 3, 16, 16), 0.5))
    assert scores.isfinite().all()
    assert scores[0, :, 2:-2, 2:-2].argmax(0).unique().numel() == 1


def test_the_bias_field_starts_flat_and_layers_count() -> None:
    network = PerImageNet(3, 4, width=5, layers=3, bias_field=True)
    assert network(torch.rand(1, 3, 8, 8))[:, -1].unique().numel() == 1
    assert sum(isinstance(module, torch.nn.Conv2d) for module in network.modules()) == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 0}, "`classes` must be at least 1, got 0"),
        ({"size": 0}, "`size` must be at least 1"),
        ({"beta": -1.0}, "weights must not be negative"),
        ({"superpixel_weight": 0.0}, "nothing to minimise"),
    ],
)
def test_unfit_settings(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PerImageOptimizer(**options)
