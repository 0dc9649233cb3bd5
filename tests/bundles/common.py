"""Ways to run a bundle, and to read what it wrote, shared by the tests of all bundles."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.bundle import ConfigWorkflow
from numpy.typing import NDArray
from PIL import Image

from monai_levelset.prediction import predict

ROOT = Path(__file__).resolve().parents[2]
Array = NDArray[Any]


def write_png(path: Path, values: Array) -> Path:
    """Write an array (x, y) as a PNG."""
    Image.fromarray(np.ascontiguousarray(values.T)).save(path)
    return path


def read_png(path: Path) -> Array:
    """The values (x, y) of a PNG."""
    with Image.open(path) as image:
        return np.asarray(image).T


def monai_bundle(
    *words: str | Path, cwd: Path = ROOT, launcher: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """`python -m monai.bundle WORDS` in a process of its own."""
    command = [sys.executable, *launcher, "-m", "monai.bundle", *map(str, words)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=600, check=False)


def config_files(bundle: Path, *names: str) -> str:
    """Value of `--config_file` for a base configuration and its overrides."""
    return str([str(bundle / "configs" / f"{name}.json") for name in names])


def run_workflow(bundle: Path, *names: str, run_id: str = "run", **settings: Any) -> ConfigWorkflow:
    """What `python -m monai.bundle run` does, in this process."""
    files = [str(bundle / "configs" / f"{name}.json") for name in names]
    overrides = {
        "bundle_root": str(bundle),
        **{k: str(v) if isinstance(v, Path) else v for k, v in settings.items()},
    }
    workflow = ConfigWorkflow(files, logging_file=False, run_id=run_id, workflow_type="train", **overrides)
    workflow.initialize()
    workflow.run()
    workflow.finalize()
    return workflow


def dice(a: Array, b: Array) -> float:
    """Dice coefficient of two masks."""
    a, b = np.asarray(a) > 0, np.asarray(b) > 0
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def read_csv(path: Path) -> list[list[str]]:
    """Rows of a CSV file."""
    with path.open() as file:
        return list(csv.reader(file))


def scalars(folder: Path, tag: str) -> list[float]:
    """Values of a TensorBoard scalar in the order of their steps."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    values = {}
    for file in folder.glob("events.out.tfevents.*"):
        events = EventAccumulator(str(file))
        events.Reload()
        if tag in events.Tags()["scalars"]:
            values |= {event.step: event.value for event in events.Scalars(tag)}
    return [values[step] for step in sorted(values)]


def progress(log: str) -> list[float]:
    """The losses of the lines that say where a training stands."""
    return [float(value) for value in re.findall(r"^update \d+/\d+: loss (\S+?)[, ]", log, re.MULTILINE)]


def reason(error: BaseException) -> str:
    """The messages of an error and of all it was raised from."""
    return str(error) + ("\n" + reason(error.__cause__) if error.__cause__ else "")


def check_nothing_was_trained(folder: Path, log: str) -> None:
    assert progress(log) == []
    written = {path.name for path in folder.rglob("*") if "data" not in path.parts}
    assert written.isdisjoint({"model.pt", "checkpoint.pt", "history.csv"})
    assert not [name for name in written if name.startswith(".")]


def results(bundle: Path, images: Path, out: Path, **options: Any) -> dict[str, Path]:
    """What `monai-levelset predict` writes, by the images' names."""
    report = predict(bundle, images, out, **options)
    return {case["id"]: out / case["files"][0] for case in report["cases"]}
