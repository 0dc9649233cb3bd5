"""The search starts from what the bundle sets, and never opens a test image."""

from __future__ import annotations

import csv
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from monai_levelset.data import load_section
from monai_levelset.reproduce.level_set_search import CHOICES, CONTRASTS, RANGES, STAGES, search
from monai_levelset.reproduce.models import level_set
from monai_levelset.reproduce.parts import find_parts
from monai_levelset.reproduce.sections import Section
from monai_levelset.reproduce.targets import Target, find_target
from monai_levelset.transforms import LevelSetRefinement

LEFT_VENTRICLE, LIVER = find_target("tang2017-lv"), find_target("tang2017-liver")


def write_runs(root: Path, trainings: Any, target: Target = LEFT_VENTRICLE) -> Path:
    """Finished runs of one seed."""
    for stage in STAGES:
        out = root / "seed0" / stage
        out.mkdir(parents=True)
        trainings(target.files(), target.folder, {"output_dir": str(out), "seed": 0})
        (out / "finished.json").write_text("{}")
    return root


def own_settings(target: Target = LEFT_VENTRICLE) -> dict[str, Any]:
    """What `inference.json` and the defaults say."""
    steps = json.loads((target.folder / "configs" / "inference.json").read_text())["postprocessing"][
        "transforms"
    ]
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


def test_the_liver_is_searched_on_the_inner_validation_with_edges(
    liver_data: Callable[..., Path], tmp_path: Path, trainings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, scored = liver_data("train", "val"), set()
    score = Section.score

    def remember(section: Section, masks: Any) -> dict[str, Any]:
        scored.update(item["patient"] for item in section.items)
        return score(section, masks)

    monkeypatch.setattr(Section, "score", remember)
    runs = write_runs(tmp_path / "out" / "runs", trainings, LIVER)
    rows = search(str(data), str(runs), str(tmp_path / "out"), target="tang2017-liver", trials=4, every=1)
    inner = find_parts(LIVER, data, tmp_path / "out")
    assert scored == {item["patient"] for item in load_section(inner.folder, "validation")}
    assert scored.isdisjoint(["10020", "10021"])
    trials = {row["trial"]: row for row in rows}
    own = own_settings(LIVER)
    contrast = trials[0]["edge_contrast"]
    assert {name: trials[0][name] for name in own} == own
    assert contrast == level_set(LIVER, runs / "seed0" / "joint").edge_contrast
    assert {trials[n]["edge_contrast"] for n in (2, 3)} <= {factor * contrast for factor in CONTRASTS}


def test_unknown_target(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown target 'liver'; choose from tang2017-lv, tang2017-liver"):
        search(str(data), str(tmp_path), str(tmp_path), target="liver")
