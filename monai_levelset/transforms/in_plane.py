"""Preprocessing that treats every slice alike, whether it comes as a 2D image or within a volume."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor, get_track_meta
from monai.transforms import CenterSpatialCrop, CenterSpatialCropd, MapTransform, Transform
from torch import Tensor


class InPlaneCenterCrop(CenterSpatialCrop):
    """Crop the first two spatial axes around their centre and keep any further axis whole; invertible.

    `monai.transforms.CenterSpatialCrop` for images and volumes with one setting. Images smaller than the crop
    keep their size.

    Args:
        roi_size: (height, width) in pixels.

    Raises:
        ValueError: `roi_size` does not hold two numbers.

    Example:
        >>> import torch
        >>> crop = InPlaneCenterCrop((4, 6))
        >>> crop(torch.zeros(1, 8, 8)).shape, crop(torch.zeros(1, 8, 8, 5)).shape
        (torch.Size([1, 4, 6]), torch.Size([1, 4, 6, 5]))
    """

    def __init__(self, roi_size: Sequence[int], **kwargs: Any) -> None:
        if len(roi_size) != 2:
            raise ValueError(f"`roi_size` is (height, width), got {roi_size!r}.")
        super().__init__(tuple(roi_size), **kwargs)

    def compute_slices(self, spatial_size: Sequence[int]) -> tuple[slice, ...]:  # type: ignore[override]
        """Slices of the crop for an image of this size."""
        whole = tuple(spatial_size[2:])
        return CenterSpatialCrop((*self.roi_size, *whole)).compute_slices(spatial_size)  # type: ignore[misc]


class InPlaneCenterCropd(CenterSpatialCropd):
    """Dictionary form of `InPlaneCenterCrop`.

    Example:
        >>> import torch
        >>> InPlaneCenterCropd("image", (4, 4))({"image": torch.zeros(1, 8, 8, 5)})["image"].shape
        torch.Size([1, 4, 4, 5])
    """

    def __init__(
        self, keys: KeysCollection, roi_size: Sequence[int], allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, roi_size, allow_missing_keys)
        self.cropper = InPlaneCenterCrop(roi_size)


class NormalizeSlices(Transform):
    """Clip every slice to its percentiles, then shift and scale it to mean 0 and standard deviation 1.

    MR intensities have no unit and a few bright pixels (fat near the coil) may set their range; a slice of a
    volume is treated exactly as the same slice alone.

    Args:
        lower: lower percentile.
        upper: upper percentile.

    Raises:
        ValueError: the percentiles are not in order within [0, 100].

    Example:
        >>> import torch
        >>> slices = NormalizeSlices()(torch.rand(1, 32, 32, 3) * 100)
        >>> bool(slices.mean((0, 1, 2)).abs().max() < 1e-5)
        True
    """

    def __init__(self, lower: float = 1.0, upper: float = 99.0) -> None:
        if not 0 <= lower < upper <= 100:
            raise ValueError(f"Percentiles must satisfy 0 <= lower < upper <= 100, got {lower} and {upper}.")
        self.lower, self.upper = lower, upper

    def __call__(self, image: Tensor) -> Tensor:
        """Normalised copy of `(C, H, W)` or `(C, H, W, D)`; constant slices become 0."""
        pixels = torch.as_tensor(image).float()
        plain = pixels.as_tensor() if isinstance(pixels, MetaTensor) else pixels
        if plain.ndim == 3:
            normalized = self._slice(plain)
        else:
            normalized = torch.stack([self._slice(part) for part in plain.unbind(-1)], -1)
        if isinstance(image, MetaTensor) and get_track_meta():
            return MetaTensor(normalized).copy_meta_from(image)
        return normalized

    def _slice(self, pixels: Tensor) -> Tensor:
        flat = pixels.flatten(1)
        limits = torch.quantile(flat, flat.new_tensor([self.lower, self.upper]) / 100, dim=1, keepdim=True)
        flat = flat.clamp(limits[0], limits[1])
        flat = flat - flat.mean(1, keepdim=True)
        flat = flat / flat.std(1, correction=0, keepdim=True).clamp_min(1e-6)
        return flat.where(limits[0] < limits[1], 0).view_as(pixels)


class NormalizeSlicesd(MapTransform):
    """Dictionary form of `NormalizeSlices`.

    Example:
        >>> import torch
        >>> NormalizeSlicesd("image")({"image": torch.ones(1, 4, 4)})["image"].abs().max()
        tensor(0.)
    """

    def __init__(
        self,
        keys: KeysCollection,
        lower: float = 1.0,
        upper: float = 99.0,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.normalize = NormalizeSlices(lower, upper)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Copy of the dictionary with normalised images."""
        changed = dict(data)
        for key in self.key_iterator(changed):
            changed[key] = self.normalize(changed[key])
        return changed


class FillLabeld(MapTransform):
    """Give an unlabelled item a label of zeros, so that labelled and unlabelled items make one mini-batch.

    The zeros are never trained on: `labeled` is 0 for such an item and 1 otherwise.

    Args:
        keys: key of the label.
        image_key: the image whose grid the label takes.

    Example:
        >>> import torch
        >>> item = FillLabeld("label")({"image": torch.rand(3, 4, 4)})
        >>> item["label"].shape, item["labeled"]
        (torch.Size([1, 4, 4]), 0)
    """

    def __init__(self, keys: KeysCollection, image_key: str = "image") -> None:
        super().__init__(keys, allow_missing_keys=True)
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Copy of the dictionary with `label` and `labeled`."""
        filled = dict(data)
        filled["labeled"] = int(all(key in filled for key in self.keys))
        for key in self.keys:
            if key not in filled:
                filled[key] = torch.zeros_like(filled[self.image_key][:1])
        return filled
