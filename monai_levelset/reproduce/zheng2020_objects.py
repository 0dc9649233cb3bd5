"""The objects of a section as a click network sees them, and its masks back on the images' own grids."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd
from numpy.typing import NDArray
from skimage.draw import polygon2mask
from torch import Tensor, nn

from monai_levelset.data import structure_items
from monai_levelset.data.datalist import Item
from monai_levelset.metrics.volume import load_label
from monai_levelset.transforms import ExtremePointsd, extreme_points

_BATCH = 8


@dataclass(frozen=True)
class ClickedObject:
    """One structure of one image.

    Attributes:
        item: of the data list, with `structure` and its `values`.
        data: what the transforms made of it: `image`, the network's input `(C, h, w)`, and `points`.
        truth: its mask on the image's own grid, axes (x, y).
        spacing: of that grid, mm; 1 where the file has none.
    """

    item: Item
    data: dict[Any, Any]
    truth: NDArray[np.bool_]
    spacing: tuple[float, ...]


class ClickedObjects:
    """The objects of some slices, clicked, cut out and given to a network; with the bundle's transforms.

    Args:
        files: the bundle's training configuration with its overrides.
        items: slices with their label, see `training_items`.
        structures: structure -> its label values. A structure that a slice does not hold is left out.
        noise: largest displacement of a click along either axis, as a part of the object's mean extent. It is
            drawn by the object's name, so that every network gets the same clicks.
        only: names of the objects that are taken; None: all.
    """

    def __init__(
        self,
        files: Sequence[str],
        items: Sequence[Item],
        structures: Mapping[str, Sequence[int]],
        *,
        noise: float = 0.0,
        only: Collection[str] | None = None,
    ) -> None:
        parser = ConfigParser()
        parser.read_config(list(files))
        steps = parser.get_parsed_content("preprocessing")
        self.prepare = Compose([step for step in steps if not isinstance(step, ExtremePointsd)])
        self.crop = Compose(parser.get_parsed_content("validate#crop"))
        self.whole = Compose([*self.prepare.transforms, *self.crop.transforms])
        chosen = [item for item in structure_items(items, structures) if only is None or item["id"] in only]
        found = (self._object(item, noise) for item in chosen)
        self.objects = [each for each in found if each is not None]

    def _object(self, item: Item, noise: float) -> ClickedObject | None:
        data = self.prepare(item)
        if not bool(data["label"].any()):
            return None
        data["points"] = clicks(data["label"][0], noise, seed=item["id"])
        label = load_label(item["label"])
        values = list(item["values"])
        truth = np.isin(label.array, values) if len(np.unique(label.array)) > 2 else label.array > 0
        return ClickedObject(item, self.crop(data), truth, item.get("spacing") or label.spacing)

    def probabilities(self, network: nn.Module) -> list[NDArray[np.float32]]:
        """Probability of every object on its image's own grid, axes (x, y)."""
        network.eval()
        inputs = [torch.as_tensor(each.data["image"].as_tensor()) for each in self.objects]
        found: list[NDArray[np.float32]] = []
        with torch.no_grad():
            for start in range(0, len(inputs), _BATCH):
                scores = network(torch.stack(inputs[start : start + _BATCH]))[:, 1:]
                chosen = self.objects[start : start + _BATCH]
                found += [self.laid_back(*pair) for pair in zip(chosen, scores, strict=True)]
        return found

    def laid_back(self, each: ClickedObject, map_: Tensor) -> NDArray[np.float32]:
        """A map `(1, h, w)` of the crop on the image's own grid; 0 outside the crop."""
        back = Invertd("pred", self.whole, orig_keys="image", nearest_interp=False)
        item: dict[Any, Any] = {"image": each.data["image"], "pred": MetaTensor(map_.float())}
        return np.asarray(back(item)["pred"][0], np.float32)


def clicks(mask: Tensor, noise: float, *, seed: str) -> Tensor:
    """Extreme points of a mask `(H, W)`, moved by at most so much of its mean extent.

    Example:
        >>> mask = torch.zeros(40, 40)
        >>> mask[10:30, 10:30] = 1
        >>> exact, noisy = clicks(mask, 0.0, seed="a"), clicks(mask, 0.1, seed="a")
        >>> bool((exact - noisy).abs().max() <= 12), torch.equal(noisy, clicks(mask, 0.1, seed="a"))
        (True, True)
    """
    exact = extreme_points(mask)
    if noise == 0:
        return exact
    extent = float((exact[1, 0] - exact[0, 0] + exact[3, 1] - exact[2, 1]) / 2 + 1)
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:6], "big")
    return extreme_points(mask, jitter=noise * extent, generator=torch.Generator().manual_seed(number))


def ellipse(points: Tensor, shape: Sequence[int]) -> NDArray[np.bool_]:
    """Four quarter ellipses from click to click, filled: what the clicks alone tell.

    The quarter between two neighbouring clicks meets the row of the top or bottom one and the column of the
    left or right one there, so the contour passes through all four and is smooth.

    Args:
        points: `(4, 2)` (row, column): top, bottom, left, right.
        shape: of the mask.

    Example:
        >>> points = torch.tensor([[2.0, 4.0], [6.0, 4.0], [4.0, 1.0], [4.0, 7.0]])
        >>> ellipse(points, (9, 9)).sum(0).tolist()
        [0, 3, 5, 5, 5, 5, 5, 3, 0]
    """
    top, bottom, left, right = points.double().numpy()
    mask = polygon2mask(tuple(shape), np.stack([top, right, bottom, left]))
    rows, columns = np.arange(shape[0])[:, None], np.arange(shape[1])
    for (end, column), (row, side) in itertools.product((top, bottom), (left, right)):
        down, across = _share(rows, row, end), _share(columns, column, side)
        mask |= (down >= 0) & (across >= 0) & (down**2 + across**2 <= 1)
    return np.asarray(mask)


def _share(x: NDArray[Any], start: float, end: float) -> NDArray[Any]:
    """How far pixels lie from `start` towards `end`: 0 there, 1 at the outer edge of the end's pixel."""
    way = 1.0 if end >= start else -1.0
    return (x - start) * way / (abs(end - start) + 0.5)


def network_of(files: Sequence[str], weights: Path) -> nn.Module:
    """A trained network of a configuration."""
    parser = ConfigParser()
    parser.read_config(list(files))
    network: nn.Module = parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(weights, weights_only=True))
    return network
