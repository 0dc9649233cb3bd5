"""Trainings that build on each other, each run once."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow

from monai_levelset.data.datalist import Item
from monai_levelset.data.errors import data_error
from monai_levelset.report import write_json
from monai_levelset.reproduce.targets import Stage, Target


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file's content."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def setting(target: Target, stage: Stage, name: str) -> Any:
    """What a stage's configuration says, unparsed."""
    parser = ConfigParser()
    parser.read_config(target.files(stage.override))
    return parser[name]


def budget(target: Target, stage: Stage) -> int:
    """The number of updates a stage's configuration sets."""
    return int(setting(target, stage, "max_updates"))


def training_set(target: Target, stage: Stage, folder: Path, *, data: Path, seed: int) -> list[Item]:
    """The slices a stage trains on; for the arguments see `train`."""
    parser = ConfigParser()
    parser.read_config(target.files(stage.override))
    parser.update(_data_settings(stage, folder, data, seed))
    try:
        cases = parser.get_parsed_content("train#dataset#data")
    except RuntimeError as error:
        raise data_error(error) from error
    items: list[Item] = parser.get_parsed_content("train#dataset#expand")(cases)
    return items


def train(target: Target, stage: Stage, folder: Path, *, data: Path, seed: int, updates: int) -> Path:
    """Train a stage, or go on with it; nothing, if it has finished with this configuration and settings.

    Args:
        target: whose bundle is trained.
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
        "bundle_root": str(target.folder),
        "ckpt_dir": str(out),
        "output_dir": str(out),
        "max_updates": updates,
        "pretrained": str(folder / stage.after / "model.pt") if stage.after else None,
        **_data_settings(stage, folder, data, seed),
    }
    files = target.files(stage.override)
    made_with = {"configuration": _digest(files), "settings": settings}
    done = out / "finished.json"
    if done.is_file() and made_with.items() <= read_json(done).items():
        return out
    started = out / "settings.json"
    resume = (out / "checkpoint.pt").is_file() and read_json(started) == made_with
    if not resume:
        for old in (done, out / "checkpoint.pt"):
            old.unlink(missing_ok=True)
    write_json(started, made_with)
    start = time.perf_counter()
    run_workflow(files, target.folder, {**settings, "resume": resume})
    gc.collect()  # engines and handlers refer to each other, and to the cached data
    write_json(done, {**made_with, "resumed": resume, "seconds": round(time.perf_counter() - start, 1)})
    (out / "checkpoint.pt").unlink(missing_ok=True)
    return out


def _digest(files: Sequence[str]) -> str:
    return sha256("".join(Path(file).read_text(encoding="utf-8") for file in files).encode()).hexdigest()


def _data_settings(stage: Stage, folder: Path, data: Path, seed: int) -> dict[str, Any]:
    return {
        "dataset_dir": str(data),
        "cache_dir": str(folder.parent / "slices"),
        "seed": seed,
        **stage.settings,
    }


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
        raise data_error(error) from error
    return workflow
