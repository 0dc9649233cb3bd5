"""The liver-lesion table: what is compared with what, and a whole small run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from monai_levelset.cli import main
from monai_levelset.data import DataError
from monai_levelset.data.phantoms import generate_phantoms
from monai_levelset.reproduce import kimye2020_lits
from monai_levelset.reproduce.kimye2020_lits import RATIOS, notes, rows, stages, summarize, targets
from monai_levelset.reproduce.kimye2020_lits_scores import METRICS
from monai_levelset.reproduce.stages import budget


def test_both_rows_of_a_ratio_differ_in_the_loss_alone(tmp_path: Path) -> None:
    lesion = targets(tmp_path)["lesion"]
    for ratio, part in RATIOS.items():
        plan = stages(ratio)
        assert {stage.settings["labeled_fraction"] for stage in plan.values()} == {part}
        last = [plan[kind] for kind in rows(ratio).values()]
        assert {stage.after for stage in last} == {plan["first"].name}
        assert [stage.override for stage in last] == ["supervised", "finetune"]
    assert kimye2020_lits.UPDATES["supervised"] == kimye2020_lits.UPDATES["mumford-shah"]
    names = [stage.name for ratio in RATIOS for stage in stages(ratio).values()]
    assert len(set(names)) == len(names)
    assert budget(lesion, stages("1")["first"]) == 2000


def test_phantoms_get_their_own_settings(tmp_path: Path) -> None:
    assert targets(tmp_path)["liver"].overrides == ("liver",)
    (tmp_path / "phantom.json").write_text("{}")
    assert targets(tmp_path)["lesion"].overrides == ("phantoms",)


def run_of(*dice: float) -> dict[str, Any]:
    names = [row for ratio in RATIOS for row in rows(ratio)]
    values = {name: value for name, value in zip(names, dice, strict=True)}
    metrics = (*METRICS, "liver_dice")
    return {"rows": {name: [{"id": "a", **dict.fromkeys(metrics, v)}] for name, v in values.items()}}


def test_gains_are_differences_within_a_seed() -> None:
    runs = [run_of(0.2, 0.4, *[0.5] * 6), run_of(0.1, 0.2, *[0.5] * 6)]
    summary = summarize(runs)
    assert summary["gains"]["1/23"]["seeds"] == pytest.approx([0.2, 0.1])
    assert summary["gains"]["1"]["mean"] == 0
    text = notes({**summary, "reported_on": "test", "command": "the command"})
    assert "- 1/23 of the labels: +0.150 (+0.200, +0.100); liver 0.150, 0.300" in text
    assert "1 volume(s) of the test section" in text.replace("\n", " ")


def test_a_test_section_is_needed(tmp_path: Path) -> None:
    (tmp_path / "datalist.json").write_text(json.dumps({"training": [{"image": "a.nii.gz"}]}))
    with pytest.raises(DataError, match="Add a test or validation section"):
        kimye2020_lits.reproduce_lits("kimye2020-lits", tmp_path, tmp_path / "out", seeds=1)


@pytest.mark.slow
def test_a_small_run_is_not_repeated(tmp_path: Path) -> None:
    generate_phantoms("lits", tmp_path / "data", cases=5, seed=2)
    words = [
        "--data",
        str(tmp_path / "data"),
        "--out",
        str(tmp_path / "out"),
        "--seeds",
        "1",
        "--epochs",
        "1",
    ]
    assert main(["reproduce", "kimye2020-lits", *words]) == 0
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert list(summary["models"]) == [row for ratio in RATIOS for row in rows(ratio)]
    assert {*METRICS, "liver_dice"} == set(summary["models"]["1 supervised"])
    assert "| 1/23 + Mumford-Shah |" in (tmp_path / "out/table.md").read_text()
    assert (tmp_path / "out/dice.png").stat().st_size > 5000
    finished = {f: f.stat().st_mtime_ns for f in (tmp_path / "out/runs").rglob("finished.json")}
    assert len(finished) == 16
    assert main(["reproduce", "kimye2020-lits", *words]) == 0
    assert finished == {f: f.stat().st_mtime_ns for f in (tmp_path / "out/runs").rglob("finished.json")}
