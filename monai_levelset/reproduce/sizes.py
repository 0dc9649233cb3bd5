"""Scores by the size of the object in the image: a slice that cuts only its tip is hard to score on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray


def size_names(limits: Sequence[float]) -> list[str]:
    """Names of the classes between the limits, small first.

    Example:
        >>> size_names((0.02, 0.06))
        ['< 2 %', '2-6 %', '> 6 %']
    """
    percent = [f"{100 * limit:g}" for limit in limits]
    between = [f"{low}-{high} %" for low, high in pairwise(percent)]
    return [f"< {percent[0]} %", *between, f"> {percent[-1]} %"]


def by_size(labels: Sequence[NDArray[Any]], limits: Sequence[float]) -> dict[str, list[int]]:
    """Indices of the labels in each class of size; classes without any are left out.

    Args:
        labels: ground truths, bool, each of its image's shape.
        limits: rising parts of the image's area; an object exactly at one is in a class between limits.

    Example:
        >>> truth = np.zeros((10, 10), bool)
        >>> truth[:5] = True
        >>> by_size([truth, ~truth, np.zeros((10, 10), bool)], (0.02, 0.06))
        {'< 2 %': [2], '> 6 %': [0, 1]}
    """
    parts = np.array([label.mean() for label in labels])
    classes = np.searchsorted(limits[:-1], parts, "right") + (parts > limits[-1])
    found = {name: np.flatnonzero(classes == i).tolist() for i, name in enumerate(size_names(limits))}
    return {name: indices for name, indices in found.items() if indices}
