from __future__ import annotations

import numpy as np
import pytest

from monai_levelset.metrics import Case, evaluate_arrays, summarize

FULL = np.ones((4, 4), dtype=np.uint8)
HALF = FULL.copy()
HALF[:2] = 0


def test_mean_sd_and_missed() -> None:
    summary = evaluate_arrays(iter([Case("a", FULL, FULL), Case("b", None, FULL)]))
    assert (summary["n"], summary["missed"]) == (2, 1)
    assert summary["mean"]["dice"] == 0.5
    assert summary["sd"]["dice"] == pytest.approx(np.sqrt(0.5))
    assert summary["mean"]["hd95"] == summary["mean"]["hd"] == pytest.approx(np.hypot(4, 4) / 2)
    assert (summary["mean"]["rvd"], summary["sd"]["rvd"]) == (-0.5, pytest.approx(np.sqrt(0.5)))
    assert [case["id"] for case in summary["cases"]] == ["a", "b"]


def test_single_case_has_no_spread() -> None:
    assert set(evaluate_arrays([Case("a", HALF, FULL)])["sd"].values()) == {0.0}


def test_patients_weigh_the_same_whatever_their_number_of_slices() -> None:
    cases = [Case("a1", FULL, FULL, patient="a")] * 3 + [Case("b1", None, FULL, patient="b")]
    summary = evaluate_arrays(cases, distances=False)
    assert summary["mean"]["dice"] == 0.75
    assert summary["patients"]["mean"]["dice"] == 0.5
    assert summary["patients"]["sd"]["dice"] == pytest.approx(np.sqrt(0.5))
    assert [(p["id"], p["n"], p["dice"], p["missed"]) for p in summary["patients"]["cases"]] == [
        ("a", 3, 1.0, 0),
        ("b", 1, 0.0, 1),
    ]


def test_a_case_with_two_missed_structures_is_one_missed_case() -> None:
    truth = np.array([[1, 2], [0, 0]])
    summary = evaluate_arrays([Case("a", None, truth)], labels=[1, 2])
    assert summary["missed"] == 1
    assert summary["cases"][0]["missed"] == 2
    assert not any(key.startswith("missed") for key in summary["mean"])


def test_errors_name_the_case() -> None:
    with pytest.raises(ValueError, match=r"case odd: .*shape"):
        evaluate_arrays([Case("odd", FULL, np.ones((2, 2)))])
    with pytest.raises(ValueError, match="no case"):
        evaluate_arrays([])
    with pytest.raises(ValueError, match="patient"):
        summarize([{"id": "a", "patient": "p", "dice": 1.0}, {"id": "b", "dice": 1.0}])
