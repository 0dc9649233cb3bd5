"""What validation data decide: the weight of the level-set loss and the parameters of the CRF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from monai_levelset.report import write_json
from monai_levelset.reproduce.dense_crf import dense_crf
from monai_levelset.reproduce.kim2019_task import TRAININGS, Task, Views, score
from monai_levelset.reproduce.stages import read_json

#: Parameters of the CRF that are not tuned; the smoothness kernel's width is that of Kraehenbuehl and Koltun.
FIXED = {"position_sd": 4.0, "smooth_sd": 1.0, "radius": 7, "iterations": 10}
GRID = {"bilateral_weight": (0.3, 1.0, 3.0), "intensity_sd": (0.1, 0.3, 1.0), "smooth_weight": (0.3, 1.0)}

#: So many validation images at most choose the CRF's parameters.
_CRF_IMAGES = 20

METRICS = ("dice", "boundary_f")


def choose(task: Task, runs: Path, seeds: int) -> dict[str, Any]:
    """The weight and the CRF with the best mean of Dice and boundary F on validation data, over all seeds.

    Args:
        task: whose trainings are finished.
        runs: folder of the task's trainings; the choice is stored there and made once.
        seeds: how many seeds.

    Returns:
        `{"training", "weight", "crf", "trainings": …, "crfs": […]}`, the last two with all that was tried.
    """
    file, asked = runs / "choice.json", _question(seeds)
    if file.is_file() and read_json(file)["asked"] == asked:
        return read_json(file)
    views = task.views("validation")
    trainings = {name: _over_seeds(task, views, runs, seeds, name) for name in TRAININGS}
    weighted = [name for name, weight in TRAININGS.items() if weight]
    best = max(weighted, key=lambda name: _merit(trainings[name]))
    crfs = _crfs(task, views, runs, seeds)
    choice = {
        "asked": asked,
        "training": best,
        "weight": TRAININGS[best],
        "crf": max(crfs, key=_merit)["settings"],
        "trainings": trainings,
        "crfs": crfs,
    }
    write_json(file, choice)
    return choice


def probability(network: nn.Module, image: Tensor) -> Tensor:
    """Class probabilities `(1, K, H, W)` of one image `(1, C, H, W)`."""
    with torch.no_grad():
        scores: Tensor = network(image.contiguous(memory_format=torch.channels_last))
        return scores.softmax(1)


def mean_scores(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Metric -> mean over images."""
    return {metric: float(np.mean([row[metric] for row in rows])) for metric in rows[0]}


def _question(seeds: int) -> dict[str, Any]:
    grid = {name: list(values) for name, values in GRID.items()}
    return {"seeds": seeds, "grid": grid, "fixed": FIXED, "trainings": TRAININGS}


def _merit(scores: Mapping[str, Any]) -> float:
    return float(sum(scores[metric] for metric in METRICS))


def _over_seeds(task: Task, views: Views, runs: Path, seeds: int, name: str) -> dict[str, float]:
    networks = [task.network(runs / f"seed{seed}" / name) for seed in range(seeds)]
    rows = [
        score(task, views.predict(i, probability(network, views.images[i][None])[0]), truth)
        for network in networks
        for i, truth in enumerate(views.truths)
    ]
    return mean_scores(rows)


def _crfs(task: Task, views: Views, runs: Path, seeds: int) -> list[dict[str, Any]]:
    networks = [task.network(runs / f"seed{seed}" / "ce") for seed in range(seeds)]
    some = range(0, len(views.ids), -(-len(views.ids) // _CRF_IMAGES))
    maps = {(n, i): probability(net, views.images[i][None]) for n, net in enumerate(networks) for i in some}
    tried = []
    for values in product(*GRID.values()):
        settings: dict[str, Any] = {**FIXED, **dict(zip(GRID, values, strict=True))}
        rows = [
            score(task, views.predict(i, dense_crf(p, views.images[i][None], **settings)[0]), views.truths[i])
            for (_, i), p in maps.items()
        ]
        tried.append({"settings": settings, **mean_scores(rows)})
    return tried
