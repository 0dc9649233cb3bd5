"""Class probabilities become a map of connected regions; small ones join the neighbour most like them."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from numpy.typing import NDArray
from skimage.measure import label as connected_components
from torch import Tensor

Regions = NDArray[np.int64]


def connected_regions(labels: NDArray[Any]) -> Regions:
    """Number the connected pieces of equal label 0, 1, ...; pixels are neighbours across a face.

    Args:
        labels: class of each pixel, `(*spatial)`, 2D or 3D, whole numbers from 0 on.

    Returns:
        Region of each pixel.

    Example:
        >>> connected_regions(np.array([[0, 1, 0]]))
        array([[0, 1, 2]])
    """
    whole = np.asarray(labels, np.int64)
    return np.asarray(connected_components(whole, background=-1, connectivity=1), np.int64) - 1


def merge_small_regions(regions: Regions, image: NDArray[Any], min_share: float) -> Regions:
    """Merge regions that cover less than a share of the image, the smallest first.

    Each joins the neighbour whose mean colour, of all that it already absorbed, is nearest. With growing
    shares applied one after the other this gives a hierarchy from fine to coarse.

    Args:
        regions: numbered 0, 1, ..., `(*spatial)`, each connected.
        image: `(C, *spatial)`, in units in which distance means difference, such as CIELAB.
        min_share: smallest part of the image that a region may cover, in [0, 1).

    Returns:
        Regions, numbered 0, 1, ... without gaps.

    Raises:
        ValueError: the image is on another grid, or the share is out of range.

    Example:
        >>> row = np.array([[0.0, 0.0, 0.0, 0.4, 1.0, 1.0]])
        >>> merge_small_regions(connected_regions(row > 0) * 1 + (row > 0.5), row[None], 0.2)
        array([[0, 0, 0, 0, 1, 1]])
    """
    if not 0 <= min_share < 1:
        raise ValueError(f"`min_share` is a part of the image, in [0, 1), got {min_share}.")
    if image.shape[1:] != regions.shape:
        raise ValueError(f"`image` must be (C, *{regions.shape}), got {image.shape}.")
    count = int(regions.max()) + 1
    flat = regions.ravel()
    area = np.bincount(flat, minlength=count).astype(np.float64)
    total = np.stack([np.bincount(flat, channel.ravel(), count) for channel in image], 1)
    target = _merge(area, total, _neighbours(regions, count), min_share * regions.size)
    return np.unique(target[regions], return_inverse=True)[1].reshape(regions.shape)


def _neighbours(regions: Regions, count: int) -> list[set[int]]:
    pairs = []
    for axis in range(regions.ndim):
        along = np.moveaxis(regions, axis, 0)
        pairs.append(np.stack([along[1:].ravel(), along[:-1].ravel()], 1))
    faces = np.concatenate(pairs)
    faces = np.unique(np.sort(faces[faces[:, 0] != faces[:, 1]], axis=1), axis=0)
    found: list[set[int]] = [set() for _ in range(count)]
    for a, b in faces.tolist():
        found[a].add(b)
        found[b].add(a)
    return found


def _merge(area: NDArray[Any], total: NDArray[Any], near: list[set[int]], limit: float) -> Regions:
    """Region -> the region that it is part of in the end."""
    target = np.arange(len(area))
    waiting = [(size, region) for region, size in enumerate(area.tolist()) if size < limit]
    heapq.heapify(waiting)
    while waiting:
        size, region = heapq.heappop(waiting)
        if target[region] != region or area[region] != size or not near[region]:
            continue  # merged, or grown, since it was put here
        others = sorted(near[region])
        means = total[others] / area[others, None]
        chosen = others[int(((means - total[region] / size) ** 2).sum(1).argmin())]
        target[region] = chosen
        area[chosen] += size
        total[chosen] += total[region]
        for other in others:
            near[other].discard(region)
            if other != chosen:
                near[other].add(chosen)
                near[chosen].add(other)
        if area[chosen] < limit:
            heapq.heappush(waiting, (float(area[chosen]), chosen))
    while (target != target[target]).any():
        target = target[target]
    return target


class RegionMap(Transform):
    """Class probabilities, or scores, to a map of connected regions.

    argmax, connected pieces, and small pieces merged into the neighbour of nearest mean colour, see
    `merge_small_regions`. Classes that lie apart are different regions, as in ground truth drawn by people.

    Args:
        min_share: smallest part of the image that a region may cover.
        classes: use this many channels; default all. The others, such as a bias field, are left out.

    Raises:
        ValueError: see `merge_small_regions`.

    Example:
        >>> import torch
        >>> probability = torch.tensor([[[0.9, 0.9, 0.2, 0.9]], [[0.1, 0.1, 0.8, 0.1]]])
        >>> RegionMap(min_share=0)(probability, torch.rand(3, 1, 4))
        tensor([[[1, 1, 2, 3]]])
    """

    def __init__(self, min_share: float = 0.01, classes: int | None = None) -> None:
        self.min_share, self.classes = min_share, classes

    def __call__(self, probability: Tensor, image: Tensor) -> Tensor:  # type: ignore[override]
        """Regions numbered from 1 on, `(1, *spatial)`, of `(N, *spatial)` and the image `(C, *spatial)`."""
        labels = torch.as_tensor(probability[: self.classes]).argmax(0).cpu().numpy()
        colours = torch.as_tensor(image).cpu().numpy()
        regions = merge_small_regions(connected_regions(labels), colours, self.min_share)
        found = torch.from_numpy(regions + 1)[None]
        return MetaTensor(found).copy_meta_from(probability) if isinstance(probability, MetaTensor) else found


class RegionMapd(MapTransform):
    """Dictionary form of `RegionMap`.

    Args:
        keys: keys of the probabilities.
        image_key: the image on their grid, of any number of channels, such as `Photographd` gives.
        min_share: see `RegionMap`.
        classes: see `RegionMap`.
        allow_missing_keys: see MONAI.

    Example:
        >>> import torch
        >>> item = {"pred": torch.rand(2, 8, 8), "image": torch.rand(3, 8, 8)}
        >>> RegionMapd("pred", "image", min_share=0.6)(item)["pred"].unique()
        tensor([1])
    """

    def __init__(
        self,
        keys: KeysCollection,
        image_key: str = "image",
        min_share: float = 0.01,
        classes: int | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key = image_key
        self.region_map = RegionMap(min_share, classes)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Copy of the dictionary with region maps."""
        changed = dict(data)
        for key in self.key_iterator(changed):
            changed[key] = self.region_map(changed[key], changed[self.image_key])
        return changed
