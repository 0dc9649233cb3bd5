"""The few-label table: which rows are trained on what, how the gap is told, and a whole small run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser

from monai_levelset.cli import main
from monai_levelset.data import load_section
from monai_levelset.reproduce.few_labels import (
    PARTS,
    REFINED,
    gap_closed,
    notes,
    rows,
    summarize,
    target,
    training_patients,
)
from monai_levelset.reproduce.few_labels_ablation import ablate, changes
from monai_levelset.reproduce.few_labels_scores import METRICS
from monai_levelset.reproduce.stages import budget, setting, training_set
from monai_levelset.reproduce.targets import config_files
from monai_levelset.transforms import TouchingComponentsd
from tests.hearts import write_hearts


def test_rows_of_three_and_seven_patients() -> None:
    plan = rows([3, 7], 70)
    assert list(plan) == [
        "3 supervised",
        f"3 {REFINED}",
        f"3 {PARTS}",
        "7 supervised",
        f"7 {REFINED}",
        f"7 {PARTS}",
        "70 supervised",
        f"70 {REFINED}",
    ]
    trainings = {row.stage.name: row.stage.settings.get("labeled_fraction", 1.0) for row in plan.values()}
    assert trainings == {
        "3-supervised": 3 / 70,
        "3-mean-teacher": 3 / 70,
        "7-supervised": 0.1,
        "7-mean-teacher": 0.1,
        "70-supervised": 1.0,
    }
    assert [name for name, row in plan.items() if not row.refined] == [f"{n} supervised" for n in (3, 7, 70)]


@pytest.mark.parametrize("full", [False, True])
def test_all_rows_take_as_many_updates_of_as_many_images(full: bool) -> None:
    what = target(full=full)
    plan = rows([3, 7], 70)
    assert {budget(what, row.stage) for row in plan.values()} == {
        30000 if full else budget(what, _stage(plan))
    }
    assert {setting(what, row.stage, "batch_size") for row in plan.values()} == {24 if full else 4}
    assert setting(what, _stage(plan), "image_size") == ([256, 256] if full else [112, 112])


def _stage(plan: dict[str, Any]) -> Any:
    return plan[f"3 {PARTS}"].stage


def run_of(supervised: float, parts: float, all_labels: float) -> dict[str, Any]:
    """A seed with the Dice of one volume per row."""
    dice = {"7 supervised": supervised, f"7 {PARTS}": parts, "70 supervised": all_labels}
    return {
        "rows": {name: [{"id": "0", **dict.fromkeys(METRICS, dice.get(name, 0.0))}] for name in rows([7], 70)}
    }


def test_the_gap_is_that_of_the_means() -> None:
    summary = summarize([run_of(0.6, 0.8, 0.9), run_of(0.8, 0.8, 0.9)], [7], 70)
    assert summary["models"]["7 supervised"]["dice"]["mean"] == pytest.approx(0.7)
    assert summary["closed"]["7"] == pytest.approx(0.5)
    text = notes({**summary, "reported_on": "validation", "command": "the command"})
    assert "- 7 labelled: 50% (the field's best 78%, from 0.794 to 0.888 of 0.914)" in text
    assert "Command: `the command`" in text
    assert gap_closed(0.9, 0.8, 0.9) == 0.0


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four patients to train on, one for validation."""
    return write_hearts(tmp_path_factory.mktemp("hearts") / "data", train=[1, 2, 3, 4], val=[5])


def test_what_the_rows_train_on(data: Path, tmp_path: Path) -> None:
    assert main(["prepare", "acdc", str(data), str(tmp_path / "data")]) == 0
    counts = {}
    for name, row in rows([1], 4).items():
        items = training_set(target(), row.stage, tmp_path / "seed0", data=tmp_path / "data", seed=0)
        counts[name] = (len(items), sum(item["labeled"] for item in items))
    assert counts == {
        "1 supervised": (3, 3),
        f"1 {REFINED}": (3, 3),
        f"1 {PARTS}": (12, 3),
        "4 supervised": (12, 12),
        f"4 {REFINED}": (12, 12),
    }


