"""The search starts from what the bundle sets, and never opens a test image."""

from __future__ import annotations

import csv
import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from monai_levelset.evaluation import find_bundle
from monai_levelset.reproduce.level_set_search import CHOICES, RANGES, STAGES, search
from monai_levelset.transforms import LevelSetRefinement

BUNDLE = find_bundle("lv_mri_levelset_segmentation")


def write_runs(root: Path, trainings: Any) -> Path:
    """Finished runs of one seed."""
    for stage in STAGES:
        out = root / "seed0" / stage
        out.mkdir(parents=True)
        trainings([], BUNDLE, {"output_dir": str(out), "seed": 0})
        (out / "finished.json").write_text("{}")
    return root


def own_settings() -> dict[str, Any]:
    """What `inference.json` and the defaults say."""
    steps = json.loads((BUNDLE / "configs" / "inference.json").read_text())["postprocessing"]["transforms"]
    step = next(step for step in steps if step["_target_"].endswith("LevelSetRefinementd"))
    defaults = inspect.signature(LevelSetRefinement).parameters
    return {name: step.get(name, defaults[name].default) for name in (*RANGES, *CHOICES)}


def test_search_on_validation_images_alone(own_data: Path, tmp_path: Path, trainings: Any) -> None:
    for path in own_data.rglob("SC-N-0[67]-*.png"):
        path.write_bytes(b"the test part must not be read")
    runs = write_runs(tmp_path / "runs", trainings)
    rows = search(str(own_data), str(runs), str(tmp_path / "out"), trials=3, every=2)
    trials = {row["trial"]: row for row in rows}
    assert sorted(trials) == [0, 1, 2]
    own = own_settings()
    assert {name: trials[0][name] for name in own} == own
    assert {name: trials[1][name] for name in own} == {**own, "shape_weight": 0.0}
    for name, (low, high) in RANGES.items():
        assert low <= trials[2][name] <= high
    totals = [sum(row[stage] for stage in STAGES) for row in rows]
    assert totals == sorted(totals, reverse=True)
    written = list(csv.DictReader((tmp_path / "out" / "level_set_search.csv").read_text().splitlines()))
    assert [int(row["trial"]) for row in written] == [row["trial"] for row in rows]


def test_as_many_trials_as_asked_for(own_data: Path, tmp_path: Path, trainings: Any) -> None:
    runs = write_runs(tmp_path / "runs", trainings)
    (row,) = search(str(own_data), str(runs), str(tmp_path / "out"), trials=1, every=2)
    assert row["trial"] == 0


def test_without_finished_runs(data: Path, tmp_path: Path) -> None:
    (tmp_path / "seed0" / "joint").mkdir(parents=True)
    with pytest.raises(
        FileNotFoundError, match="no finished runs; run `monai-levelset reproduce tang2017-lv`"
    ):
        search(str(data), str(tmp_path), str(tmp_path / "out"))
