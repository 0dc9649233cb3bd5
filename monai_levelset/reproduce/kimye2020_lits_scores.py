"""Scores of liver and lesions as a user gets them: volumes through the bundle's inference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monai_levelset.data import DataError, load_section
from monai_levelset.data.datalist import Item
from monai_levelset.metrics import case_metrics, check_same_grid
from monai_levelset.metrics.volume import load_label
from monai_levelset.report import write_json
from monai_levelset.reproduce.inference import segment
from monai_levelset.reproduce.stages import read_json
from monai_levelset.reproduce.targets import Target

METRICS = ("dice", "iou", "precision", "recall")


def scores(target: Target, data: Path, folder: Path) -> list[dict[str, Any]]:
    """Segment the test volumes with a finished cascade and score them on their own grids; done once.

    Args:
        target: the lesion's, whose bundle it is and whose overrides the inference gets too.
        data: folder of the data list.
        folder: of the weights, `model.pt`; keeps the predictions and `scores.json`.

    Returns:
        Per volume `id`, `METRICS` of the lesions and `liver_dice`, the liver with its lesions.

    Raises:
        DataError: a volume has no label.
    """
    items = load_section(data, "test")
    bare = [str(item["id"]) for item in items if not item["labeled"]]
    if bare:
        raise DataError(f"{data}: {bare[0]} has no label to score against. Label it or take it out.")
    done, weights = folder / "scores.json", folder / "finished.json"
    key = [[str(item["id"]), str(item["image"])] for item in items] + [[weights.stat().st_mtime_ns]]
    if done.is_file() and read_json(done)["key"] == key:
        found: list[dict[str, Any]] = read_json(done)["cases"]
        return found
    files = segment(target, items, folder / "model.pt", folder / "predictions", *target.overrides)
    cases = [_score(*pair) for pair in zip(items, files, strict=True)]
    write_json(done, {"key": key, "cases": cases})
    return cases


def _score(item: Item, file: Path) -> dict[str, Any]:
    truth, prediction = load_label(Path(item["label"])), load_label(file)
    check_same_grid(prediction, truth)
    lesion = case_metrics(prediction.array, truth.array, labels=2, distances=False)
    liver = case_metrics(prediction.array, truth.array, distances=False)
    return {"id": item["id"], **{name: lesion[name] for name in METRICS}, "liver_dice": liver["dice"]}
