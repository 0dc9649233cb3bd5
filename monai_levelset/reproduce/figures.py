"""Figures 2 and 3 of Tang et al. (2017)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monai_levelset.metrics import load_volume
from monai_levelset.report import ModelRow, convergence_figure, model_figure, save_figure
from monai_levelset.reproduce.models import level_set, load_network
from monai_levelset.reproduce.parts import Parts
from monai_levelset.reproduce.sections import Section
from monai_levelset.reproduce.targets import ROWS, Target
from monai_levelset.transforms import LevelSetRefinement

_EVERY = 5


def write_figures(target: Target, parts: Parts, out: Path, run: Mapping[str, Any]) -> None:
    """`convergence.png` (Fig. 2) and `models.png` (Fig. 3) of one seed's scored images.

    Figure 3 shows the 90th, 50th, 25th and 10th percentile of FCN-levelset's Dice; figure 2 an image that the
    refinement helps more than 95 % of the images.
    """
    test, folder = Section.load(target, parts.folder, parts.scored), out / run["folder"]
    maps = {stage: test.probabilities(load_network(target, folder / stage)) for stage, _ in ROWS.values()}
    masks = {}
    for row, (stage, refine) in ROWS.items():
        result = test.refined(maps[stage], level_set(target, folder / stage).soft) if refine else maps[stage]
        masks[row] = test.whole(result)
    scores = [case["dice"] for case in run["rows"]["FCN-levelset"]["cases"]]
    order = np.argsort(scores)
    chosen = [int(order[round(q * (len(order) - 1))]) for q in (0.9, 0.5, 0.25, 0.1)]
    whole = [whole_image(test, i) for i in chosen]
    figure = model_figure(
        [
            ModelRow(
                _short(test.items[i]["id"]), image, test.labels[i].T, {row: masks[row][i].T for row in ROWS}
            )
            for i, image in zip(chosen, whole, strict=True)
        ]
    )
    save_figure(figure, out / "models.png", dpi=110)
    refine_with = level_set(target, folder / "joint")
    gains = np.subtract(scores, [case["dice"] for case in run["rows"]["jointly trained FCN"]["cases"]])
    helped = int(np.argsort(gains)[round(0.95 * (len(gains) - 1))])
    save_figure(_convergence(test, maps["joint"], refine_with, helped), out / "convergence.png", dpi=110)


def _short(name: str) -> str:
    """Patient and phase of a Sunnybrook slice, on two lines."""
    return name.replace("-IM-0001-", "\n")


def whole_image(test: Section, index: int) -> NDArray[Any]:
    """The image as stored, (rows, columns)."""
    image: NDArray[Any] = np.asarray(load_volume(test.items[index]["image"]).array).T
    return image


def _convergence(test: Section, maps: Tensor, refine: LevelSetRefinement, index: int) -> Any:
    """From a circle a clinician might click, and from the probability map."""
    probability, image = maps[index][None], test.batch()[index][None]
    truth = _cut(test, index)
    starts = {"circle": _circle(probability, truth), "probability map": refine.initial_mask(probability)}
    steps = list(range(0, refine.steps + 1, _EVERY))
    evolutions = {
        name: [
            test.laid_back(index, phi.sigmoid()).T - 0.5
            for phi in _evolution(refine, probability, image, start, steps)
        ]
        for name, start in starts.items()
    }
    return convergence_figure(whole_image(test, index), test.labels[index].T, evolutions, steps=steps)


def _evolution(
    refine: LevelSetRefinement, probability: Tensor, image: Tensor, start: Tensor, steps: list[int]
) -> list[Tensor]:
    """The level sets `(1, H, W)` after these steps, on the network's grid."""
    whole = refine.steps
    phis = []
    for count in steps:
        refine.steps = count
        phis.append(refine.evolution(probability, start, image=image).phi[0])
    refine.steps = whole
    return phis


def _circle(like: Tensor, truth: NDArray[Any]) -> Tensor:
    """A disc of half the truth's area, off its centre by a third of its radius; an empty truth is all."""
    truth = truth if truth.any() else np.ones_like(truth)
    centre, radius = np.argwhere(truth).mean(0), np.sqrt(truth.sum() / np.pi)
    x, y = torch.meshgrid(torch.arange(like.shape[2]), torch.arange(like.shape[3]), indexing="ij")
    distance = ((x - centre[0] - radius / 3) ** 2 + (y - centre[1] - radius / 3) ** 2).sqrt()
    return (distance < radius / np.sqrt(2)).to(like)[None, None]


def _cut(test: Section, index: int) -> NDArray[Any]:
    """The truth on the network's grid."""
    item = test.transform(test.items[index])
    return np.asarray(item["label"][0]) > 0.5
