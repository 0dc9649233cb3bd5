"""Grey pictures that were saved in colour."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform
from torch import Tensor


class SingleChannel(Transform):
    """Make one channel of the equal channels of a grey picture saved in colour; leave one channel as it is.

    JPG and PNG files often hold a grey image as red = green = blue, sometimes with an opaque fourth channel,
    which is dropped. After `LoadImage(ensure_channel_first=True)`.

    Args:
        tolerance: how far the colours of a pixel may lie apart, in the image's unit; compression of JPG files
            parts them by a few grey values.

    Raises:
        ValueError: the image is coloured, or has a number of channels that no picture has.

    Example:
        >>> import torch
        >>> grey = torch.full((3, 2, 2), 7.0)
        >>> SingleChannel()(grey).shape
        torch.Size([1, 2, 2])
    """

    def __init__(self, tolerance: float = 8.0) -> None:
        self.tolerance = tolerance

    def __call__(self, image: Tensor) -> Tensor:
        """The image `(1, *spatial)` of `(C, *spatial)`, with its metadata."""
        channels = image.shape[0]
        if channels == 1:
            return image
        if channels not in (2, 3, 4):
            raise ValueError(f"A picture has 1 to 4 channels, this image has {channels}: {_name(image)}.")
        colours = image[: channels - 1] if channels in (2, 4) else image
        spread = float((colours.amax(0) - colours.amin(0)).max())
        if spread > self.tolerance:
            raise ValueError(
                f"{_name(image)} is coloured (its channels differ by up to {spread:g}), but a grey image is "
                "needed: convert it, or check that this is the right file."
            )
        return colours.mean(0, keepdim=True)


class SingleChanneld(MapTransform):
    """Dictionary form of `SingleChannel`.

    Args:
        keys: keys of the images.
        tolerance: see `SingleChannel`.
        allow_missing_keys: see MONAI.

    Raises:
        ValueError: as `SingleChannel`.

    Example:
        >>> import torch
        >>> SingleChanneld("image")({"image": torch.ones(3, 4, 4)})["image"].shape
        torch.Size([1, 4, 4])
    """

    def __init__(
        self, keys: KeysCollection, tolerance: float = 8.0, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.convert = SingleChannel(tolerance)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Copy of the dictionary with images of one channel."""
        changed = dict(data)
        for key in self.key_iterator(changed):
            changed[key] = self.convert(changed[key])
        return changed


def _name(image: Tensor) -> str:
    return str(getattr(image, "meta", {}).get("filename_or_obj", "The image"))
