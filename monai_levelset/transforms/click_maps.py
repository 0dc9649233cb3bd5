"""Maps of a user's clicks as further channels of the image."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from torch import Tensor

from monai_levelset.transforms.confidence_map import _meet, confidence_map, extreme_point_heatmap

Channel = Literal["heatmap", "confidence"]
Variant = Literal["zheng", "khan"]


def click_maps(
    points: Tensor,
    shape: Sequence[int],
    *,
    channels: Sequence[Channel] = ("heatmap", "confidence"),
    variant: Variant = "zheng",
    fwhm: float = 10.0,
) -> Tensor:
    """Heat map and confidence map of none to four clicks.

    `heatmap` is `extreme_point_heatmap` of the clicks there are, 0 everywhere without any. `confidence` is
    `confidence_map` of four clicks; where a click is missing, or the segments between opposite clicks do not
    meet in one point, it is the heat map, so that there is a map for every click a viewer sends.

    Args:
        points: `(4, 2)` (row, column), pixels, ordered as by `extreme_points`; NaN where one is missing. Or
            `(N, 4, 2)`, those of N slices.
        shape: (H, W) of the image.
        channels: which maps, in which order.
        variant: see `confidence_map`.
        fwhm: width of a click in the heat map, pixels; see `extreme_point_heatmap`.

    Returns:
        `(len(channels), H, W)` in [0, 1], float32; of N slices `(len(channels), H, W, N)`.

    Raises:
        ValueError: `points` is neither `(4, 2)` nor `(N, 4, 2)`; unknown channels or `variant`; `fwhm` not
            positive.

    Example:
        >>> points = torch.tensor([[0.0, 2.0], [4.0, 2.0], [2.0, 0.0], [2.0, 4.0]])
        >>> click_maps(points, (5, 5), channels=["confidence"])[0, 2]
        tensor([0.5000, 0.6667, 1.0000, 0.6667, 0.5000])
        >>> points[1:] = torch.nan
        >>> click_maps(points, (5, 5), channels=["confidence"], fwhm=4.0)[0, 0]
        tensor([0.5000, 0.8409, 1.0000, 0.8409, 0.5000])
    """
    _check(channels, variant)
    p = torch.as_tensor(points)
    p = (p.as_tensor() if isinstance(p, MetaTensor) else p).float().cpu()
    if p.ndim == 3 and len(p):
        return torch.stack([_maps(four, shape, channels, variant, fwhm) for four in p], -1)
    return _maps(p, shape, channels, variant, fwhm)


def _maps(
    points: Tensor, shape: Sequence[int], channels: Sequence[Channel], variant: Variant, fwhm: float
) -> Tensor:
    p = points[None]
    there = p.isfinite().all(2)
    # A click that is missing repeats one that is there, which changes no maximum over the clicks.
    known = p.where(there[..., None], p[there][0] if there.any() else 0)
    heatmap = extreme_point_heatmap(known, shape, fwhm=fwhm) * there.any()
    maps = {"heatmap": heatmap, "confidence": heatmap}
    if there.all() and _meet(p):
        maps["confidence"] = confidence_map(p, shape, variant=variant)
    return torch.cat([maps[name][0] for name in channels])


class ClickMapsd(MapTransform):
    """Append maps of the clicks to the image, as channels for a network.

    Args:
        keys: key of the image, `(C, H, W)`, or of N crops `(C, H, W, N)`, as `ClickSlicesd` makes them.
        points_key: the clicks `(4, 2)` or `(N, 4, 2)`, in pixels of that image; see `click_maps`.
        channels: see `click_maps`; none leaves the image as it is, as for a network without clicks.
        variant: see `click_maps`.
        fwhm: see `click_maps`.
        allow_missing_keys: see MONAI.

    Raises:
        ValueError: see `click_maps`; on calling, an image that is neither, or points of another number.

    Example:
        >>> data = {"image": torch.rand(3, 32, 32), "points": torch.full((4, 2), torch.nan)}
        >>> ClickMapsd("image")(data)["image"].shape
        torch.Size([5, 32, 32])
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        points_key: str = "points",
        channels: Sequence[Channel] = ("heatmap", "confidence"),
        variant: Variant = "zheng",
        fwhm: float = 10.0,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        _check(channels, variant)
        self.points_key, self.channels, self.variant, self.fwhm = points_key, tuple(channels), variant, fwhm

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Copy of the dictionary, the image being `(C + len(channels), H, W)` or `(..., H, W, N)`."""
        changed = dict(data)
        for key in self.key_iterator(changed) if self.channels else ():
            image = changed[key]
            points = changed[self.points_key]
            _check_image(key, image.shape, points.shape)
            plain = image.as_tensor() if isinstance(image, MetaTensor) else torch.as_tensor(image)
            plain = plain if plain.is_floating_point() else plain.float()
            maps = click_maps(
                points,
                image.shape[1:3],
                channels=self.channels,
                variant=self.variant,
                fwhm=self.fwhm,
            )
            joined = torch.cat([plain, maps.to(plain)])
            changed[key] = (
                MetaTensor(joined).copy_meta_from(image) if isinstance(image, MetaTensor) else joined
            )
        return changed


def _check(channels: Sequence[str], variant: str) -> None:
    if isinstance(channels, str) or not set(channels) <= {"heatmap", "confidence"}:
        raise ValueError(f"`channels` are 'heatmap' and 'confidence', got {channels!r}.")
    if variant not in ("zheng", "khan"):
        raise ValueError(f"`variant` must be 'zheng' or 'khan', got {variant!r}.")


def _check_image(key: Hashable, image: Sequence[int], points: Sequence[int]) -> None:
    if len(image) not in (3, 4) or tuple(points) != (*image[3:], 4, 2):
        raise ValueError(
            f"'{key}' must be a slice (C, H, W) with points (4, 2), or N slices (C, H, W, N) with points "
            f"(N, 4, 2), got the shapes {tuple(image)} and {tuple(points)}."
        )
