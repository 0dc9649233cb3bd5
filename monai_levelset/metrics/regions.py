"""Metrics of partitions into regions, as the Berkeley segmentation benchmark (BSDS500) computes them.

A picture of that benchmark has several true partitions, one per annotator; what a region is called means
nothing. Definitions after Arbelaez et al. (2011), "Contour detection and hierarchical image segmentation",
and the benchmark's code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from monai_levelset.metrics.contingency import Table, contingency_tables

_BEST = {"rc": np.argmax, "pri": np.argmax, "vi": np.argmin}


class OptimalScale(NamedTuple):
    """The scale at which a metric is best over a data set."""

    scale: int
    mean: float


def region_covering(segmentation: ArrayLike, truths: Sequence[ArrayLike]) -> float:
    """Covering of the true regions by the segments.

    ``C = 1/N sum_R |R| max_S |R n S| / |R u S|``, over the regions R of all annotators, where N is the sum of
    their sizes. As every annotator's regions fill the picture, this is the mean over annotators.

    Args:
        segmentation: whole-numbered label map of any shape; the values name the segments, 0 is one of them.
        truths: label maps of the same shape, one per annotator.

    Returns:
        A number in (0, 1], 1 for a perfect partition.

    Raises:
        ValueError: if there is no annotator, a shape differs, a map is empty or its labels are not integers.

    Example:
        >>> region_covering([[1, 1, 2, 2]], [[[1, 1, 1, 2]]])  # (3 * 2/3 + 1 * 1/2) / 4
        0.625
    """
    return float(np.mean([_covering(table) for table in contingency_tables(segmentation, truths)]))


def probabilistic_rand_index(segmentation: ArrayLike, truths: Sequence[ArrayLike]) -> float:
    """Share of the pairs of pixels that segmentation and truth agree on, mean over annotators.

    They agree on a pair that both put into one region or both into two. Unnikrishnan et al. (2007), "Toward
    objective evaluation of image segmentation algorithms".

    Args:
        segmentation: see :func:`region_covering`.
        truths: see :func:`region_covering`.

    Returns:
        A number in [0, 1], 1 for a perfect partition.

    Raises:
        ValueError: see :func:`region_covering`.

    Example:
        >>> probabilistic_rand_index([[1, 1, 2, 2]], [[[1, 1, 1, 2]]])  # 3 of 6 pairs
        0.5
    """
    return float(np.mean([_rand(table) for table in contingency_tables(segmentation, truths)]))


def variation_of_information(segmentation: ArrayLike, truths: Sequence[ArrayLike]) -> float:
    """Conditional entropies ``H(S | T) + H(T | S)`` in **bits** (logarithm of base 2), mean over annotators.

    Args:
        segmentation: see :func:`region_covering`.
        truths: see :func:`region_covering`.

    Returns:
        A number from 0, for a perfect partition, to the binary logarithm of the number of pixels.

    Raises:
        ValueError: see :func:`region_covering`.

    Example:
        >>> variation_of_information([[1, 1, 2, 2]], [[[7, 7, 7, 7]]])
        1.0
    """
    return float(np.mean([_information(table) for table in contingency_tables(segmentation, truths)]))


def region_metrics(segmentation: ArrayLike, truths: Sequence[ArrayLike]) -> dict[str, float]:
    """All three metrics from one count of the pixels.

    Args:
        segmentation: see :func:`region_covering`.
        truths: see :func:`region_covering`.

    Returns:
        ``rc``, the region covering; ``pri``, the probabilistic Rand index; ``vi``, the variation of
        information in bits.

    Raises:
        ValueError: see :func:`region_covering`.

    Example:
        >>> scores = region_metrics([[1, 1, 2, 2]], [[[1, 1, 2, 2]], [[7, 7, 7, 7]]])  # only one agrees
        >>> {name: round(score, 3) for name, score in scores.items()}
        {'rc': 0.75, 'pri': 0.667, 'vi': 0.5}
    """
    rows = [
        (_covering(table), _rand(table), _information(table))
        for table in contingency_tables(segmentation, truths)
    ]
    return dict(zip(_BEST, np.mean(rows, axis=0).tolist(), strict=True))


def optimal_dataset_scale(scores: Sequence[Sequence[Mapping[str, float]]]) -> dict[str, OptimalScale]:
    """The benchmark's optimal data-set scale (ODS): one scale for all pictures, chosen per metric.

    Every picture counts alike. The benchmark does the same for ``pri`` and ``vi``; its covering gives a
    picture with more annotators more weight.

    Args:
        scores: for each picture, for each scale, what :func:`region_metrics` returns.

    Returns:
        For each metric the scale with the best mean over pictures, the first if there are several, and that
        mean: the highest for ``rc`` and ``pri``, the lowest for ``vi``.

    Raises:
        ValueError: if there is no picture, or pictures have no or a different number of scales.

    Example:
        >>> coarse, fine = {"rc": 0.5, "pri": 0.5, "vi": 1.0}, {"rc": 0.25, "pri": 0.75, "vi": 3.0}
        >>> best = optimal_dataset_scale([[coarse, fine]])
        >>> best["pri"].scale, best["pri"].mean
        (1, 0.75)
    """
    counts = sorted({len(scales) for scales in scores})
    if len(counts) != 1 or counts[0] == 0:
        raise ValueError(f"every picture needs the same scales, at least one; their numbers are {counts}")
    means = {key: np.mean([[at[key] for at in scales] for scales in scores], axis=0) for key in _BEST}
    chosen = {key: int(best(means[key])) for key, best in _BEST.items()}
    return {key: OptimalScale(scale, float(means[key][scale])) for key, scale in chosen.items()}


def _covering(table: Table) -> float:
    overlap = table.pixels
    union = table.segments[table.segment] + table.regions[table.region] - overlap
    best = np.zeros(len(table.regions))
    np.maximum.at(best, table.region, overlap / union)
    return float(best @ table.regions / table.regions.sum())


def _rand(table: Table) -> float:
    together, either = _pairs(table.pixels), _pairs(table.segments) + _pairs(table.regions)
    all_pairs = _pairs(table.regions.sum(keepdims=True))
    return 1 - (either - 2 * together) / max(all_pairs, 1)


def _pairs(sizes: NDArray[np.int64]) -> int:
    return int((sizes * (sizes - 1) // 2).sum())


def _information(table: Table) -> float:
    n = table.pixels
    bits = np.log2(table.segments[table.segment] / n) + np.log2(table.regions[table.region] / n)
    return float(n @ bits / n.sum())
