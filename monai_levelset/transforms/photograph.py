"""Pictures of any number of channels become colours a network can compare."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Literal

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from skimage.color import rgb2lab
from torch import Tensor

Colours = Literal["rgb", "lab"]


class Photograph(Transform):
    """Three colour channels of a picture: grey is repeated, an alpha channel dropped, the range made [0, 1].

    Args:
        colours: `rgb`, or `lab` for CIELAB divided by 100, in which distances are differences as people see
            them; its first channel is the lightness in [0, 1].

    Raises:
        ValueError: unknown colours; on calling, an image that has no picture's number of channels, that holds
            negative values or values above 65535.

    Example:
        >>> import torch
        >>> white = torch.full((1, 2, 2), 255.0)
        >>> Photograph()(white)[:, 0, 0].tolist(), Photograph("lab")(white)[:, 0, 0].abs().round().tolist()
        ([1.0, 1.0, 1.0], [1.0, 0.0, 0.0])
    """

    def __init__(self, colours: Colours = "rgb") -> None:
        if colours not in ("rgb", "lab"):
            raise ValueError(f"`colours` is 'rgb' or 'lab', got {colours!r}.")
        self.colours = colours

    def __call__(self, image: Tensor) -> Tensor:
        """`(3, *spatial)` float32 of `(C, *spatial)` with C from 1 to 4, of 8 or 16 bits or in [0, 1]."""
        if image.shape[0] not in (1, 2, 3, 4):
            raise ValueError(f"A picture has 1 to 4 channels, {_name(image)} has {image.shape[0]}.")
        rgb = image[:1].repeat(3, *[1] * (image.ndim - 1)) if image.shape[0] < 3 else image[:3]
        rgb = rgb.float() / _range(image)
        if self.colours == "rgb":
            return rgb
        plain = rgb.as_tensor() if isinstance(rgb, MetaTensor) else rgb
        lab = torch.from_numpy(rgb2lab(plain.cpu().numpy(), channel_axis=0).astype(np.float32) / 100)
        return MetaTensor(lab).copy_meta_from(rgb) if isinstance(rgb, MetaTensor) else lab


class Photographd(MapTransform):
    """Dictionary form of `Photograph`.

    Args:
        keys: keys of the pictures.
        colours: see `Photograph`.
        allow_missing_keys: see MONAI.

    Example:
        >>> import torch
        >>> Photographd("image")({"image": torch.zeros(4, 2, 2)})["image"].shape
        torch.Size([3, 2, 2])
    """

    def __init__(
        self, keys: KeysCollection, colours: Colours = "rgb", allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.convert = Photograph(colours)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Copy of the dictionary with colours."""
        changed = dict(data)
        for key in self.key_iterator(changed):
            changed[key] = self.convert(changed[key])
        return changed


def _range(image: Tensor) -> float:
    """What white is in this picture, judged by its brightest pixel."""
    low, high = float(image.min()), float(image.max())
    if low < 0 or high > 65535:
        raise ValueError(
            f"{_name(image)} holds values from {low:g} to {high:g}, but a picture those of 8 or 16 bits. "
            "Convert it."
        )
    return 1.0 if high <= 1 else 255.0 if high <= 255 else 65535.0


def _name(image: Tensor) -> str:
    return str(getattr(image, "meta", {}).get("filename_or_obj", "the image"))
