"""Metrics of partitions, against counting by hand and pixel by pixel."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
import skimage.metrics
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from monai_levelset.metrics import (
    optimal_dataset_scale,
    probabilistic_rand_index,
    region_covering,
    region_metrics,
    variation_of_information,
)

METRICS = {"rc": region_covering, "pri": probabilistic_rand_index, "vi": variation_of_information}
SEGMENTATION = np.array([[1, 1, 2], [1, 1, 2]])
TRUTH = np.array([[5, 5, 5], [5, 9, 9]])

partitions = arrays(np.int64, (3, 4), elements=st.integers(0, 3))


def covering_by_sets(segmentation: np.ndarray, truths: list[np.ndarray]) -> float:
    def regions(labels: np.ndarray) -> list[set[int]]:
        return [set(np.flatnonzero(labels == value)) for value in set(labels.flat)]

    covered = total = 0.0
    for truth in truths:
        for region in regions(truth):
            covered += len(region) * max(len(region & s) / len(region | s) for s in regions(segmentation))
            total += len(region)
    return covered / total


def rand_by_pairs(segmentation: np.ndarray, truths: list[np.ndarray]) -> float:
    pairs = list(combinations(range(segmentation.size), 2))
    s, agree = segmentation.flat, 0
    for truth in truths:
        agree += sum((s[i] == s[j]) == (truth.flat[i] == truth.flat[j]) for i, j in pairs)
    return agree / len(pairs) / len(truths)


def entropy(*labels: np.ndarray) -> float:
    """Of the labels taken together, in bits."""
    counts = Counter(zip(*(each.ravel().tolist() for each in labels), strict=True))
    size = labels[0].size
    return -sum(n / size * math.log2(n / size) for n in counts.values())


def information_by_entropy(segmentation: np.ndarray, truths: list[np.ndarray]) -> float:
    """2 H(S, T) - H(S) - H(T)."""
    each = [2 * entropy(segmentation, t) - entropy(segmentation) - entropy(t) for t in truths]
    return sum(each) / len(each)


ORACLES = {"rc": covering_by_sets, "pri": rand_by_pairs, "vi": information_by_entropy}


def test_by_hand() -> None:
    """Cells: 1&5 3 pixels, 1&9 1, 2&5 1, 2&9 1; segments of 4 and 2 pixels, regions of 4 and 2."""
    scores = region_metrics(SEGMENTATION, [TRUTH])
    assert scores["rc"] == pytest.approx((4 * 3 / 5 + 2 * 1 / 3) / 6)
    assert scores["pri"] == pytest.approx(1 - (7 + 7 - 2 * 3) / 15)
    assert scores["vi"] == pytest.approx((3 * 2 * math.log2(4 / 3) + (2 + 1) + (1 + 2) + (1 + 1)) / 6)


def test_one_annotator_agrees_and_one_sees_a_single_region() -> None:
    halves, whole = np.array([[1, 2]] * 4), np.ones((4, 2), int)
    scores = region_metrics(halves, [halves, whole])
    assert scores == pytest.approx({"rc": (1 + 1 / 2) / 2, "pri": (1 + 12 / 28) / 2, "vi": 1 / 2})


def test_covering_is_of_the_true_regions() -> None:
    """And not of the segments by the true regions, which the benchmark reports besides."""
    whole, parts = np.ones((1, 4), int), np.array([[1, 2, 2, 2]])
    assert region_covering(whole, [parts]) == pytest.approx((1 * 1 / 4 + 3 * 3 / 4) / 4)
    assert region_covering(parts, [whole]) == pytest.approx(3 / 4)


@pytest.mark.parametrize("name", METRICS)
@given(segmentation=partitions, truths=st.lists(partitions, min_size=1, max_size=3))
def test_brute_force(name: str, segmentation: np.ndarray, truths: list[np.ndarray]) -> None:
    expected = ORACLES[name](segmentation, truths)
    assert METRICS[name](segmentation, truths) == pytest.approx(expected, abs=1e-12)
    assert region_metrics(segmentation, truths)[name] == METRICS[name](segmentation, truths)


def test_scikit_image_on_a_large_picture() -> None:
    draw = np.random.default_rng(0)
    one, two = draw.integers(0, 40, (2, 120, 90))
    expected = sum(skimage.metrics.variation_of_information(one, two))
    assert variation_of_information(one, [two]) == pytest.approx(expected)


@given(partitions, partitions, st.permutations([-7, 0, 3, 2**40]))
def test_labels_are_only_names(segmentation: np.ndarray, truth: np.ndarray, names: list[int]) -> None:
    renamed = np.array(names)[segmentation]
    assert region_metrics(renamed, [truth]) == pytest.approx(region_metrics(segmentation, [truth]))
    assert region_metrics(truth, [renamed]) == pytest.approx(region_metrics(truth, [segmentation]))


@given(partitions, partitions)
def test_two_of_them_are_symmetric(one: np.ndarray, two: np.ndarray) -> None:
    for metric in (probabilistic_rand_index, variation_of_information):
        assert metric(one, [two]) == pytest.approx(metric(two, [one]))


@given(arrays(np.int64, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.integers(0, 4)))
def test_perfect(labels: np.ndarray) -> None:
    assert region_metrics(labels, [labels, labels + 1]) == {"rc": 1, "pri": 1, "vi": 0}


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.uint64, bool])
def test_kinds_of_integers(kind: type) -> None:
    truth = (TRUTH == 9).astype(kind)
    assert region_metrics(SEGMENTATION.astype(np.uint8), [truth]) == region_metrics(SEGMENTATION, [TRUTH])


def test_tensors_and_more_axes() -> None:
    found = torch.from_numpy(SEGMENTATION)
    assert region_metrics(found, [torch.from_numpy(TRUTH)]) == region_metrics(SEGMENTATION, [TRUTH])
    assert region_metrics(SEGMENTATION[None], TRUTH[None, None]) == region_metrics(SEGMENTATION, [TRUTH])


@pytest.mark.parametrize("metric", [*METRICS.values(), region_metrics])
@pytest.mark.parametrize(
    ("segmentation", "truths", "message"),
    [
        (SEGMENTATION, [], "one annotator or more"),
        (SEGMENTATION, [TRUTH, TRUTH[:1]], r"truth 1 \(1, 3\) differ in shape"),
        (SEGMENTATION * 1.0, [TRUTH], "the segmentation must be a map of integer labels, not float64"),
        (SEGMENTATION, [TRUTH, TRUTH * 1.0], "truth 1 must be a map of integer labels, not float64"),
        (SEGMENTATION[:0], [TRUTH[:0]], "the segmentation has no pixels"),
    ],
)
def test_errors(
    metric: Callable[..., object], segmentation: np.ndarray, truths: list[np.ndarray], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        metric(segmentation, truths)


def at(rc: float, pri: float, vi: float) -> dict[str, float]:
    return {"rc": rc, "pri": pri, "vi": vi, "regions": 3}


def test_one_scale_for_all_pictures_and_one_per_metric() -> None:
    best = optimal_dataset_scale(
        [[at(0.9, 0.1, 2.0), at(0.5, 0.2, 1.5)], [at(0.2, 0.3, 3.0), at(0.5, 0.6, 3.7)]]
    )
    assert {key: found.scale for key, found in best.items()} == {"rc": 0, "pri": 1, "vi": 0}
    means = {key: found.mean for key, found in best.items()}
    assert means == pytest.approx({"rc": 0.55, "pri": 0.4, "vi": 2.5})


def test_of_equal_scales_the_first() -> None:
    best = optimal_dataset_scale([[at(0.5, 0.5, 1.0)] * 3])
    assert all(found.scale == 0 for found in best.values())


@pytest.mark.parametrize("scores", [[], [[]], [[at(1, 1, 0)], [at(1, 1, 0)] * 2]])
def test_scales_must_match(scores: list[list[dict[str, float]]]) -> None:
    with pytest.raises(ValueError, match="same scales"):
        optimal_dataset_scale(scores)
