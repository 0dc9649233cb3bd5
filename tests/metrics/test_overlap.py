from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from monai_levelset.metrics import case_metrics


def square(shape: tuple[int, ...], *spans: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, dtype=np.uint8)
    mask[tuple(slice(*span) for span in spans)] = 1
    return mask


def test_overlaps_of_shifted_squares() -> None:
    truth = square((12, 12), (2, 6), (2, 6))
    scores = case_metrics(square((12, 12), (2, 6), (4, 8)), truth)
    assert scores["dice"] == pytest.approx(2 * 8 / 32)
    assert scores["iou"] == pytest.approx(8 / 24)
    assert scores["precision"] == pytest.approx(0.5)
    assert scores["recall"] == pytest.approx(0.5)
    assert scores["missed"] == 0


def test_precision_and_recall_are_not_swapped() -> None:
    scores = case_metrics(square((8, 8), (2, 4), (2, 6)), square((8, 8), (2, 6), (2, 6)))
    assert (scores["precision"], scores["recall"]) == (1.0, 0.5)


@pytest.mark.parametrize(
    ("spacing", "shift", "expected"), [((3.0, 0.5), (2, 0), 6.0), ((3.0, 0.5), (0, 2), 1.0)]
)
def test_distance_of_single_pixels_uses_the_spacing_of_the_axis(
    spacing: tuple[float, float], shift: tuple[int, int], expected: float
) -> None:
    truth, prediction = np.zeros((9, 9)), np.zeros((9, 9))
    truth[3, 3] = 1
    prediction[3 + shift[0], 3 + shift[1]] = 1
    scores = case_metrics(prediction, truth, spacing)
    assert scores["hd"] == scores["hd95"] == scores["asd"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("axis", "spacing"), [(0, (5.0, 1.0, 2.0)), (1, (5.0, 1.0, 2.0)), (2, (5.0, 1.0, 2.0))]
)
def test_cube_grown_by_one_voxel_on_one_side(axis: int, spacing: tuple[float, ...]) -> None:
    spans = [(3, 8)] * 3
    truth = square((12, 12, 12), *spans)
    spans[axis] = (3, 9)
    scores = case_metrics(square((12, 12, 12), *spans), truth, spacing)
    hd, hd95, asd = surface_distances(square((12, 12, 12), *spans), truth, spacing)
    assert scores["hd"] == pytest.approx(hd) == spacing[axis]
    assert scores["rvd"] == pytest.approx(1 / 5)
    assert scores["hd95"] == pytest.approx(hd95)
    assert scores["asd"] == pytest.approx(asd, rel=1e-5)
    assert 0 < scores["hd95"] <= spacing[axis] + 1e-6


def test_plates_a_known_distance_apart() -> None:
    truth, prediction = square((4, 5, 10), (0, 4), (0, 5), (2, 3)), square((4, 5, 10), (0, 4), (0, 5), (6, 7))
    scores = case_metrics(prediction, truth, (0.7, 0.7, 2.5))
    assert scores["dice"] == 0
    assert scores["hd"] == scores["hd95"] == scores["asd"] == pytest.approx(10.0)


def test_hausdorff_distance_is_that_of_the_farthest_voxel_in_either_direction() -> None:
    """A speck 4 rows and 4 columns from the end of a line; more than 95 % of the surface agree."""
    truth = square((40, 30), (2, 32), (4, 5))
    speck = truth.copy()
    speck[35, 8] = 1
    for prediction, label in ((speck, truth), (truth, speck)):
        scores = case_metrics(prediction, label, (2.0, 0.5))
        assert scores["hd"] == pytest.approx(math.hypot(4 * 2.0, 4 * 0.5))
        assert scores["hd95"] == 0
    volume = np.zeros((6, 7, 8))
    volume[1, 1, 1] = 1
    moved = np.roll(volume, (2, 3, 4), axis=(0, 1, 2))
    assert case_metrics(moved, volume, (3.0, 1.0, 0.5))["hd"] == pytest.approx(math.hypot(6, 3, 2))


@pytest.mark.parametrize(
    ("spans", "expected"), [(((2, 6), (2, 4)), -0.5), (((2, 6), (2, 9)), 0.75), (((8, 12), (8, 12)), 0.0)]
)
def test_volume_difference_is_relative_to_the_truth_and_signed(
    spans: tuple[tuple[int, int], ...], expected: float
) -> None:
    truth = square((12, 12), (2, 6), (2, 6))
    assert case_metrics(square((12, 12), *spans), truth, (2.0, 0.3))["rvd"] == expected
    stacked = [np.stack([mask] * 3) for mask in (square((12, 12), *spans), truth)]
    assert case_metrics(*stacked, (5.0, 2.0, 0.3))["rvd"] == expected


def test_errors_of_both_kinds_cancel_in_the_mean_over_structures() -> None:
    truth = np.array([[1, 1, 0, 2, 2, 0]] * 2)
    prediction = np.array([[1, 0, 0, 2, 2, 2]] * 2)
    scores = case_metrics(prediction, truth, labels=[1, 2])
    assert (scores["rvd_1"], scores["rvd_2"], scores["rvd"]) == (-0.5, 0.5, 0.0)


