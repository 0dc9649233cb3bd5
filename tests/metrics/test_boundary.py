"""Boundary F-measure, against counting by hand and voxel by voxel."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from monai_levelset.metrics import boundary_f

SQUARE = np.pad(np.ones((6, 6), bool), 4)

masks = arrays(bool, (5, 6))
volumes = arrays(bool, (2, 3, 4))
spacings = st.floats(0.2, 3)


def boundary(mask: np.ndarray) -> list[tuple[int, ...]]:
    """Voxels of the mask with a face neighbour that is not of it."""
    padded, voxels = np.pad(mask, 1), []
    for index in zip(*np.nonzero(mask), strict=True):
        for axis, step in product(range(mask.ndim), (-1, 1)):
            if not padded[tuple(i + 1 + step * (a == axis) for a, i in enumerate(index))]:
                voxels.append(tuple(map(int, index)))
                break
    return voxels


def by_brute_force(one: np.ndarray, two: np.ndarray, tolerance: float, spacing: tuple[float, ...]) -> float:
    def share(edge: list[tuple[int, ...]], other: list[tuple[int, ...]]) -> float:
        def distance(p: tuple[int, ...]) -> float:
            return min(
                math.hypot(*((a - b) * s for a, b, s in zip(p, q, spacing, strict=True))) for q in other
            )

        return sum(distance(p) <= tolerance + 1e-6 for p in edge) / len(edge)

    edges = boundary(one), boundary(two)
    if not all(edges):
        return float(edges[0] == edges[1])
    precision, recall = share(*edges), share(*edges[::-1])
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@pytest.mark.parametrize(
    ("shift", "tolerance", "expected"),
    [
        (1, 0, 10 / 20),  # of the sides along the shift, 5 of 6 pixels each
        (1, 0.99, 10 / 20),
        (1, 1, 1),
        (2, 0, 8 / 20),
        (2, 1, 12 / 20),  # besides: one more pixel of both sides, and next to them on the front
        (2, 2, 1),
    ],
)
def test_shifted_square(shift: int, tolerance: float, expected: float) -> None:
    assert boundary_f(np.roll(SQUARE, shift, 1), SQUARE, tolerance=tolerance) == pytest.approx(expected)


def test_square_in_a_larger_one() -> None:
    """From a distance of 1 on all inner boundary pixels are met, of the 28 outer ones all but 4 corners."""
    outer = np.pad(np.ones((8, 8), bool), 3)
    scores = [boundary_f(outer, SQUARE, tolerance=t) for t in (0.5, 1, 1.5)]
    assert scores == pytest.approx([0, 2 * (24 / 28) / (1 + 24 / 28), 1])


def test_precision_and_recall_enter_as_the_harmonic_mean() -> None:
    """All 20 boundary pixels are found, and 4 of another blob far away: precision 20/24."""
    found = SQUARE.copy()
    found[0, 0:4] = True
    assert boundary_f(found, SQUARE, tolerance=1) == pytest.approx(2 * (20 / 24) / (1 + 20 / 24))


def test_only_the_boundary_counts() -> None:
    ring = SQUARE.copy()
    ring[5:9, 5:9] = False
    ring_and_square = boundary_f(ring, SQUARE, tolerance=0)
    assert ring_and_square == 1  # a ring of one pixel is the inner boundary


@pytest.mark.parametrize(
    ("axis", "tolerance", "expected"),
    [
        (0, 0.2, 10 / 20),
        (0, 1, 14 / 20),  # the front's middle pixels lie 1 or 2 steps of .25 from the sides of the other
        (0, 3, 1),
        (1, 0.2, 10 / 20),
        (1, 0.25, 1),
    ],
)
def test_the_spacing_of_each_axis(axis: int, tolerance: float, expected: float) -> None:
    moved = np.roll(SQUARE, 1, axis)
    assert boundary_f(moved, SQUARE, tolerance=tolerance, spacing=(3.0, 0.25)) == pytest.approx(expected)


def test_three_steps_of_a_tenth_are_no_more_than_three_tenths() -> None:
    one, two = np.eye(1, 9, 2), np.eye(1, 9, 5)
    assert boundary_f(one, two, tolerance=0.3, spacing=(0.1, 0.1)) == 1


def test_slices_of_a_volume() -> None:
    """A plate of one slice is all boundary; moved by a slice of 5 mm it is matched from 5 mm on."""
    plate = np.zeros((4, 6, 6))
    plate[1, 1:5, 1:5] = 1
    moved = np.roll(plate, 1, 0)
    scores = [boundary_f(moved, plate, tolerance=t, spacing=(5, 1, 1)) for t in (4.9, 5)]
    assert scores == [0, 1]


@pytest.mark.parametrize("shape", [(4, 4), (3, 4, 5)])
def test_empty_masks(shape: tuple[int, ...]) -> None:
    full, empty = np.ones(shape), np.zeros(shape)
    assert boundary_f(empty, empty, tolerance=1) == 1
    assert boundary_f(full, empty, tolerance=9) == 0
    assert boundary_f(empty, full, tolerance=9) == 0
    assert boundary_f(full, full, tolerance=0) == 1


@given(masks, masks, st.floats(0, 4), st.tuples(spacings, spacings))
def test_brute_force(
    one: np.ndarray, two: np.ndarray, tolerance: float, spacing: tuple[float, float]
) -> None:
    score = boundary_f(one, two, tolerance=round(tolerance, 3), spacing=[round(s, 2) for s in spacing])
    expected = by_brute_force(one, two, round(tolerance, 3), tuple(round(s, 2) for s in spacing))
    assert score == pytest.approx(expected)
    assert boundary_f(two, one, tolerance=round(tolerance, 3), spacing=[round(s, 2) for s in spacing]) == (
        pytest.approx(score)
    )


@given(volumes, volumes, st.sampled_from([0, 1, 1.5, 2]))
def test_brute_force_of_volumes(one: np.ndarray, two: np.ndarray, tolerance: float) -> None:
    score = boundary_f(one, two, tolerance=tolerance, spacing=(2, 1, 1))
    assert score == pytest.approx(by_brute_force(one, two, tolerance, (2, 1, 1)))


@given(masks, masks)
def test_a_larger_tolerance_never_lowers_it(one: np.ndarray, two: np.ndarray) -> None:
    scores = [boundary_f(one, two, tolerance=t) for t in (0, 1, 1.5, 2, 3, 9)]
    assert scores == sorted(scores)


def test_a_margin_changes_nothing() -> None:
    one, two = SQUARE[4:, 4:], np.roll(SQUARE, (1, 2), (0, 1))[4:, 4:]
    padded = np.pad(one, 7), np.pad(two, 7)
    assert boundary_f(one, two, tolerance=1) == boundary_f(*padded, tolerance=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"truth": SQUARE[1:]}, "differ in shape"),
        ({"prediction": SQUARE[0], "truth": SQUARE[0]}, "2D or 3D"),
        ({"tolerance": -1}, "tolerance"),
        ({"tolerance": math.nan}, "tolerance"),
        ({"spacing": (1, 1, 1)}, "spacing needs 2 positive numbers"),
        ({"spacing": (1, 0)}, "spacing needs 2 positive numbers"),
    ],
)
def test_errors(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        boundary_f(**{"prediction": SQUARE, "truth": SQUARE, "tolerance": 1, **arguments})
