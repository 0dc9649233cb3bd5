"""Resample slices to one pixel size, averaging where pixels become larger; invertible."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.data.meta_obj import get_track_meta
from monai.data.utils import to_affine_nd
from monai.transforms import InvertibleTransform, MapTransform, Transform
from monai.transforms.utils import scale_affine
from monai.utils import TraceKeys
from torch import Tensor

_NEAREST = ("nearest", "nearest-exact")
_MODE = "area"


class InPlaneSpacing(InvertibleTransform, Transform):
    """Bring the first two spatial axes to a pixel size and keep any further axis.

    Pixels that become larger are averaged. `monai.transforms.Spacing` samples points instead, which makes CT
    of 0.7 mm several times as noisy at 4 mm as an average is. Pixels that become smaller are interpolated
    linearly; each axis goes its own way. The size is rounded to whole pixels, so the pixel size is met up to
    half a pixel of the image's width; the affine says exactly what it became.

    The inverse resamples in the same manner, so that a probability or soft mask comes back smooth: threshold
    it after the inversion. `Invertd(nearest_interp=True)` repeats the nearest pixel instead.

    Args:
        pixdim: (first, second) pixel size, mm; in an image without spacing a pixel is 1 mm.

    Raises:
        ValueError: `pixdim` does not hold two positive numbers.

    Example:
        >>> import numpy as np, torch
        >>> from monai.data import MetaTensor
        >>> image = MetaTensor(torch.rand(1, 64, 48, 5), affine=np.diag([1.0, 1.0, 5.0, 1.0]))
        >>> transform = InPlaneSpacing((2.0, 4.0))
        >>> coarse = transform(image)
        >>> coarse.shape, transform.inverse(coarse).shape
        (torch.Size([1, 32, 12, 5]), torch.Size([1, 64, 48, 5]))
    """

    def __init__(self, pixdim: Sequence[float]) -> None:
        if len(pixdim) != 2 or not all(size > 0 for size in pixdim):
            raise ValueError(f"`pixdim` is (first, second) pixel size in mm, got {pixdim!r}.")
        self.pixdim = tuple(float(size) for size in pixdim)

    def __call__(self, img: Tensor) -> Tensor:
        """Resampled `(C, H, W)` or `(C, H, W, D)`, float32."""
        now = img.pixdim[:2].tolist() if isinstance(img, MetaTensor) else [1.0, 1.0]
        pairs = zip(img.shape[1:3], now, self.pixdim, strict=True)
        size = [max(1, round(n * have / want)) for n, have, want in pairs]
        out = _resample(_plain(img), size, _MODE)
        if not isinstance(img, MetaTensor) or not get_track_meta():
            return out
        whole = tuple(img.shape[1:])
        meta = self.track_transform_meta(
            img,
            sp_size=tuple(out.shape[1:]),
            affine=scale_affine(whole, tuple(out.shape[1:])),
            extra_info={"mode": _MODE},
            orig_size=whole,
            transform_info=self.get_transform_info(),
        )
        return MetaTensor(out).copy_meta_from(meta)

    def inverse(self, data: Tensor) -> Tensor:
        """The image's grid again; see the class."""
        transform = self.pop_transform(data)
        size = [int(n) for n in transform[TraceKeys.ORIG_SIZE]]
        out = _resample(_plain(data), size[:2], transform[TraceKeys.EXTRA_INFO]["mode"])
        if not isinstance(data, MetaTensor):
            return out
        back = MetaTensor(out).copy_meta_from(data)
        scale = scale_affine(tuple(data.shape[1:]), tuple(out.shape[1:]))
        back.affine = data.affine @ to_affine_nd(data.affine.shape[-1] - 1, torch.as_tensor(scale))
        return back


class InPlaneSpacingd(MapTransform, InvertibleTransform):
    """Dictionary form of `InPlaneSpacing`.

    Example:
        >>> import torch
        >>> InPlaneSpacingd("image", (2.0, 2.0))({"image": torch.ones(1, 8, 6)})["image"].shape
        torch.Size([1, 4, 3])
    """

    def __init__(
        self, keys: KeysCollection, pixdim: Sequence[float], allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.resample = InPlaneSpacing(pixdim)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Copy of the dictionary with resampled images."""
        changed = dict(data)
        for key in self.key_iterator(changed):
            changed[key] = self.resample(changed[key])
        return changed

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Copy of the dictionary on the images' grids."""
        back = dict(data)
        for key in self.key_iterator(back):
            back[key] = self.resample.inverse(back[key])
        return back


def _plain(image: Tensor) -> Tensor:
    return (image.as_tensor() if isinstance(image, MetaTensor) else torch.as_tensor(image)).float()


def _resample(image: Tensor, size: Sequence[int], mode: str) -> Tensor:
    """The first two spatial axes to `size`: averaged where they shrink, then interpolated where they grow."""
    rest = image.shape[3:]
    if mode in _NEAREST:
        return _interpolate(image, (*size, *rest), "nearest-exact")
    smaller = [min(n, m) for n, m in zip(image.shape[1:3], size, strict=True)]
    linear = "trilinear" if rest else "bilinear"
    return _interpolate(_interpolate(image, (*smaller, *rest), "area"), (*size, *rest), linear)


def _interpolate(image: Tensor, size: tuple[int, ...], mode: str) -> Tensor:
    if tuple(image.shape[1:]) == size:
        return image
    return F.interpolate(image[None], size=size, mode=mode)[0]
