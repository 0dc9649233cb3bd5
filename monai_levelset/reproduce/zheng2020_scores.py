"""Masks of every row, and their scores object by object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from monai.bundle import ConfigParser
from monai.transforms import Compose
from numpy.typing import NDArray

from monai_levelset.metrics import boundary_f, case_metrics
from monai_levelset.reproduce.zheng2020_objects import ClickedObject, ClickedObjects, ellipse, network_of
from monai_levelset.reproduce.zheng2020_rows import METRICS, ClickTarget


def click_masks(
    click: ClickTarget, override: str | None, weights: Path, objects: ClickedObjects
) -> list[NDArray[np.bool_]]:
    """What a trained click network makes of the objects, on their images' own grids."""
    network = network_of(click.target.files(override or ""), weights)
    return [probability > 0.5 for probability in objects.probabilities(network)]


def ellipse_masks(objects: ClickedObjects) -> list[NDArray[np.bool_]]:
    """Quarter ellipses through the clicks, on the images' own grids; no network, no image."""
    found = []
    for each in objects.objects:
        size = each.data["image"].shape[1:]
        drawn = torch.from_numpy(ellipse(each.data["points"], size))[None].float()
        found.append(objects.laid_back(each, drawn) > 0.5)
    return found


def unet_masks(click: ClickTarget, weights: Path, objects: ClickedObjects) -> list[NDArray[np.bool_]]:
    """What the network without clicks makes of the objects' whole slices."""
    files = click.target.files("unet")
    network = network_of(files, weights).eval()
    parser = ConfigParser()
    parser.read_config(files)
    prepare = Compose(parser.get_parsed_content("preprocessing"))
    maps: dict[str, NDArray[np.int64]] = {}
    for each in objects.objects:
        image = str(each.item["image"])
        if image not in maps:
            shown = torch.as_tensor(prepare(each.item)["image"].as_tensor())[None]
            with torch.no_grad():
                probability = network(shown).softmax(1)
            large = F.interpolate(probability, each.truth.shape, mode="bilinear", align_corners=False)
            maps[image] = large[0].argmax(0).numpy()
    return [
        np.isin(maps[str(each.item["image"])], click.structures[each.item["structure"]])
        for each in objects.objects
    ]


def score(
    click: ClickTarget, objects: Sequence[ClickedObject], masks: Iterable[NDArray[np.bool_]]
) -> list[dict[str, Any]]:
    """Metrics per object, with its `id` and `structure`; distances in the unit of its image's spacing."""
    cases = []
    for each, mask in zip(objects, masks, strict=True):
        found = case_metrics(mask, each.truth, each.spacing)
        found["abd"] = found["asd"]
        found["boundary_f"] = boundary_f(mask, each.truth, tolerance=click.tolerance)
        names = {"id": each.item["id"], "structure": each.item["structure"]}
        cases.append({**names, **{name: found[name] for name in (*METRICS, "missed")}})
    return cases


def means(cases: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Mean over the structures of the means over objects; with several, also of each.

    Example:
        >>> case = {"rvd": 0.0, "hd": 1.0, "abd": 1.0, "boundary_f": 1.0}
        >>> found = means([{**case, "structure": s, "dice": d} for s, d in (("a", 1.0), ("b", 0.5))])
        >>> found["dice"], found["dice_b"]
        (0.75, 0.5)
    """
    names = list(dict.fromkeys(case["structure"] for case in cases))
    each = {
        name: {
            metric: float(np.mean([case[metric] for case in cases if case["structure"] == name]))
            for metric in METRICS
        }
        for name in names
    }
    found = {metric: float(np.mean([each[name][metric] for name in names])) for metric in METRICS}
    if len(names) > 1:
        found |= {f"{metric}_{name}": each[name][metric] for name in names for metric in METRICS}
    return found