@pytest.mark.slow
def test_a_small_run_and_a_test_part_alone(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--out", str(tmp_path / "out"), "--seeds", "1", "--epochs", "1", "--labeled", "2"]
    assert main(["reproduce", "few-labels-acdc", "--data", str(data), *words]) == 0
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert list(summary["models"]) == list(rows([2], 4))
    assert summary["command"].endswith("--labeled 2")
    assert set(summary["models"]["4 supervised"]) == set(METRICS)
    assert summary["models"]["4 supervised"]["dice"]["mean"] > 0.5
    assert "| 2 supervised |" in (tmp_path / "out/table.md").read_text()
    finished = {f: f.stat().st_mtime_ns for f in (tmp_path / "out/runs").rglob("finished.json")}
    assert len(finished) == 3
    alone = write_hearts(tmp_path / "alone", test=[9])
    assert main(["reproduce", "few-labels-acdc", "--data", str(alone), *words]) == 0
    again = json.loads((tmp_path / "out/summary.json").read_text())
    assert again["reported_on"] == "test"
    assert [case["id"] for case in again["runs"][0]["rows"]["4 supervised"]] == ["patient009_frame01"]
    assert finished == {f: f.stat().st_mtime_ns for f in (tmp_path / "out/runs").rglob("finished.json")}


def test_a_test_part_alone_without_finished_trainings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = write_hearts(tmp_path / "alone", test=[9])
    words = ["--data", str(alone), "--out", str(tmp_path / "out"), "--seeds", "1", "--labeled", "3"]
    assert main(["reproduce", "few-labels-acdc", *words]) == 1
    assert "it has no training section, and" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["few-labels-acdc", "--labeled", "4"], "4 training patients, so --labeled must be less, got 4"),
        (["few-labels-acdc", "--labeled", "0"], "--labeled must be a whole number of at least 1, got 0"),
        (["tang2017-lv", "--labeled", "3"], "--labeled is of the target few-labels-acdc, not tang2017-lv"),
        (["tang2017-lv", "--full"], "--full is of the target few-labels-acdc, not tang2017-lv"),
    ],
)
def test_options_that_do_not_fit_are_named(
    words: list[str], message: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reproduce", *words, "--data", str(data), "--out", str(tmp_path / "out")]) == 1
    assert message in capsys.readouterr().err


def test_one_image_under_two_names_is_one_patient_but_counts_as_two(tmp_path: Path) -> None:
    """As in the published split, of whose 70 training patients two have the same images."""
    data = write_hearts(tmp_path / "data", train=[1, 2, 3], val=[5])
    for kind in ("images", "labels"):
        source = data / kind / "patient001_frame01.nii.gz"
        (data / kind / "patient003_frame01.nii.gz").write_bytes(source.read_bytes())
    assert main(["prepare", "acdc", str(data), str(tmp_path / "prepared")]) == 0
    assert len({item["patient"] for item in load_section(tmp_path / "prepared", "training")}) == 2
    assert training_patients(tmp_path / "prepared", tmp_path) == 3


def test_every_change_of_the_ablation_is_a_configuration_that_can_be_built(tmp_path: Path) -> None:
    what = target()
    row = rows([7], 70)[f"7 {PARTS}"]
    networks, trainings = {}, {}
    loose = ("- attached ventricle", "- level set at inference", "- both level sets")
    for name, change in changes(what, row).items():
        parser = ConfigParser()
        parser.read_config(what.files(row.stage.override))
        parser.update(dict(change.training))
        loss = parser.get_parsed_content("loss")
        network = networks[name] = parser.get_parsed_content("network_def").eval()
        parser.get_parsed_content("train#pseudo_label")
        inference = ConfigParser()
        inference.read_config(config_files(what.folder, "few_labels_inference", base="inference"))
        inference.update(dict(change.inference))
        steps = inference.get_parsed_content("postprocessing").transforms
        attached = any(isinstance(step, TouchingComponentsd) for step in steps)
        assert attached == (name not in loose)
        inference.get_parsed_content("network_def").load_state_dict(network.state_dict())
        scores = network.train()(torch.zeros(2, 1, 32, 32))
        target_, weight = torch.ones(2, 4, 32, 32) / 4, torch.ones(2, 1, 32, 32)
        assert torch.isfinite(loss(scores, target_, weight, torch.rand(2, 1, 32, 32)))
        trainings.setdefault(change.stage, change.training)
        assert trainings[change.stage] == change.training
    assert networks["+ signed distances"](torch.zeros(2, 1, 32, 32)).shape[1] == 7


def test_a_training_that_the_ablation_has_not(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--only mixup: there is no such training, choose from copy-paste, "):
        ablate(str(data), str(tmp_path), labeled=2, only="no-ramp,mixup")
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_an_ablation_of_one_part(data: Path, tmp_path: Path) -> None:
    ablate(str(data), str(tmp_path), labeled=2, seeds=1, epochs=1, only="copy-paste")
    summary = json.loads((tmp_path / "ablation/summary.json").read_text())
    off = ["- quarter turns at inference", "- level set at inference"]
    assert list(summary["models"]) == ["supervised", "all parts", *off, "+ copy-paste"]
    dice = {row: found["dice"]["mean"] for row, found in summary["models"].items()}
    assert len(set(dice.values())) == len(dice)
    trained = {folder.name for folder in (tmp_path / "ablation/1-epochs/runs/seed0").glob("2-*")}
    assert trained == {"2-supervised", "2-mean-teacher", "2-mean-teacher-copy-paste"}
    table = (tmp_path / "ablation/table.md").read_text()
    assert "| + copy-paste | " in table
    assert f"2 labelled patients, {summary['updates']} updates" in table
    assert table.endswith(" --labeled 2 --seeds 1 --epochs 1 --only copy-paste`\n")


@pytest.mark.slow
def test_a_training_in_pieces(data: Path, tmp_path: Path) -> None:
    """As a job that may only run for minutes: stopped by SIGTERM, and the same command again."""
    words = ["--data", str(data), "--out", str(tmp_path), "--seeds", "1", "--epochs", "1", "--labeled", "2"]
    command = [sys.executable, "-m", "monai_levelset.cli", "reproduce", "few-labels-acdc", *words]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    with subprocess.Popen(
        command, env=env, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("update 30/225"):
                process.send_signal(signal.SIGTERM)
    assert process.returncode == 130
    again = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600, check=False)
    assert again.returncode == 0, again.stderr
    finished = json.loads((tmp_path / "runs/seed0/2-supervised/finished.json").read_text())
    assert finished["resumed"] is True
    first = next(line for line in again.stderr.splitlines() if line.startswith("update "))
    assert first.startswith("update 40/225")
    assert (tmp_path / "models.png").stat().st_size > 5000
