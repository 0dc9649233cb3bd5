"""What is compared in Kim et al. (2019): trainings, and what a data set with its network must offer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from monai_levelset.metrics import case_metrics
from monai_levelset.metrics.boundary import boundary_f

#: Weights lambda of the level-set loss: the paper's, a tenth and ten times that. The energy is a sum over
#: pixels and these images are smaller than the paper's; one weight is chosen on validation data.
WEIGHTS = (4e-5, 4e-4, 4e-3)

#: lambda of each training; 0 is cross entropy alone.
TRAININGS = {"ce": 0.0, **{f"level-set-{weight:g}": weight for weight in WEIGHTS}}


@dataclass(frozen=True)
class Views:
    """The images of a section as a network sees them.

    Attributes:
        ids: names of the images.
        images: `(N, C, H, W)`.
        predict: index and class probabilities `(K, H, W)` -> label map on the image's own grid, axes (x, y).
        truths: label maps of that kind.
    """

    ids: list[str]
    images: Tensor
    predict: Callable[[int, Tensor], NDArray[Any]]
    truths: list[NDArray[Any]]


class Task(Protocol):
    """A data set with its network; can be pickled."""

    @property
    def name(self) -> str:
        """First word of its rows."""

    @property
    def structures(self) -> Mapping[str, tuple[int, ...]]:
        """Structure -> its label values."""

    @property
    def tolerance(self) -> float:
        """Of the boundary F, pixels of the images' own grid."""

    def train(self, folder: Path, weight: float, seed: int) -> None:
        """Train with CE + weight * E, or do nothing if that has been done; leaves `folder/model.pt`."""

    def network(self, folder: Path) -> nn.Module:
        """What a training left, for inference."""

    def views(self, section: str) -> Views:
        """A section: `validation` or `test`."""

    def step(self, weight: float) -> Callable[[], object]:
        """One update on a mini-batch of the real size with a network of its own, to be called repeatedly."""


def score(task: Task, prediction: NDArray[Any], truth: NDArray[Any]) -> dict[str, float]:
    """Dice and boundary F of one image, means over the structures; with several, also of each.

    Args:
        task: names the structures and the tolerance.
        prediction: label map.
        truth: label map, same shape.
    """
    found: dict[str, dict[str, float]] = {"dice": {}, "boundary_f": {}}
    for structure, values in task.structures.items():
        mask, true = np.isin(prediction, values), np.isin(truth, values)
        found["dice"][structure] = case_metrics(mask, true, distances=False)["dice"]
        found["boundary_f"][structure] = boundary_f(mask, true, tolerance=task.tolerance)
    scores = {metric: float(np.mean(list(values.values()))) for metric, values in found.items()}
    if len(task.structures) > 1:
        for metric, each in found.items():
            scores |= {f"{metric}_{structure}": value for structure, value in each.items()}
    return scores
