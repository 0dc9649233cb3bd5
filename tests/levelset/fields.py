"""Analytic level sets and a brute-force distance, shared by the tests."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor


def coordinates(shape, spacing=None, dtype=torch.float64) -> list[Tensor]:
    """Voxel centres in mm relative to the middle of the grid, one tensor `shape` per axis."""
    spacing = spacing or (1.0,) * len(shape)
    axes = [(torch.arange(n, dtype=dtype) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)]
    return list(torch.meshgrid(*axes, indexing="ij"))


def ball(shape, radius, centre=None, spacing=None, dtype=torch.float64) -> Tensor:
    """Signed distance `(1, 1, *shape)` of a disc or ball, positive inside."""
    centre = centre or (0.0,) * len(shape)
    x = coordinates(shape, spacing, dtype)
    squares = sum((a - c) ** 2 for a, c in zip(x, centre, strict=True))
    return (radius - squares.sqrt())[None, None]


def brute_force_candidates(mask: np.ndarray, spacing) -> list[list[float]]:
    """For each voxel the signed distances that the convention allows (several only for ties)."""
    positions = np.array(list(itertools.product(*map(range, mask.shape))))
    flat, h = mask.ravel(), np.asarray(spacing, float)
    answers = []
    for here, label in zip(positions, flat, strict=True):
        steps = (positions[flat != label] - here) * h
        lengths = np.linalg.norm(steps, axis=1)
        nearest = lengths <= lengths.min() + 1e-9
        half = 0.5 * np.linalg.norm(steps[nearest] / lengths[nearest, None] * h, axis=1)
        answers.append([(1 if label else -1) * (lengths.min() - b) for b in half])
    return answers


def dice(a: Tensor, b: Tensor) -> float:
    """Dice overlap of two masks."""
    a, b = a.bool(), b.bool()
    return (2 * (a & b).sum() / (a.sum() + b.sum())).item()
