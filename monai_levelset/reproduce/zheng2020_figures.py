"""Pictures of Zheng et al.: all rows side by side, and the whole system on single objects."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from monai_levelset.metrics import load_volume
from monai_levelset.report import (
    DeepLevelSetCase,
    ModelRow,
    click_figure,
    evolution_animation,
    model_figure,
    save_figure,
)
from monai_levelset.report.drawing import zoom
from monai_levelset.reproduce.stages import read_json
from monai_levelset.reproduce.zheng2020_data import TestSet
from monai_levelset.reproduce.zheng2020_objects import ClickedObject, ClickedObjects, network_of
from monai_levelset.reproduce.zheng2020_rows import ELLIPSE, ROWS, TRAININGS, UNET, ClickTarget
from monai_levelset.reproduce.zheng2020_scores import click_masks, ellipse_masks, unet_masks

_OURS = "+CM+BD"
_SHOWN = ("DELSE", "DEXTR", _OURS, UNET, ELLIPSE)
_QUANTILES = (0.9, 0.5, 0.1, 0.0)


def write_figures(click: ClickTarget, tests: Mapping[str, TestSet], out: Path) -> None:
    """`models-TEST.png`, and `cases/OBJECT.png` and `.gif`, of seed 0 with exact clicks.

    The objects are those at the 90th, 50th and 10th percentile of Dice of the whole system, and the worst.
    """
    folder = out / "runs" / "seed0"
    for name, test in tests.items():
        scores = read_json(folder / "cm-bd" / f"scores-{name}-exact.json")["cases"]
        order = np.argsort([case["dice"] for case in scores])[::-1]
        picked = dict.fromkeys(int(order[round((1 - q) * (len(order) - 1))]) for q in _QUANTILES)
        _write(click, test, [scores[i]["id"] for i in picked], folder, out, name)


def _write(click: ClickTarget, test: TestSet, ids: list[str], folder: Path, out: Path, name: str) -> None:
    objects = {
        row: _objects(click, ROWS[row] if row not in (UNET, ELLIPSE) else "cm-bd", test, ids)
        for row in _SHOWN
    }
    masks = {row: _masks(click, row, objects[row], folder) for row in _SHOWN}
    rows = [
        _row(each, {row: masks[row][i] for row in _SHOWN}) for i, each in enumerate(objects[_OURS].objects)
    ]
    save_figure(model_figure(rows, crop=False), out / f"models-{name}.png", dpi=110)
    (out / "cases").mkdir(exist_ok=True)
    for each in objects[_OURS].objects:
        case = deep_level_set_case(click, each, folder / "cm-bd" / "model.pt")
        save_figure(click_figure(case), out / "cases" / f"{each.item['id']}.png", dpi=110)
        evolution_animation(case, out / "cases" / f"{each.item['id']}.gif")


def _objects(click: ClickTarget, training: str | None, test: TestSet, ids: list[str]) -> ClickedObjects:
    override = TRAININGS[str(training)] or ""
    found = ClickedObjects(click.target.files(override), test.items, click.structures, only=ids)
    found.objects.sort(key=lambda each: ids.index(each.item["id"]))
    return found


def _masks(click: ClickTarget, row: str, objects: ClickedObjects, folder: Path) -> list[NDArray[Any]]:
    training = ROWS[row]
    if training is None:
        return ellipse_masks(objects)
    weights = folder / training / "model.pt"
    if row == UNET:
        return unet_masks(click, weights, objects)
    return click_masks(click, TRAININGS[training], weights, objects)


def _row(each: ClickedObject, masks: Mapping[str, NDArray[Any]]) -> ModelRow:
    """The surroundings of the object; a model without clicks may find something anywhere."""
    truth = _shown(each, each.truth)
    window = zoom([truth], margin=0.4)
    image = _shown(each, np.asarray(load_volume(each.item["image"]).array))
    found = {row: _shown(each, mask)[window] for row, mask in masks.items()}
    return ModelRow(str(each.item["id"]), image[window], truth[window], found)


def _shown(each: ClickedObject, values: NDArray[Any]) -> NDArray[Any]:
    """As rows and columns; pictures have axes (x, y), slices cut from volumes are turned upright already."""
    return values if "slice" in each.item else np.swapaxes(values, 0, 1)


def deep_level_set_case(click: ClickTarget, each: ClickedObject, weights: Path) -> DeepLevelSetCase:
    """An object as the trained system sees it, upright: rows and columns as a viewer shows them."""
    network: Any = network_of(click.target.files(""), weights)
    image = torch.as_tensor(each.data["image"].as_tensor())
    truth = each.data["label"].as_tensor()[0] > 0.5
    case = DeepLevelSetCase.from_network(
        network, image, truth, each.data["points"], image_channels=len(image) - 2
    )
    return case if click.upright else case.transposed()