def surface_distances(a: np.ndarray, b: np.ndarray, spacing: tuple[float, ...]) -> tuple[float, float, float]:
    """Every surface voxel of one mask to every one of the other, by brute force."""

    def surface(mask: np.ndarray) -> np.ndarray:
        padded = np.pad(mask, 1)
        voxels = [
            p
            for p in np.argwhere(padded)
            if not all(padded[tuple(p + s * e)] for e in np.eye(mask.ndim, dtype=int) for s in (-1, 1))
        ]
        return (np.array(voxels) - 1) * np.array(spacing)

    gaps = np.linalg.norm(surface(a)[:, None] - surface(b)[None], axis=-1)
    forth, back = gaps.min(axis=1), gaps.min(axis=0)
    hd95 = max(np.quantile(forth, 0.95), np.quantile(back, 0.95))
    return max(forth.max(), back.max()), hd95, float(np.concatenate([forth, back]).mean())


@settings(max_examples=25, deadline=None)
@given(
    arrays(np.uint8, (2, 6, 5), elements=st.integers(0, 1)),
    st.tuples(st.floats(0.2, 4), st.floats(0.2, 4)),
)
def test_against_brute_force_and_never_nan(pair: np.ndarray, spacing: tuple[float, float]) -> None:
    prediction, truth = pair
    scores = case_metrics(prediction, truth, spacing)
    diagonal = math.hypot(6 * spacing[0], 5 * spacing[1])
    assert all(math.isfinite(value) for value in scores.values())
    assert all(0 <= scores[key] <= 1 for key in ("dice", "iou", "precision", "recall"))
    assert 0 <= scores["asd"] <= scores["hd"] + 1e-5
    assert 0 <= scores["hd95"] <= scores["hd"] + 1e-5 <= diagonal + 1e-4
    assert scores["rvd"] >= -1
    if prediction.any() and truth.any():
        hd, hd95, asd = surface_distances(prediction, truth, spacing)
        assert scores["hd"] == pytest.approx(hd, abs=1e-4)
        assert scores["rvd"] == pytest.approx(prediction.sum() / truth.sum() - 1)
        assert scores["hd95"] == pytest.approx(hd95, abs=1e-4)
        assert scores["asd"] == pytest.approx(asd, abs=1e-4)
        assert scores["dice"] == pytest.approx(
            2 * (prediction & truth).sum() / (prediction.sum() + truth.sum())
        )
    swapped = case_metrics(truth, prediction, spacing)
    assert swapped["hd95"] == pytest.approx(scores["hd95"])
    assert swapped["hd"] == pytest.approx(scores["hd"])
    assert swapped["precision"] == scores["recall"]


def test_empty_prediction_is_missed_and_worst() -> None:
    truth = square((30, 40), (5, 9), (5, 9))
    scores = case_metrics(np.zeros_like(truth), truth, (2.0, 1.0))
    assert scores == {
        **dict.fromkeys(("dice", "iou", "precision", "recall"), 0.0),
        "rvd": -1.0,
        **dict.fromkeys(("hd", "hd95", "asd"), math.hypot(60, 40)),
        "missed": 1,
    }


def test_prediction_without_truth_is_worst_but_not_missed() -> None:
    prediction = square((30, 40), (5, 9), (5, 9))
    scores = case_metrics(prediction, np.zeros_like(prediction))
    assert (scores["dice"], scores["recall"], scores["hd95"], scores["missed"]) == (0, 0, 50, 0)
    assert (scores["hd"], scores["rvd"]) == (50, 1)


def test_both_empty_is_right() -> None:
    scores = case_metrics(np.zeros((5, 6)), np.zeros((5, 6)))
    assert (scores["dice"], scores["iou"], scores["hd95"], scores["asd"], scores["missed"]) == (1, 1, 0, 0, 0)
    assert (scores["hd"], scores["rvd"]) == (0, 0)


def test_a_miss_never_beats_a_poor_contour() -> None:
    truth = square((20, 20), (0, 3), (0, 3))
    poor = case_metrics(square((20, 20), (17, 20), (17, 20)), truth)
    miss = case_metrics(np.zeros_like(truth), truth)
    assert miss["dice"] <= poor["dice"]
    assert miss["hd"] >= poor["hd"]
    assert miss["hd95"] >= poor["hd95"]
    assert miss["asd"] >= poor["asd"]


def test_named_structures_may_be_unions() -> None:
    truth = np.zeros((10, 10), dtype=int)
    truth[2:8, 2:8] = 1
    truth[4:6, 4:6] = 2
    prediction = np.where(truth == 2, 1, truth)
    scores = case_metrics(prediction, truth, labels={"disc": [1, 2], "cup": 2})
    assert (scores["dice_disc"], scores["dice_cup"], scores["dice"]) == (1.0, 0.0, 0.5)
    assert (scores["missed_cup"], scores["missed_disc"], scores["missed"]) == (1, 0, 1)


def test_one_label_value_has_plain_names() -> None:
    truth = np.array([[0, 1], [2, 2]])
    assert case_metrics(truth, truth, labels=[2]).keys() == case_metrics(truth, truth).keys()


def test_distances_can_be_left_out() -> None:
    truth = square((6, 6), (1, 3), (1, 3))
    for prediction in (truth, np.zeros_like(truth)):
        scores = case_metrics(prediction, truth, distances=False)
        assert scores.keys() & {"hd", "hd95", "asd"} == set()
        assert "rvd" in scores


@pytest.mark.parametrize("spacing", [(1.0,), (1.0, 1.0, 1.0), (1.0, 0.0), (1.0, float("nan"))])
def test_spacing_that_does_not_fit(spacing: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="spacing"):
        case_metrics(np.ones((3, 3)), np.ones((3, 3)), spacing)


def test_shapes_that_differ() -> None:
    with pytest.raises(ValueError, match="shape"):
        case_metrics(np.ones((3, 3)), np.ones((3, 4)))
    with pytest.raises(ValueError, match="no structure"):
        case_metrics(np.ones((3, 3)), np.ones((3, 3)), labels={})
