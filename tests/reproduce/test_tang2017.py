"""The table, its numbers and its files; only the slow test trains."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monai_levelset.reproduce import reproduce, tang2017
from monai_levelset.reproduce.models import level_set
from monai_levelset.reproduce.stages import budget
from monai_levelset.reproduce.targets import find_target

TARGET = find_target("tang2017-lv")

ROWS = [
    "pre-trained FCN",
    "post-processing level set",
    "jointly trained FCN",
    "FCN-levelset",
    "baseline FCN",
    "labelled-only control",
]
DICE = dict(zip(ROWS, [0.75, 0.76, 0.78, 0.80, 0.79, 0.77], strict=True))


def hand_made_run(seed: int) -> dict[str, Any]:
    rows = {}
    for row, dice in DICE.items():
        mean = {"dice": dice + 0.01 * seed, "iou": dice - 0.1}
        rows[row] = {"mean": mean, "patients": {"mean": {"dice": dice - 0.02, "iou": dice - 0.12}}}
    updates = {"pre-trained": 1000, "joint": 1700}
    run = {"seed": seed, "updates": updates, "folder": f"runs/seed{seed}", "seconds": {}, "rows": rows}
    return {**run, "labeled_patients": ["SC-N-02"]}


@pytest.fixture
def hand_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tang2017, "run_seed", lambda target, parts, out, seed, epochs: hand_made_run(seed))
    monkeypatch.setattr(tang2017, "write_figures", lambda *arguments: None)


@pytest.mark.usefixtures("hand_made")
def test_means_deviations_and_gains_of_hand_made_runs(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    returned = reproduce("tang2017-lv", str(data), str(out), seeds=3)
    summary = json.loads((out / "summary.json").read_text())
    assert summary == returned
    assert summary["target"] == "tang2017-lv"
    assert summary["command"] == f"monai-levelset reproduce tang2017-lv --data {data} --out {out} --seeds 3"
    assert list(summary["models"]) == ROWS
    dice = summary["models"]["FCN-levelset"]["dice"]
    assert dice["seeds"] == pytest.approx([0.80, 0.81, 0.82])
    assert (dice["mean"], dice["sd"]) == pytest.approx((0.81, 0.01))
    assert summary["models"]["FCN-levelset"]["dice_per_patient"]["mean"] == pytest.approx(0.78)
    assert summary["models"]["FCN-levelset"]["iou"]["sd"] == pytest.approx(0)
    assert [run["seed"] for run in summary["runs"]] == [0, 1, 2]

    text = (out / "table.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines[2:]] == ROWS
    assert lines[5] == "| FCN-levelset | 0.810 ± 0.010 | 0.788 | 0.700 ± 0.000 | 0.635 |"
    assert "- FCN-levelset - pre-trained FCN: +0.050" in text
    assert "- FCN-levelset - labelled-only control: +0.030" in text
    assert "- FCN-levelset - baseline FCN: +0.010" in text
    assert "- jointly trained FCN - baseline FCN: -0.010" in text
    assert "over 3 seed" in text
    assert "1000 updates for the pre-trained FCN; 1700 more" in " ".join(text.split())
    assert summary["command"] in text

    table = list(csv.DictReader((out / "table.csv").read_text().splitlines()))
    assert [row["model"] for row in table] == ROWS
    assert float(table[4]["dice_mean"]) == pytest.approx(0.80)
    assert float(table[4]["dice_sd"]) == pytest.approx(0.01)
    assert (table[4]["dice_paper"], table[5]["dice_paper"]) == ("0.804", "")


@pytest.mark.usefixtures("hand_made")
def test_one_seed_has_no_deviation(data: Path, tmp_path: Path) -> None:
    summary = reproduce("tang2017-lv", str(data), str(tmp_path), seeds=1, epochs=2)
    assert summary["models"]["baseline FCN"]["dice"] == {"mean": 0.79, "sd": None, "seeds": [0.79]}
    text = (tmp_path / "table.md").read_text()
    assert "| baseline FCN | 0.790 | 0.804 | 0.690 | 0.672 |" in text
    assert next(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))["dice_sd"] == ""
    assert summary["command"].endswith("--seeds 1 --epochs 2")


@pytest.fixture(scope="module")
def stubbed(
    data: Path, tmp_path_factory: pytest.TempPathFactory, stub_trainings: Callable[[], Any]
) -> tuple[Path, dict[str, Any], Any]:
    """Everything but the trainings: networks that have learned nothing, scored for one seed."""
    out, trainings = tmp_path_factory.mktemp("reproduce"), stub_trainings()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("monai_levelset.reproduce.stages.run_workflow", trainings)
        summary = reproduce("tang2017-lv", str(data), str(out), seeds=1, epochs=3)
    return out, summary, trainings


def test_stages_build_on_each_other_with_equal_budgets(stubbed: tuple[Path, dict[str, Any], Any]) -> None:
    out, _, trainings = stubbed
    bundle = TARGET.folder
    folder = out / "runs" / "seed0"
    starts = {
        "pre-trained": None,
        "joint": "pre-trained",
        "labelled-only": "pre-trained",
        "baseline-first": None,
        "baseline": "baseline-first",
    }
    assert trainings.names == list(starts)
    for settings, start in zip(trainings.settings, starts.values(), strict=True):
        assert settings["seed"] == 0
        assert settings["pretrained"] == (str(folder / start / "model.pt") if start else None)
    # 3 epochs of the 2 labelled slices, which fit one mini-batch; the second trainings in proportion
    second = round(3 * budget(TARGET, TARGET.stages[1]) / budget(TARGET, TARGET.stages[0]))
    assert [settings["max_updates"] for settings in trainings.settings] == [3, second, second, 3, second]
    train = json.loads((bundle / "configs" / "train.json").read_text())
    fractions = [s.get("labeled_fraction", train["labeled_fraction"]) for s in trainings.settings]
    assert fractions == [0.5, 0.5, 0.5, 1.0, 1.0]


def test_every_row_is_scored_on_the_test_patients(stubbed: tuple[Path, dict[str, Any], Any]) -> None:
    out, summary, _ = stubbed
    (run,) = json.loads((out / "summary.json").read_text())["runs"]
    assert list(run["rows"]) == ROWS
    for row in ROWS:
        cases = run["rows"][row]["cases"]
        assert {case["patient"] for case in cases} == {"SC-N-06", "SC-N-07"}
        assert len(cases) == 4
        assert all(0 <= case["iou"] <= case["dice"] <= 1 for case in cases)
        mean = float(np.mean([case["dice"] for case in cases]))
        assert summary["models"][row]["dice"]["mean"] == pytest.approx(mean)
    assert set(run["seconds"]) == {"pre-trained", "joint", "labelled-only", "baseline-first", "baseline"}


def test_both_figures_are_drawn(stubbed: tuple[Path, dict[str, Any], Any]) -> None:
    for name in ("convergence.png", "models.png"):
        picture = np.asarray(Image.open(stubbed[0] / name))
        assert min(picture.shape[:2]) > 200
        red = (picture[..., 0] > 200) & (picture[..., 1:3].max(-1) < 90)
        blue = (picture[..., 2] > 200) & (picture[..., 0] < 90)
        assert red.sum() > 50, name
        assert blue.sum() > 50, name


@pytest.mark.slow
def test_a_second_call_trains_nothing_and_gives_the_same_numbers_also_in_parallel(
    stubbed: tuple[Path, dict[str, Any], Any], data: Path
) -> None:
    out, summary, trainings = stubbed
    # Without the stand-in, in other processes: a training would fail, for the stub left no checkpoint.
    again = reproduce("tang2017-lv", str(data), str(out), seeds=1, epochs=3, jobs=2)
    assert again["models"] == summary["models"]
    assert len(trainings.names) == 5


def test_the_prior_and_the_weights_of_the_inference_are_used(
    stubbed: tuple[Path, dict[str, Any], Any],
) -> None:
    folder = stubbed[0] / "runs" / "seed0" / "joint"
    refine = level_set(TARGET, folder)
    inference = json.loads((TARGET.folder / "configs" / "inference.json").read_text())
    step = next(
        step
        for step in inference["postprocessing"]["transforms"]
        if step["_target_"].endswith("LevelSetRefinementd")
    )
    for name, value in step.items():
        if name not in ("_target_", "keys", "prior"):
            assert getattr(refine, name) == value
    assert refine.prior is not None
    assert refine.prior.shape == (1, 1, 72, 72)


def write_phantom_slices(root: Path) -> Path:
    """LV phantoms in the layout of the Sunnybrook PNG files."""
    from monai_levelset.data.phantoms import draw_cases

    splits = {"train": ["SC-N-02", "SC-N-03"], "val": ["SC-N-05"], "test": ["SC-N-06"]}
    for folder in ("images", "endocardium"):
        (root / folder).mkdir(parents=True)
    for number, patient in enumerate(name for names in splits.values() for name in names):
        (case,) = draw_cases("lv", number, seed=0)
        image = np.clip(255.0 * case.image / np.percentile(case.image, 99.5), 0, 255).astype(np.uint8)
        for z in (1, 3):
            name = f"{patient}-IM-0001-{z:04d}.png"
            Image.fromarray(image[..., z].T.copy()).save(root / "images" / name)
            label = (255 * (case.label[..., z] > 0)).astype(np.uint8)
            Image.fromarray(label.T.copy()).save(root / "endocardium" / name)
    (root / "splits.json").write_text(json.dumps(splits))
    return root


@pytest.mark.slow
def test_the_real_command_trains_all_stages_and_does_not_repeat_them(tmp_path: Path) -> None:
    data, out = write_phantom_slices(tmp_path / "data"), tmp_path / "out"
    words = ["reproduce", "tang2017-lv", "--data", str(data), "--out", str(out), "--seeds", "1"]
    command = [sys.executable, "-m", "monai_levelset.cli", *words, "--epochs", "1"]
    first = subprocess.run(command, capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stderr[-3000:]
    assert (out / "table.md").read_text() in first.stdout
    summary = json.loads((out / "summary.json").read_text())
    assert list(summary["models"]) == ROWS
    assert summary["runs"][0]["updates"]["pre-trained"] == 1
    assert summary["runs"][0]["labeled_patients"] in (["SC-N-02"], ["SC-N-03"])
    stages = sorted((out / "runs" / "seed0").glob("*/finished.json"))
    assert len(stages) == 5
    for stage in stages:
        assert (stage.parent / "model.pt").is_file()
        assert (stage.parent / "shape_prior.pt").is_file()
    assert {p.name for p in out.glob("*.*")} == {
        "convergence.png",
        "models.png",
        "summary.json",
        "table.csv",
        "table.md",
    }
    written = {stage: stage.stat().st_mtime_ns for stage in stages}
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stderr[-3000:]
    assert {stage: stage.stat().st_mtime_ns for stage in stages} == written
    assert json.loads((out / "summary.json").read_text())["models"] == summary["models"]
