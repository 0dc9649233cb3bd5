"""The clicks of a user, drawn for a whole mini-batch, and the network's input that follows from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from monai.utils import ensure_tuple_rep
from torch import Tensor

from monai_levelset.transforms.batch_augmentation import _share, _uniform
from monai_levelset.transforms.click_box import _check as _check_box
from monai_levelset.transforms.click_maps import Channel, Variant
from monai_levelset.transforms.click_maps import _check as _check_maps
from monai_levelset.transforms.confidence_map import confidence_map, extreme_point_heatmap
from monai_levelset.transforms.extreme_points import _check_jitter


def batch_extreme_points(masks: Tensor, *, jitter: float = 0.0) -> Tensor:
    """Top, bottom, left and right point of each of many masks, as clicks of a user.

    `extreme_points(mask, jitter=...)` for a mini-batch, on its device and without waiting for it: of several
    pixels in the extreme row or column one is drawn, then each point is moved by a uniform number of pixels
    in [-jitter, jitter] along either axis, no further than the image's border. Random numbers come from
    torch's global generators; in a distributed run every rank takes its share of those of the global batch,
    as `BatchAugmentation` does.

    Args:
        masks: `(B, H, W)`, not 0 inside.
        jitter: largest displacement, pixels.

    Returns:
        `(B, 4, 2)` (row, column), float32, ordered as by `extreme_points`; NaN for an empty mask.

    Raises:
        ValueError: wrong shape, or a negative `jitter`.

    Example:
        >>> masks = torch.zeros(2, 6, 8)
        >>> masks[0, 3, 2:7] = 1
        >>> batch_extreme_points(masks)[:, 2:].tolist()
        [[[3.0, 2.0], [3.0, 6.0]], [[nan, nan], [nan, nan]]]
    """
    if masks.ndim != 3:
        raise ValueError(f"`masks` must be (B, H, W), got shape {tuple(masks.shape)}.")
    _check_jitter(jitter)
    inside = masks != 0
    rows, columns = _ends(inside), _ends(inside.transpose(1, 2)).flip(2)
    points = torch.cat([rows, columns], 1)
    points = points + jitter * _uniform(points, len(points), 4, 2)
    last = torch.tensor(masks.shape[1:], device=masks.device) - 1.0
    return torch.where(inside.flatten(1).any(1)[:, None, None], points.clamp_min(0).minimum(last), torch.nan)


def _ends(inside: Tensor) -> Tensor:
    """A pixel drawn from the first and one from the last row that holds any, `(B, 2, 2)`."""
    held = inside.any(2).to(torch.uint8)
    ends = torch.stack([held.argmax(1), held.shape[1] - 1 - held.flip(1).argmax(1)], 1)
    lines = inside.gather(1, ends[..., None].expand(-1, -1, inside.shape[2]))
    score = _share(torch.rand, ends.float(), tuple(lines.shape), 0)
    drawn = torch.where(lines, score, -1.0).argmax(2)
    return torch.stack([ends, drawn], 2).float()


class SimulatedClicks:
    """Click the object of every item of a mini-batch, cut it out by the clicks, append their maps.

    The training side of `ExtremePointsd`, `ClickBoxCropd` and `ClickMapsd`, which do the same for one image:
    all items at once, on their device, with new clicks each time. The mini-batch holds views of the objects
    with some surroundings; the views may lie further out than the clicks' boxes ever reach, what is missing
    is filled with 0. An item without object is shown whole, without clicks.

    Args:
        size: (height, width) of the network's input, or one number for both.
        margin: pixels of the view around the clicks; see `click_box`.
        margin_ratio: further margin as a part of the clicks' extent along each axis.
        min_size: least height and width of a box, pixels of the view.
        jitter: largest displacement of a click along either axis, pixels of the view. Zheng et al.: 5.
        channels: maps that are appended; see `click_maps`.
        variant: see `confidence_map`.
        fwhm: width of a click in the heat map, pixels of the result.
        augment: (images, labels) -> (images, labels) of the views, before the clicks, such as
            `BatchAugmentation`.
        normalize: maps the channels of all crops, `(B * C, *size)`, each by itself, before the maps are
            appended; `NormalizeSlices()` where the network meets crops that are normalised each by itself.

    Raises:
        ValueError: a number out of range or an unknown name; on calling, a label with several channels.

    Example:
        >>> image, label = torch.rand(2, 3, 48, 48), torch.zeros(2, 1, 48, 48)
        >>> label[:, :, 10:30, 20:40] = 1
        >>> inputs, masks = SimulatedClicks(32)(image, label)
        >>> inputs.shape, masks.shape
        (torch.Size([2, 5, 32, 32]), torch.Size([2, 1, 32, 32]))
    """

    def __init__(
        self,
        size: Sequence[int] | int,
        *,
        margin: int = 0,
        margin_ratio: float = 0.2,
        min_size: int = 16,
        jitter: float = 5.0,
        channels: Sequence[Channel] = ("heatmap", "confidence"),
        variant: Variant = "zheng",
        fwhm: float = 10.0,
        augment: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None,
        normalize: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.size = tuple(int(n) for n in ensure_tuple_rep(size, 2))
        _check_box(margin, margin_ratio, min(min_size, *self.size))
        _check_jitter(jitter)
        _check_maps(channels, variant)
        self.margin, self.margin_ratio, self.min_size, self.jitter = margin, margin_ratio, min_size, jitter
        self.channels, self.variant, self.fwhm = tuple(channels), variant, fwhm
        self.augment, self.normalize = augment, normalize

    def __call__(self, image: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs `(B, C + len(channels), *size)` and masks 0 or 1 `(B, 1, *size)` of `(B, C, H, W)`."""
        if label.ndim != 4 or label.shape[1] != 1:
            raise ValueError(f"The label must be one mask per item, (B, 1, H, W), got {tuple(label.shape)}.")
        if self.augment is not None:
            image, label = self.augment(image, label)
        points = batch_extreme_points(label[:, 0] > 0.5, jitter=self.jitter)
        low, high = self._box(points, label)
        grid = self._grid(low, high, label)
        crop = F.grid_sample(image, grid, align_corners=False)
        if self.normalize is not None:
            crop = self.normalize(crop.flatten(0, 1)).view_as(crop)
        mask = (F.grid_sample(label.to(image.dtype), grid, align_corners=False) > 0.5).to(image.dtype)
        scale = label.new_tensor(self.size) / (high - low)
        clicks = (points + 0.5 - low[:, None]) * scale[:, None] - 0.5
        return torch.cat([crop, *self._maps(clicks)], 1), mask

    def _box(self, points: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """First and last edge of each item's box, `(B, 2)`, in pixels of the view."""
        first, last = points.amin(1), points.amax(1) + 1
        around = self.margin + self.margin_ratio * (last - first - 1)
        around = torch.maximum(around, (self.min_size - (last - first)) / 2)
        whole = label.new_tensor(label.shape[2:])
        return (first - around).nan_to_num(0.0), torch.where(last.isnan(), whole, last + around)

    def _grid(self, low: Tensor, high: Tensor, label: Tensor) -> Tensor:
        """Where `grid_sample` looks, `(B, *size, 2)` (x, y)."""
        lines = []
        for axis, (n, whole) in enumerate(zip(self.size, label.shape[2:], strict=True)):
            centre = (torch.arange(n, device=low.device) + 0.5) / n
            edge = low[:, axis, None] + (high - low)[:, axis, None] * centre
            lines.append(2 * edge / whole - 1)
        y, x = lines
        return torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), 3)

    def _maps(self, clicks: Tensor) -> list[Tensor]:
        there = clicks.isfinite().flatten(1).all(1)[:, None, None, None]
        known = clicks.nan_to_num(0.0)
        maps = []
        for name in self.channels:
            if name == "heatmap":
                found = extreme_point_heatmap(known, self.size, fwhm=self.fwhm)
            else:
                found = confidence_map(known, self.size, variant=self.variant)
            maps.append(torch.where(there, found, 0.0))
        return maps
