"""Boundary F-measure: hand-counted squares and a search over all pairs of boundary voxels."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from monai_levelset.metrics import boundary_f


def square(size: int, place: tuple[int, int] = (3, 3), shape: tuple[int, int] = (12, 12)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[place[0] : place[0] + size, place[1] : place[1] + size] = True
    return mask


def boundary(mask: np.ndarray) -> list[tuple[int, ...]]:
    """Voxels with a face neighbour outside, one by one."""
    found = []
    for voxel in zip(*mask.nonzero(), strict=True):
        for axis, step in product(range(mask.ndim), (-1, 1)):
            near = list(voxel)
            near[axis] += step
            if not (0 <= near[axis] < mask.shape[axis]) or not mask[tuple(near)]:
                found.append(tuple(int(v) for v in voxel))
                break
    return found


def by_search(a: np.ndarray, b: np.ndarray, tolerance: float, spacing: tuple[float, ...]) -> float:
    def matched(these: list[tuple[int, ...]], those: list[tuple[int, ...]]) -> float:
        near = [
            min(np.linalg.norm((np.array(p) - q) * spacing) for q in those) <= tolerance + 1e-9 for p in these
        ]
        return float(np.mean(near))

    precision, recall = matched(boundary(a), boundary(b)), matched(boundary(b), boundary(a))
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def test_a_square_moved_by_one() -> None:
    truth, moved = square(4), square(4, (4, 3))
    assert boundary_f(moved, truth, tolerance=0) == pytest.approx(by_search(moved, truth, 0, (1, 1)))
    assert boundary_f(moved, truth, tolerance=1) == 1.0


def test_a_larger_square() -> None:
    truth, larger = square(4, (3, 3)), square(6, (2, 2))
    assert boundary_f(larger, truth, tolerance=0.5) == 0.0
    # within 1: all 12 of the truth, and of the larger one's 20 all but the 4 corners
    assert boundary_f(larger, truth, tolerance=1) == pytest.approx(2 * 0.8 / 1.8)
    assert boundary_f(larger, truth, tolerance=1.5) == 1.0


def test_spacing() -> None:
    truth, moved = square(4), square(4, (4, 3))
    assert boundary_f(moved, truth, tolerance=1.9, spacing=(2, 1)) < 1
    assert boundary_f(moved, truth, tolerance=2, spacing=(2, 1)) == 1.0
    assert boundary_f(moved.T, truth.T, tolerance=1.0, spacing=(2, 1)) == 1.0


def test_empty_masks() -> None:
    empty = np.zeros((5, 5))
    assert boundary_f(empty, empty, tolerance=1) == 1.0
    assert boundary_f(empty, square(2, (1, 1), (5, 5)), tolerance=9) == 0.0
    assert boundary_f(square(2, (1, 1), (5, 5)), empty, tolerance=9) == 0.0


@given(hnp.arrays(bool, (4, 5, 3)), hnp.arrays(bool, (4, 5, 3)), st.sampled_from([0.0, 1.0, 1.5, 2.1]))
def test_against_a_search(a: np.ndarray, b: np.ndarray, tolerance: float) -> None:
    if a.any() and b.any():
        spacing = (1.0, 0.7, 2.0)
        found = boundary_f(a, b, tolerance=tolerance, spacing=spacing)
        assert found == pytest.approx(by_search(a, b, tolerance, spacing))
        assert found == pytest.approx(boundary_f(b, a, tolerance=tolerance, spacing=spacing))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prediction": np.ones((3, 4))}, "shape"),
        ({"tolerance": -1}, "must not be negative"),
        ({"spacing": (1,)}, "2 positive numbers"),
        ({"spacing": (1, 0)}, "2 positive numbers"),
    ],
)
def test_bad_arguments(changes: dict[str, object], message: str) -> None:
    arguments = {"prediction": np.ones((3, 3)), "truth": np.ones((3, 3)), "tolerance": 1, **changes}
    with pytest.raises(ValueError, match=message):
        boundary_f(**arguments)
