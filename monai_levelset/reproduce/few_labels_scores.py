"""Scores of the three structures of the heart on whole volumes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from monai_levelset.data import DataError, load_section
from monai_levelset.data.datalist import Item
from monai_levelset.metrics import case_metrics, check_same_grid
from monai_levelset.metrics.volume import load_label
from monai_levelset.report import write_json
from monai_levelset.reproduce.inference import segment
from monai_levelset.reproduce.stages import read_json
from monai_levelset.reproduce.targets import Target, config_files

STRUCTURES = {"rv": 1, "myo": 2, "lv": 3}
PLAIN = {"intensity_weight": 0, "quarter_turns": [0]}
METRICS = ("dice", "iou", "hd95", "asd", "dice_rv", "dice_myo", "dice_lv", "missed")


def scores(
    target: Target,
    data: Path,
    section: str,
    folder: Path,
    *,
    refined: bool,
    settings: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Segment the volumes of a section with a finished network and score them on their own grids.

    Done once for the same volumes, network and configuration.

    Args:
        target: whose bundle it is; `inference.json` gets the overrides of the same names with `_inference`.
        data: folder of the data list.
        section: of it.
        folder: of the weights, `model.pt`; keeps the predictions and `scores-SECTION.json`.
        refined: whether the network's probabilities are averaged over quarter turns, intensities compete for
            the voxels, the right ventricle touches the muscle and the largest components are kept; else each
            voxel has the network's most probable class.
        settings: further entries of the inference's configuration.

    Returns:
        Per volume `id` and `METRICS`: the means over the structures, distances in voxels, and the number of
        structures that were missed.

    Raises:
        DataError: a volume has no label.
    """
    items = load_section(data, section)
    bare = [str(item["id"]) for item in items if not item["labeled"]]
    if bare:
        raise DataError(f"{data}: {bare[0]} has no label to score against. Label it or take it out.")
    name = _name(section, refined)
    done, weights = folder / f"scores-{name}.json", folder / "finished.json"
    overrides = [f"{name}_inference" for name in target.overrides]
    configuration = [
        Path(file).read_text() for file in config_files(target.folder, *overrides, base="inference")
    ]
    changed = {**(settings or {}), **({} if refined else PLAIN)}
    key = [[str(item["id"]), str(item["image"])] for item in items]
    setup = "".join([*configuration, json.dumps(changed, sort_keys=True)])
    key.append([str(weights.stat().st_mtime_ns), sha256(setup.encode()).hexdigest()])
    if done.is_file() and read_json(done)["key"] == key:
        found: list[dict[str, Any]] = read_json(done)["cases"]
        return found
    files = segment(
        target,
        items,
        folder / "model.pt",
        predictions(folder, section, refined=refined),
        *overrides,
        **changed,
    )
    cases = [_score(*pair) for pair in zip(items, files, strict=True)]
    write_json(done, {"key": key, "cases": cases})
    return cases


def predictions(folder: Path, section: str, *, refined: bool) -> Path:
    """Where `scores` keeps the label maps of a network's folder."""
    return folder / f"predictions-{_name(section, refined)}"


def _name(section: str, refined: bool) -> str:
    return f"{section}-refined" if refined else section


def _score(item: Item, file: Path) -> dict[str, Any]:
    truth, prediction = load_label(Path(item["label"])), load_label(file)
    check_same_grid(prediction, truth)
    found = case_metrics(prediction.array, truth.array, labels=STRUCTURES)
    return {"id": item["id"], **{name: found[name] for name in METRICS}}
