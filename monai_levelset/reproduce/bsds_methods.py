"""The rows of the label-free table: each turns a picture into a map of classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from monai_levelset.levelset import multiphase_chan_vese, phase_labels
from monai_levelset.losses import MumfordShahLoss
from monai_levelset.per_image import PerImageOptimizer

#: Longest side, in pixels, of the picture that the per-image rows and the level set work on.
SIZE = 96
#: Row -> what it needs; JSON only, so that it can be compared with what a finished run was made with.
ROWS: dict[str, dict[str, Any]] = {
    "4-phase level set": {"method": "level set", "size": SIZE, "length_weight": 0.05, "steps": 200},
    "per-image optimisation": {"method": "per image"},
    "per-image optimisation + Mumford-Shah": {
        "method": "per image",
        "loss": {"tv_weight": 0.02, "bias_field": True, "bias_weight": 0.1},
    },
    "per-image optimisation + Mumford-Shah without bias": {
        "method": "per image",
        "loss": {"tv_weight": 0.02},
    },
    "U-Net + Mumford-Shah": {"method": "U-Net", "bias_field": True},
    "U-Net + Mumford-Shah without bias": {"method": "U-Net", "bias_field": False},
}
#: Of the per-image rows.
PER_IMAGE: dict[str, Any] = {
    "classes": 8,
    "width": 32,
    "layers": 2,
    "steps": 60,
    "superpixels": 1000,
    "size": SIZE,
}
#: Of those with the loss: what it weighs against the superpixels.
WITH_LOSS: dict[str, Any] = {"superpixel_weight": 0.3, "beta": 30.0}


def row_settings(row: str, steps: int | None) -> dict[str, Any]:
    """All that determines a row's maps, but for the seed and, for the U-Net, its weights.

    Args:
        row: one of `ROWS`.
        steps: updates per image; None: as many as the table has.
    """
    settings = dict(ROWS[row])
    if settings["method"] == "per image":
        settings = {**PER_IMAGE, **(WITH_LOSS if "loss" in settings else {}), **settings}
        settings["steps"] = settings["steps"] if steps is None else steps
    return settings


def class_map(
    image: Tensor, settings: Mapping[str, Any], *, seed: int = 0, network: torch.nn.Module | None = None
) -> NDArray[np.int64]:
    """The class of each pixel.

    Args:
        image: CIELAB / 100, `(3, W, H)`.
        settings: of `row_settings`.
        seed: of the per-image network.
        network: of a U-Net row.

    Returns:
        Classes `(W, H)`; which class is which means nothing.
    """
    options = {name: value for name, value in settings.items() if name != "method"}
    if settings["method"] == "level set":
        return _level_set(image[None], **options)
    if settings["method"] == "U-Net":
        assert network is not None
        return _network(image[None], network, options["size"], options["classes"])
    loss = options.pop("loss", None)
    if loss is not None:
        loss = MumfordShahLoss(**loss, softmax=True, per_voxel=True, reduction="mean")
    scores = PerImageOptimizer(loss=loss, seed=seed, **options)(image[None])
    return _classes(scores[:, : options["classes"]], image)


def _level_set(image: Tensor, size: int, **options: Any) -> NDArray[np.int64]:
    """Vese and Chan's two level functions, brought to the picture's size before their signs are taken."""
    phi = multiphase_chan_vese(smaller(image, size), levels=2, **options).phi
    phi = F.interpolate(phi, size=image.shape[2:], mode="bilinear", align_corners=False)
    return np.asarray(phase_labels(phi)[0, 0].numpy(), np.int64)


@torch.no_grad()
def _network(image: Tensor, network: torch.nn.Module, size: int, classes: int) -> NDArray[np.int64]:
    return _classes(network(smaller(image, size))[:, :classes], image[0])


def _classes(scores: Tensor, image: Tensor) -> NDArray[np.int64]:
    soft = F.interpolate(scores, size=image.shape[1:], mode="bilinear", align_corners=False)
    return np.asarray(soft[0].argmax(0).numpy(), np.int64)


def smaller(image: Tensor, size: int) -> Tensor:
    """`(B, C, W, H)` with a longest side of `size` pixels, averaged; smaller images stay."""
    longest = max(image.shape[2:])
    if longest <= size:
        return image
    sides = [max(1, round(side * size / longest)) for side in image.shape[2:]]
    return F.interpolate(image, size=sides, mode="area")
