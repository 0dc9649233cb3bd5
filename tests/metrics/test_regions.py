"""Agreement of partitions: hand-computed values, counting oracles, and what must not matter."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from monai_levelset.metrics import (
    optimal_dataset_scale,
    probabilistic_rand_index,
    region_covering,
    region_metrics,
    variation_of_information,
)

#   segmentation   annotation
#   0 0 0 1        5 5 7 7
#   0 0 0 1        5 5 7 7
SEGMENTS = np.array([[0, 0, 0, 1], [0, 0, 0, 1]])
TRUTH = np.array([[5, 5, 7, 7], [5, 5, 7, 7]])

maps = hnp.arrays(np.int64, (3, 4), elements=st.integers(0, 3))


def test_by_hand() -> None:
    # region 5 (4 pixels): 4 / 6 with segment 0; region 7: 2 / 8 with segment 0, 2 / 4 with segment 1
    assert region_covering(SEGMENTS, [TRUTH]) == pytest.approx((4 * 4 / 6 + 4 * 2 / 4) / 8)
    # 28 pairs; together in both: 6 + 1 + 1 = 8; apart in both: 8 of (left, segment 1)
    assert probabilistic_rand_index(SEGMENTS, [TRUTH]) == pytest.approx((8 + 8) / 28)
    # joint 1/2, 1/4, 1/4: 1.5 bits; annotation 1 bit; segmentation 3/4, 1/4
    entropy = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))
    assert variation_of_information(SEGMENTS, [TRUTH]) == pytest.approx(2 * 1.5 - 1 - entropy)


def test_several_annotators_are_averaged() -> None:
    each = [region_metrics(SEGMENTS, [truth]) for truth in (TRUTH, SEGMENTS)]
    both = region_metrics(SEGMENTS, [TRUTH, SEGMENTS])
    for name, value in both.items():
        assert value == pytest.approx((each[0][name] + each[1][name]) / 2)


@given(maps, maps)
def test_against_counting_and_sums(first: np.ndarray, second: np.ndarray) -> None:
    a, b = first.ravel(), second.ravel()
    agree = [(a[i] == a[j]) == (b[i] == b[j]) for i, j in combinations(range(a.size), 2)]
    assert probabilistic_rand_index(first, [second]) == pytest.approx(np.mean(agree))
    covered = 0.0
    for value in np.unique(b):
        region = b == value
        best = max(np.sum(region & (a == s)) / np.sum(region | (a == s)) for s in np.unique(a))
        covered += region.sum() * best
    assert region_covering(first, [second]) == pytest.approx(covered / b.size)
    information = 0.0
    for s in np.unique(a):
        for r in np.unique(b):
            joint = np.mean((a == s) & (b == r))
            if joint:
                information -= joint * (np.log2(joint / np.mean(a == s)) + np.log2(joint / np.mean(b == r)))
    assert variation_of_information(first, [second]) == pytest.approx(information, abs=1e-9)


@given(maps, maps)
def test_numbers_of_regions_do_not_matter(first: np.ndarray, second: np.ndarray) -> None:
    renamed = np.array([40, 7, 19, 3])[first]
    assert region_metrics(renamed, [second]) == pytest.approx(region_metrics(first, [second]))
    swapped = region_metrics(second, [first])
    assert swapped["pri"] == pytest.approx(region_metrics(first, [second])["pri"])
    assert swapped["vi"] == pytest.approx(region_metrics(first, [second])["vi"], abs=1e-9)


@given(maps)
def test_perfect(labels: np.ndarray) -> None:
    assert region_metrics(labels, [labels, labels + 5]) == pytest.approx({"rc": 1, "pri": 1, "vi": 0})


def test_one_scale_for_all_images() -> None:
    def scores(*values: float) -> list[dict[str, float]]:
        return [{"rc": v, "pri": v, "vi": v} for v in values]

    best = optimal_dataset_scale([scores(0.2, 0.5, 0.1), scores(0.4, 0.3, 0.0)])
    assert best["rc"] == (pytest.approx(0.4), 1)
    assert best["pri"] == (pytest.approx(0.4), 1)
    assert best["vi"] == (pytest.approx(0.05), 2)
    with pytest.raises(ValueError, match="same scales"):
        optimal_dataset_scale([scores(0.1), scores(0.1, 0.2)])


@pytest.mark.parametrize(
    ("segmentation", "truths", "message"),
    [
        (SEGMENTS, [], "no annotation"),
        (SEGMENTS, [TRUTH[:1]], r"shape \(2, 4\), an annotation \(1, 4\)"),
        (SEGMENTS + 0.5, [TRUTH], "whole numbers"),
        (np.zeros((0, 4), int), [np.zeros((0, 4), int)], "shape"),
    ],
)
def test_what_cannot_be_compared(segmentation: np.ndarray, truths: list[np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        region_metrics(segmentation, truths)
