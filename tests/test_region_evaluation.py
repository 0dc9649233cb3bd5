"""Scores of region maps against one or several people, from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from monai_levelset.evaluation import evaluate
from monai_levelset.metrics.regions import region_metrics

HALVES = np.repeat([[1, 2]], [3, 5], axis=1).repeat(4, 0)  # rows x columns
ROWS = np.array([[7] * 8] * 2 + [[9] * 8] * 2)


def write(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)


def test_several_people_and_a_missing_prediction(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "found/a.png", HALVES)
    for person, values in enumerate((HALVES, ROWS), 1):
        write(tmp_path / f"truth/a_{person}.png", values)
        write(tmp_path / f"truth/b_{person}.png", values)
    summary = evaluate(tmp_path / "found", tmp_path / "truth", tmp_path / "out", metrics="regions")
    a, b = summary["cases"]
    assert a == {"id": "a", **region_metrics(HALVES, [HALVES, ROWS]), "missed": 0}
    assert b == {"id": "b", **region_metrics(np.zeros_like(HALVES), [HALVES, ROWS]), "missed": 1}
    assert summary["mean"]["vi"] == pytest.approx((a["vi"] + b["vi"]) / 2)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "summary.json",
        "cases.csv",
        "report.html",
    }
    printed = capsys.readouterr()
    assert "2 cases, 1 missed" in printed.out
    assert "labels without prediction, missed: b" in printed.err


def test_one_person_with_a_number_in_the_name(tmp_path: Path) -> None:
    write(tmp_path / "found/natural_001.png", HALVES)
    write(tmp_path / "truth/natural_001.png", HALVES + 4)
    summary = evaluate(tmp_path / "found", tmp_path / "truth", tmp_path / "out", metrics="regions")
    assert summary["mean"] == {"rc": 1.0, "pri": 1.0, "vi": pytest.approx(0)}


def test_matlab_files(tmp_path: Path) -> None:
    write(tmp_path / "found/2092.png", HALVES)
    cells = np.empty((1, 2), object)
    for person, values in enumerate((HALVES, ROWS)):
        cells[0, person] = {"Segmentation": values.astype(np.uint16), "Boundaries": values.astype(np.uint8)}
    (tmp_path / "truth").mkdir()
    savemat(tmp_path / "truth/2092.mat", {"groundTruth": cells})
    summary = evaluate(tmp_path / "found", tmp_path / "truth", tmp_path / "out", metrics="regions")
    expected = region_metrics(HALVES, [HALVES, ROWS])
    assert {name: summary["mean"][name] for name in expected} == pytest.approx(expected)


def test_another_size_and_unknown_metrics(tmp_path: Path) -> None:
    write(tmp_path / "found/a.png", HALVES)
    write(tmp_path / "truth/a.png", HALVES[:, 1:])
    with pytest.raises(ValueError, match="case a: "):
        evaluate(tmp_path / "found", tmp_path / "truth", tmp_path / "out", metrics="regions")
    with pytest.raises(ValueError, match="--metrics is regions or left out, got 'dice'"):
        evaluate(tmp_path / "found", tmp_path / "truth", tmp_path / "out", metrics="dice")
