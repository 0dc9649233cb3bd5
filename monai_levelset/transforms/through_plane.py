"""Bring the slices of a volume to the last axis, however the file stores them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.data.meta_obj import get_track_meta
from monai.transforms import InvertibleTransform, MapTransform
from torch import Tensor

from monai_levelset.data.grids import Grid
from monai_levelset.data.slices import through_plane_axis


class ThroughPlaneLast(InvertibleTransform):
    """Move the axis a volume was acquired along, the one of odd spacing, to the end; invertible.

    The other axes keep their order and no axis is flipped, so that a slice lies exactly as in training, where
    `monai_levelset.data.slice_items` cuts it. 2D images pass through.

    Example:
        >>> import numpy as np, torch
        >>> from monai.data import MetaTensor
        >>> volume = MetaTensor(torch.zeros(1, 9, 64, 48), affine=np.diag([8, 1.4, 1.4, 1]))
        >>> transform = ThroughPlaneLast()
        >>> moved = transform(volume)
        >>> moved.shape, transform.inverse(moved).shape
        (torch.Size([1, 64, 48, 9]), torch.Size([1, 9, 64, 48]))
    """

    def __call__(self, image: Tensor) -> Tensor:
        """Permuted `(C, H, W, D)` with its affine, of a volume; a 2D image `(C, H, W)` as it is."""
        if image.ndim != 4 or not isinstance(image, MetaTensor):
            return image
        axis = through_plane_axis(Grid(tuple(image.shape[1:]), image.affine.cpu().numpy()))
        moved = _move(image, axis, 2)
        if get_track_meta():
            self.push_transform(moved, extra_info={"axis": axis})
        return moved

    def inverse(self, image: Tensor) -> Tensor:
        """The axes in the file's order again."""
        if image.ndim != 4 or not isinstance(image, MetaTensor):
            return image
        axis = self.pop_transform(image)["extra_info"]["axis"]
        return _move(image, 2, axis)


class ThroughPlaneLastd(MapTransform, InvertibleTransform):
    """Dictionary form of `ThroughPlaneLast`.

    Example:
        >>> import numpy as np, torch
        >>> from monai.data import MetaTensor
        >>> volume = MetaTensor(torch.zeros(1, 9, 64, 48), affine=np.diag([8, 1.4, 1.4, 1]))
        >>> ThroughPlaneLastd("image")({"image": volume})["image"].pixdim
        tensor([1.4000, 1.4000, 8.0000], dtype=torch.float64)
    """

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.move = ThroughPlaneLast()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Copy of the dictionary with permuted volumes."""
        moved = dict(data)
        for key in self.key_iterator(moved):
            moved[key] = self.move(moved[key])
        return moved

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Copy of the dictionary with the axes in the file's order."""
        back = dict(data)
        for key in self.key_iterator(back):
            back[key] = self.move.inverse(back[key])
        return back


def _move(image: MetaTensor, source: int, target: int) -> MetaTensor:
    """Move a spatial axis, together with its column of the affine."""
    order = [axis for axis in range(3) if axis != source]
    order.insert(target, source)
    permuted = image.as_tensor().permute(0, *(1 + axis for axis in order)).contiguous()
    columns = torch.tensor([*order, 3], device=image.affine.device)
    moved = MetaTensor(permuted, meta=image.meta, applied_operations=image.applied_operations)
    moved.affine = image.affine[:, columns]
    return moved
