"""The variants start from the table's own trainings and are scored on what chose the checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from monai_levelset.data import DataError
from monai_levelset.reproduce import ablation
from monai_levelset.reproduce.ablation import ablate, rows
from monai_levelset.reproduce.parts import find_parts
from monai_levelset.reproduce.stages import budget, train
from monai_levelset.reproduce.targets import find_target

LIVER = find_target("tang2017-liver")


def test_a_variant_changes_one_thing_under_another_name() -> None:
    joint = LIVER.stages[1]
    variant = rows(LIVER)["joint without shape prior"]
    assert (variant.name, variant.override, variant.after) == ("joint-no-shape", "joint", "pre-trained")
    assert variant.settings == {**joint.settings, "train#refinement#shape_weight": 0.0}


def test_finished_trainings_are_not_repeated(
    liver_data: Callable[..., Path], tmp_path: Path, trainings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, runs = liver_data("train", "val"), tmp_path / "out" / "runs"
    known = rows(LIVER)
    few = {name: known[name] for name in ("joint training", "pre-trained", "joint without shape prior")}
    monkeypatch.setattr(ablation, "rows", lambda target: few)
    folder = find_parts(LIVER, data, tmp_path / "out").folder
    for stage in LIVER.stages[:2]:
        train(LIVER, stage, runs / "seed0", data=folder, seed=0, updates=budget(LIVER, stage))
    models = ablate(str(data), str(runs), str(tmp_path / "ablation"), target="tang2017-liver", seeds=1)
    assert trainings.names == ["pre-trained", "joint", "joint-no-shape"]
    assert {settings["dataset_dir"] for settings in trainings.settings} == {str(folder)}
    assert list(models) == list(few)
    assert set(models["pre-trained"]) == {"dice", "dice_level_set"}


def test_a_seed_that_has_not_been_run(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="run `monai-levelset reproduce tang2017-lv` first"):
        ablate(str(data), str(tmp_path / "runs"), str(tmp_path / "out"))
