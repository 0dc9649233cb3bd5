"""A tiny data set and a short real training, shared by the tests of the left-ventricle bundle."""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .lv import LV_BUNDLE, monai_bundle, write_data


@pytest.fixture(autouse=True)
def _same_excepthook(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle's `initialize` replaces the hook: put it back."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


@pytest.fixture(scope="session")
def lv_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 + 4 + 4 slices."""
    return write_data(tmp_path_factory.mktemp("lv") / "data", {"training": 24, "validation": 4, "test": 4})


@pytest.fixture(scope="session")
def lv_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the bundle without its weights."""
    copy = tmp_path_factory.mktemp("lv") / LV_BUNDLE.name
    shutil.copytree(LV_BUNDLE, copy, ignore=shutil.ignore_patterns("models", "eval", "predictions"))
    return copy


@pytest.fixture(scope="session")
def lv_training(lv_copy: Path, lv_data: Path) -> subprocess.CompletedProcess[str]:
    """A short training by the command line, in the bundle's folder, with everything where it belongs."""
    return monai_bundle(
        *("run", "training", "--config_file", "configs/train.json", "--meta_file", "configs/metadata.json"),
        *("--dataset_dir", lv_data, "--max_updates", "60", "--val_interval", "30", "--log_interval", "1"),
        cwd=lv_copy,
    )


@pytest.fixture(scope="session")
def lv_trained(lv_copy: Path, lv_training: subprocess.CompletedProcess[str]) -> Path:
    """The copy of the bundle after that training."""
    assert lv_training.returncode == 0, lv_training.stderr
    return lv_copy


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The command line `python -m monai.bundle WORDS` without a new process."""

    def run(*words: str | Path) -> None:
        monkeypatch.setattr(sys, "argv", ["monai.bundle", *map(str, words)])
        runpy.run_module("monai.bundle", run_name="__main__")

    return run
