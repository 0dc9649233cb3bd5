"""Trainings that build on each other, each run once."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow

from monai_levelset.data import DataError
from monai_levelset.report import write_json


@dataclass(frozen=True)
class Stage:
    """One training of a bundle.

    Attributes:
        name: of the stage and its folder.
        override: name of the configuration file that is laid over `train.json`.
        after: the stage whose best network it starts from.
        settings: further entries of the configuration.
    """

    name: str
    override: str
    after: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file's content."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def config_files(bundle: Path, override: str) -> list[str]:
    """The base configuration and one override."""
    return [str(bundle / "configs" / f"{name}.json") for name in ("train", override)]


def budget(bundle: Path, stage: Stage) -> int:
    """The number of updates a stage's configuration sets."""
    parser = ConfigParser()
    parser.read_config(config_files(bundle, stage.override))
    return int(parser["max_updates"])


def train(bundle: Path, stage: Stage, folder: Path, *, data: Path, seed: int, updates: int) -> Path:
    """Train a stage, or go on with it, or do nothing if it has finished with the same settings.

    Args:
        bundle: the bundle's folder.
        stage: what to train.
        folder: the seed's folder; the stage gets a subfolder.
        data: the data's folder.
        seed: of the labelled part, the start, the order and the augmentation.
        updates: number of optimiser updates.

    Returns:
        The stage's folder, with `model.pt`, `shape_prior.pt` and `finished.json`.
    """
    out = folder / stage.name
    settings = {
        "bundle_root": str(bundle),
        "dataset_dir": str(data),
        "ckpt_dir": str(out),
        "output_dir": str(out),
        "cache_dir": str(folder.parent / "slices"),
        "seed": seed,
        "max_updates": updates,
        "pretrained": str(folder / stage.after / "model.pt") if stage.after else None,
        **stage.settings,
    }
    done = out / "finished.json"
    if done.is_file() and read_json(done)["settings"] == settings:
        return out
    started = out / "settings.json"
    resume = (out / "checkpoint.pt").is_file() and read_json(started) == settings
    if not resume:
        for old in (done, out / "checkpoint.pt"):
            old.unlink(missing_ok=True)
    write_json(started, settings)
    start = time.perf_counter()
    run_workflow(config_files(bundle, stage.override), bundle, {**settings, "resume": resume})
    write_json(
        done, {"settings": settings, "resumed": resume, "seconds": round(time.perf_counter() - start, 1)}
    )
    (out / "checkpoint.pt").unlink(missing_ok=True)
    return out


def run_workflow(files: Sequence[str], bundle: Path, settings: Mapping[str, Any]) -> ConfigWorkflow:
    """Run a bundle's training in this process, as `python -m monai.bundle run training` does.

    Raises:
        DataError: the data or a checkpoint is unfit; without the errors in which MONAI wraps it.
    """
    workflow = ConfigWorkflow(
        config_file=list(files),
        meta_file=None,
        logging_file=None,
        workflow_type="train",
        run_id="training",
        **settings,
    )
    try:
        workflow.initialize()
        workflow.run()
        workflow.finalize()
    except RuntimeError as error:
        raise _reason(error) from error
    return workflow


def _reason(error: BaseException) -> BaseException:
    """The `DataError` behind an error, as a new one, or the error itself."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, DataError):
        cause = cause.__cause__
    return error if cause is None else DataError(str(cause))
