"""Ctrl-C in the left-ventricle bundle's training, and runs with equal and with other seeds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from .common import config_files, progress, run_workflow
from .lv import LV_BUNDLE, write_data

SETTINGS: dict[str, Any] = {"max_updates": 5, "val_interval": 2, "log_interval": 1, "batch_size": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """6 + 2 + 1 slices: an epoch has three mini-batches."""
    return write_data(tmp_path_factory.mktemp("lv") / "data", {"training": 6, "validation": 2, "test": 1})


def settings_for(data: Path, folder: Path) -> dict[str, Any]:
    folders = {"dataset_dir": data, "ckpt_dir": folder / "models", "output_dir": folder / "eval"}
    return {**SETTINGS, **folders, "cache_dir": data / "cache"}


def weights(data: Path, folder: Path, **changes: Any) -> dict[str, torch.Tensor]:
    """What the best network has learned."""
    run_workflow(LV_BUNDLE, "train", run_id="training", **{**settings_for(data, folder), **changes})
    state: dict[str, torch.Tensor] = torch.load(folder / "models/model.pt", weights_only=True)
    return state


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted training."""
    folder = tmp_path_factory.mktemp("whole")
    weights(data, folder)
    return folder


def interrupt(data: Path, folder: Path, update: int) -> tuple[int, str]:
    """Exit code and stderr of a training that gets Ctrl-C once it has said that `update` is done."""
    words = [word for name, value in settings_for(data, folder).items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "monai.bundle", "run", "training", "--bundle_root", str(LV_BUNDLE)]
    command += ["--config_file", config_files(LV_BUNDLE, "train"), *words]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    said = ""
    with subprocess.Popen(
        command, env=env, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            said += line
            if line.startswith(f"update {update}/"):
                process.send_signal(signal.SIGINT)
    return process.returncode, said


def test_ctrl_c_saves_says_how_to_go_on_and_resumes_bit_for_bit(
    data: Path, whole: Path, tmp_path: Path
) -> None:
    """Stopped in the middle of the first epoch."""
    code, said = interrupt(data, tmp_path, 1)
    assert code == 130, said
    assert "Traceback" not in said
    last = said.strip().splitlines()[-1]
    done = len(progress(said))
    assert 1 <= done < SETTINGS["max_updates"]
    assert last == (
        f"interrupted after update {done}, saved in {tmp_path / 'eval/checkpoint.pt'}. "
        "Go on with the same command and --resume True"
    )
    assert (tmp_path / "eval/curves.png").is_file()
    resumed = weights(data, tmp_path, resume=True)
    assert same(resumed, torch.load(whole / "models/model.pt", weights_only=True))
    assert (tmp_path / "eval/history.csv").read_text() == (whole / "eval/history.csv").read_text()


def test_a_seed_makes_a_training_repeatable(data: Path, whole: Path, tmp_path: Path) -> None:
    again = weights(data, tmp_path / "again", seed=0)
    other = weights(data, tmp_path / "other", seed=1)
    assert same(again, torch.load(whole / "models/model.pt", weights_only=True))
    assert (tmp_path / "again/eval/history.csv").read_text() == (whole / "eval/history.csv").read_text()
    assert not same(again, other)
