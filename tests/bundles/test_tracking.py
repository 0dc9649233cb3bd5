"""Trainings, evaluations and inferences recorded with MLflow: `--tracking configs/tracking.json`."""

from __future__ import annotations

import csv
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigWorkflow

from monai_levelset.data import load_section
from monai_levelset.data.phantoms import generate_phantoms
from monai_levelset.engines import UpdateTrainer

from .brats import BRATS_BUNDLE, SMALL
from .click_training import TINY
from .common import ROOT, read_csv
from .fundus import FUNDUS_BUNDLE
from .lits import LITS_BUNDLE
from .liver import LIVER_BUNDLE
from .lv import LV_BUNDLE, write_data
from .natural import NATURAL_BUNDLE, QUICK
from .prostate import PROSTATE_BUNDLE

mlflow = pytest.importorskip("mlflow", reason="tracking needs the extra 'tracking': make test-tracking")

SETTINGS: dict[str, Any] = {"batch_size": 2, "log_interval": 1, "val_interval": 2}
OTHERS: dict[str, tuple[Path, list[str], dict[str, Any]]] = {
    "liver": (LIVER_BUNDLE, ["train"], {}),
    "lits": (LITS_BUNDLE, ["train", "liver"], {"size": [64, 64], "channels": [8, 16]}),
    "brats": (BRATS_BUNDLE, ["train"], SMALL),
    "natural": (NATURAL_BUNDLE, ["train"], QUICK),
    "fundus": (FUNDUS_BUNDLE, ["train"], TINY),
    "prostate": (PROSTATE_BUNDLE, ["train"], TINY),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """6 + 2 + 2 slices: an epoch has three mini-batches."""
    return write_data(tmp_path_factory.mktemp("lv") / "data", {"training": 6, "validation": 2, "test": 2})


def tracked(bundle: Path, *names: str, run_id: str = "training", **settings: Any) -> ConfigWorkflow:
    """What `python -m monai.bundle run --tracking configs/tracking.json` does, in this process."""
    workflow = ConfigWorkflow(
        [str(bundle / "configs" / f"{name}.json") for name in names],
        logging_file=False,
        run_id=run_id,
        tracking=str(bundle / "configs/tracking.json"),
        bundle_root=str(bundle),
        **{key: str(value) if isinstance(value, Path) else value for key, value in settings.items()},
    )
    workflow.initialize()
    workflow.run()
    workflow.finalize()
    return workflow


def train(data: Path, out: Path, **settings: Any) -> ConfigWorkflow:
    places = {"dataset_dir": data, "ckpt_dir": out / "models", "output_dir": out / "eval"}
    return tracked(LV_BUNDLE, "train", **{**SETTINGS, "max_updates": 6, **places, **settings})


def store(folder: Path) -> Any:
    return mlflow.MlflowClient(f"sqlite:///{folder}/mlruns.db")


def runs(folder: Path) -> list[Any]:
    """All runs of a folder's store, the oldest first."""
    client = store(folder)
    found = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    return sorted(found, key=lambda run: run.info.start_time)


def points(folder: Path, run: Any, name: str) -> list[tuple[int, float]]:
    """The curve of a metric: (step, value) in the order in which they were written."""
    return [(point.step, point.value) for point in store(folder).get_metric_history(run.info.run_id, name)]


def artifacts(folder: Path, run: Any) -> dict[str, Path]:
    client = store(folder)
    names = [file.path for file in client.list_artifacts(run.info.run_id)]
    return {name: Path(client.download_artifacts(run.info.run_id, name)) for name in names}


def history(folder: Path, column: str) -> list[tuple[int, float]]:
    """The same of the training's own table."""
    with (folder / "history.csv").open() as file:
        return [(int(row["update"]), float(row[column])) for row in csv.DictReader(file) if row[column]]


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a training that nothing has disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    train(data, folder)
    return folder / "eval"


def test_a_training_is_recorded(data: Path, whole: Path) -> None:
    (run,) = runs(whole)
    assert run.info.status == "FINISHED"
    assert run.info.run_name.startswith("training 20")
    for name in ("loss", "learning_rate", "val_mean_dice"):
        assert points(whole, run, name) == history(whole, name)
    assert [step for step, _ in points(whole, run, "loss")] == [1, 2, 3, 4, 5, 6]
    assert [step for step, _ in points(whole, run, "val_mean_dice")] == [2, 4, 6]
    expected = {"max_updates": "6", "learning_rate": "0.003", "dataset_dir": str(data), "seed": "0"}
    expected |= {"optimizer": "torch.optim.AdamW", "optimizer.weight_decay": "0.0001"}
    assert expected.items() <= run.data.params.items()


def test_its_files_are_kept_beside_the_store(whole: Path) -> None:
    (run,) = runs(whole)
    kept = artifacts(whole, run)
    (config,) = whole.glob("config_*.json")
    assert sorted(kept) == sorted([config.name, "curves.png", "history.csv", "model.pt"])
    assert kept["model.pt"].read_bytes() == (whole.parent / "models/model.pt").read_bytes()
    assert kept["history.csv"].read_text() == (whole / "history.csv").read_text()
    assert run.info.artifact_uri.startswith((whole / "mlruns").as_uri())
    (experiment,) = [found.name for found in store(whole).search_experiments() if found.name != "Default"]
    assert experiment == "Left ventricle in short-axis MRI: FCN and level set"


def test_an_interrupted_training_is_killed_and_goes_on_in_its_run(
    data: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = UpdateTrainer.update

    def interrupted(trainer: UpdateTrainer, *arguments: Any) -> Any:
        output = update(trainer, *arguments)
        if trainer.state.updates == 4:
            signal.raise_signal(signal.SIGINT)
        return output

    monkeypatch.setattr(UpdateTrainer, "update", interrupted)
    with pytest.raises(SystemExit):
        train(data, tmp_path)
    monkeypatch.setattr(UpdateTrainer, "update", update)
    (first,) = runs(tmp_path / "eval")
    assert first.info.status == "KILLED"
    assert {"model.pt", "history.csv"} <= artifacts(tmp_path / "eval", first).keys()
    train(data, tmp_path, resume=True)
    (run,) = runs(tmp_path / "eval")
    assert (run.info.run_id, run.info.status) == (first.info.run_id, "FINISHED")
    (other,) = runs(whole)
    for name in ("loss", "learning_rate", "val_mean_dice"):
        assert points(tmp_path / "eval", run, name) == points(whole, other, name)


@pytest.mark.parametrize(("error", "status"), [(ArithmeticError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_training_that_broke_off_writes_no_point_twice(
    error: type[BaseException], status: str, data: Path, whole: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    """In the second epoch: it goes on from the end of the first, and repeats what was beyond."""
    update = UpdateTrainer.update

    def broken(trainer: UpdateTrainer, *arguments: Any) -> Any:
        if trainer.state.updates == 5:
            raise error
        return update(trainer, *arguments)

    monkeypatch.setattr(UpdateTrainer, "update", broken)
    with pytest.raises((RuntimeError, KeyboardInterrupt)):
        train(data, tmp_path)
    monkeypatch.setattr(UpdateTrainer, "update", update)
    (first,) = runs(tmp_path / "eval")
    assert first.info.status == status
    train(data, tmp_path, resume=True)
    (run,) = runs(tmp_path / "eval")
    assert run.info.status == "FINISHED"
    (other,) = runs(whole)
    for name in ("loss", "val_mean_dice"):
        assert points(tmp_path / "eval", run, name) == points(whole, other, name)


def test_a_training_anew_is_a_run_of_its_own_whatever_became_of_the_last(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> Any:
        raise ArithmeticError("this loss is no number")

    update = UpdateTrainer.update
    monkeypatch.setattr(UpdateTrainer, "update", fail)
    with pytest.raises(RuntimeError) as error:
        train(data, tmp_path)
    assert "no number" in str(error.value.__cause__)
    monkeypatch.setattr(UpdateTrainer, "update", update)
    train(data, tmp_path, max_updates=2, run_name="second")
    train(data, tmp_path, max_updates=4, run_name="third")
    found = runs(tmp_path / "eval")
    assert [run.info.status for run in found] == ["FAILED", "FINISHED", "FINISHED"]
    assert [run.info.run_name for run in found[1:]] == ["second", "third"]
    assert [len(points(tmp_path / "eval", run, "loss")) for run in found] == [0, 2, 4]
    assert [run.data.params["max_updates"] for run in found] == ["6", "2", "4"]


def test_evaluation_and_inference_have_runs_of_their_own(data: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for item in load_section(data, "test"):
        shutil.copy(item["image"], tmp_path / "images")
    out = tmp_path / "eval"
    tracked(
        *(LV_BUNDLE, "train", "evaluate"), run_id="evaluating", dataset_dir=data, output_dir=out, resume=True
    )
    (run,) = runs(out)
    assert (run.info.status, run.info.run_name[:10]) == ("FINISHED", "evaluation")
    scores = dict(read_csv(out / "metrics.csv"))
    for name in ("val_mean_dice", "val_mean_iou"):
        assert points(out, run, name) == [(0, pytest.approx(float(scores[name]), abs=1e-4))]
    assert run.data.params["section"] == "test"
    tracked(
        LV_BUNDLE, "inference", run_id="run", dataset_dir=tmp_path / "images", output_dir=tmp_path / "masks"
    )
    (run,) = runs(tmp_path / "masks")
    assert run.info.status == "FINISHED"
    assert run.data.params["roi_size"] == "[120, 120]"
    assert [name[:7] for name in artifacts(tmp_path / "masks", run)] == ["config_"]


@pytest.mark.parametrize("task", OTHERS)
def test_every_bundle_is_recorded(task: str, tmp_path: Path) -> None:
    """All parts of its loss, and what its validation measures."""
    bundle, configs, small = OTHERS[task]
    generate_phantoms(task, tmp_path / "data", cases={"fundus": 6, "natural": 4}.get(task, 3), seed=0)
    out = tmp_path / "eval"
    places = {"dataset_dir": tmp_path / "data", "ckpt_dir": tmp_path / "models", "output_dir": out}
    workflow = tracked(bundle, *configs, **{**small, **SETTINGS, **places, "max_updates": 2})
    (run,) = runs(out)
    losses = {name for name in workflow.trainer.state.output if name not in ("image", "label", "pred")}
    assert run.data.metrics.keys() == {*losses, "learning_rate", *workflow.evaluator.state.metrics}
    assert {step for name in losses for step, _ in points(out, run, name)} == {1, 2}
    (weights,) = (tmp_path / "models").glob("[lm][io][vd]e*.pt")  # model.pt or liver.pt
    assert weights.name in artifacts(out, run)


def command(*words: str | Path, cwd: Path, launcher: tuple[str, ...] = ()) -> None:
    """`python -m monai.bundle run WORDS --tracking configs/tracking.json`; MLflow's warnings are errors."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    line = [
        sys.executable,
        "-W",
        "error:::mlflow",
        "-W",
        "error:::sqlalchemy",
        *launcher,
        "-m",
        "monai.bundle",
    ]
    line += ["run", *map(str, words), "--tracking", "configs/tracking.json"]
    done = subprocess.run(line, cwd=cwd, env=env, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr


def test_what_nobody_has_ended_ends_with_the_process(tmp_path: Path) -> None:
    """An evaluation whose error another handler raises before this one hears of it."""
    script = f"""
import torch
from ignite.engine import Events
from monai.engines import SupervisedEvaluator
from monai_levelset.engines.mlflow_tracking import MLflowTracking

def fail(engine):
    raise ArithmeticError("no number")

evaluator = SupervisedEvaluator(torch.device("cpu"), [0], torch.nn.Identity())
MLflowTracking(uri="sqlite:///{tmp_path}/mlruns.db", experiment="mine").attach(evaluator)
evaluator.add_event_handler(Events.STARTED, fail)
evaluator.run()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "ArithmeticError: no number" in done.stderr
    (run,) = runs(tmp_path)
    assert run.info.status == "FAILED"


def page(language: str) -> list[str]:
    """The blocks of a language on the page `From Python` that track something."""
    text = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    return [
        block for block in re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL) if "tracking" in block
    ]


def test_the_page_tracks_from_python(data: Path, tmp_path: Path) -> None:
    (block,) = page("py")
    (tmp_path / "data").symlink_to(data)
    exec(block, {"root": LV_BUNDLE, "folder": tmp_path})
    (run,) = runs(tmp_path / "tracked/eval")
    assert (run.info.status, run.data.params["max_updates"]) == ("FINISHED", "2")


@pytest.mark.slow
def test_the_commands_of_the_page(data: Path, tmp_path: Path) -> None:
    """In the bundle's folder, with all settings at their defaults: a run for each command."""
    copy = tmp_path / "bundle"
    shutil.copytree(LV_BUNDLE, copy, ignore=shutil.ignore_patterns("eval", "predictions"))
    images = tmp_path / "images"
    images.mkdir()
    for item in load_section(data, "test"):
        shutil.copy(item["image"], images)
    text = (
        "".join(page("shell")).replace("\\\n", "").replace("DATA", str(data)).replace("IMAGES", str(images))
    )
    lines = [shlex.split(line) for line in text.splitlines() if line.startswith("python -m monai.bundle run")]
    for words in lines:
        few = ["--max_updates", "2", "--log_interval", "1"] if "training" in words else []
        command(*words[4:-2], *few, cwd=copy)
    training, evaluation = runs(copy / "eval")
    (inference,) = runs(copy / "predictions")
    assert {run.info.status for run in (training, evaluation, inference)} == {"FINISHED"}
    assert [step for step, _ in points(copy / "eval", training, "loss")] == [1, 2]
    assert points(copy / "eval", evaluation, "val_mean_iou")[0][0] == 0
    assert "model.pt" in artifacts(copy / "eval", training)


@pytest.mark.slow
def test_two_processes_are_one_run(data: Path, tmp_path: Path) -> None:
    places = ["--dataset_dir", data, "--ckpt_dir", tmp_path / "models", "--output_dir", tmp_path / "eval"]
    command(
        *("training", "--config_file", "['configs/train.json','configs/multi_gpu_train.json']", *places),
        *("--max_updates", "2", "--batch_size", "2", "--log_interval", "1"),
        cwd=LV_BUNDLE,
        launcher=("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"),
    )
    (run,) = runs(tmp_path / "eval")
    assert run.info.status == "FINISHED"
    assert [step for step, _ in points(tmp_path / "eval", run, "loss")] == [1, 2]
