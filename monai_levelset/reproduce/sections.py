"""A section of the data as arrays, to score networks on the images' own grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd
from numpy.typing import NDArray
from torch import Tensor, nn

from monai_levelset.data import load_section
from monai_levelset.metrics import Case, evaluate_arrays
from monai_levelset.metrics.volume import load_label
from monai_levelset.reproduce.targets import Target

_BATCH = 12


@dataclass(frozen=True)
class Section:
    """Preprocessed images, of one size, and whole labels.

    Attributes:
        items: the data-list items.
        images: network inputs `(1, H, W)` that remember where they were cut from.
        labels: whole ground truths, bool, array axes (x, y).
        transform: what made `images`.
    """

    items: list[dict[str, Any]]
    images: list[Tensor]
    labels: list[NDArray[Any]]
    transform: Compose

    @classmethod
    def load(cls, target: Target, data: Path, section: str) -> Section:
        """Read a section and preprocess it as the bundle's validation does."""
        parser = ConfigParser()
        parser.read_config(target.files())
        steps = [name for name in ("preprocessing", "validate#crop") if name in parser]
        transform = Compose([step for name in steps for step in parser.get_parsed_content(name)])
        items = load_section(data, section)
        images = [transform(item)["image"] for item in items]
        return cls(items, images, [load_label(item["label"]).array > 0 for item in items], transform)

    def batch(self) -> Tensor:
        """All images `(N, C, H, W)`."""
        images = torch.stack([torch.as_tensor(image) for image in self.images])
        return _plain(images.contiguous(memory_format=torch.channels_last))

    def probabilities(self, network: nn.Module) -> Tensor:
        """Foreground probabilities `(N, 1, H, W)`."""
        network.eval()
        with torch.no_grad():
            return torch.cat([network(part).softmax(1)[:, 1:] for part in self.batch().split(_BATCH)])

    def refined(self, probabilities: Tensor, refine: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """`refine`, which gets probabilities and images, in batches."""
        parts = zip(probabilities.split(_BATCH), self.batch().split(_BATCH), strict=True)
        return torch.cat([refine(*part) for part in parts])

    def whole(self, maps: Tensor) -> list[NDArray[Any]]:
        """Where maps `(N, 1, H, W)`, laid back on the images' own grids, are above 1/2; bool."""
        return [self.laid_back(index, map_) > 0.5 for index, map_ in enumerate(maps)]

    def laid_back(self, index: int, map_: Tensor) -> NDArray[Any]:
        """A map `(1, H, W)` of an image on that image's own grid, axes (x, y); 0 where it was cropped."""
        back = Invertd("pred", self.transform, orig_keys="image", nearest_interp=False)
        item: dict[Any, Any] = {"image": self.images[index], "pred": MetaTensor(map_.float())}
        return np.asarray(back(item)["pred"][0])

    def score(self, masks: list[NDArray[Any]]) -> dict[str, Any]:
        """Dice, IoU, precision and recall per image and per patient, see `evaluate_arrays`."""
        cases = [
            Case(item["id"], mask, label, patient=item["patient"])
            for item, mask, label in zip(self.items, masks, self.labels, strict=True)
        ]
        return evaluate_arrays(cases, distances=False)


def _plain(batch: Tensor) -> Tensor:
    return batch.as_tensor() if hasattr(batch, "as_tensor") else batch
