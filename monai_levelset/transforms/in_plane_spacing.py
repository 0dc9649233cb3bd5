"""Resample slices to one pixel size, averaging where pixels become larger; invertible."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform, Resize
from monai.transforms.spatial.functional import resize
from monai.utils import TraceKeys
from torch import Tensor

_NEAREST = ("nearest", "nearest-exact")


class InPlaneSpacing(Resize):
    """Bring the first two spatial axes to a pixel size and keep any further axis.

    Pixels that become larger are averaged. `monai.transforms.Spacing` samples points instead, which makes CT
    of 0.7 mm several times as noisy at 4 mm as an average is. The size is rounded to whole pixels, so the
    pixel size is met up to half a pixel of the image's width; the affine says exactly what it became.

    The inverse interpolates linearly, so that a probability or soft mask comes back smooth: threshold it
    after the inversion.

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
        super().__init__(spatial_size=-1)
        self.pixdim = tuple(float(size) for size in pixdim)

    def __call__(self, img: Tensor, *_: Any, **__: Any) -> Tensor:
        """Resampled `(C, H, W)` or `(C, H, W, D)`, float32."""
        now = img.pixdim[:2].tolist() if isinstance(img, MetaTensor) else [1.0, 1.0]
        pairs = zip(img.shape[1:3], now, self.pixdim, strict=True)
        size = tuple(max(1, round(n * have / want)) for n, have, want in pairs)
        averaged = size[0] <= img.shape[1] and size[1] <= img.shape[2]
        mode = "area" if averaged else _linear(img)
        whole = (*size, *img.shape[3:])
        info = self.get_transform_info()
        return resize(img, whole, mode, None, torch.float32, img.ndim - 1, False, None, False, info)

    def inverse_transform(self, data: Tensor, transform: Mapping[str, Any]) -> Tensor:
        """The image's grid again; see the class."""
        recorded = transform[TraceKeys.EXTRA_INFO]["mode"]
        back = Resize(
            transform[TraceKeys.ORIG_SIZE], mode=recorded if recorded in _NEAREST else _linear(data)
        )
        with back.trace_transform(False):
            return back(data)


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


def _linear(image: Tensor) -> str:
    return "bilinear" if image.ndim == 3 else "trilinear"
