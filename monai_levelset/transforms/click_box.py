"""Crop an image to the box of a user's clicks, and put results back."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor, get_track_meta
from monai.data.utils import to_affine_nd
from monai.transforms import InvertibleTransform, MapTransform, Transform
from monai.transforms.croppad.functional import crop_or_pad_nd
from monai.transforms.utils import create_translate, scale_affine
from monai.utils import TraceKeys, convert_to_tensor, ensure_tuple_rep
from torch import Tensor

from monai_levelset.transforms.in_plane_spacing import _resample

Box = tuple[tuple[int, int], tuple[int, int]]
"""(first row, row to stop before), (first column, column to stop before); may leave the image."""
Mode = Literal["area", "nearest"]


def click_box(
    points: Tensor,
    shape: Sequence[int],
    *,
    margin: int = 50,
    margin_ratio: float = 0.0,
    min_size: int = 16,
) -> Box:
    """The box of some points with so many pixels around it.

    Args:
        points: `(N, 2)` (row, column), pixels. Those with NaN or infinity do not count; a point outside the
            image counts as the pixel of the image next to it. Points may repeat or lie on one line.
        shape: (H, W) of the image.
        margin: pixels around the points on every side. Zheng et al. take 50.
        margin_ratio: a further margin as a part of the points' extent along each axis, rounded up to pixels;
            alone (`margin=0`) it shows the object equally large whatever the size of a pixel.
        min_size: least height and width of the box; a smaller one grows on both sides.

    Returns:
        The rows and columns of the box, which may leave the image; the whole image if there is no point.

    Raises:
        ValueError: `points` is not `(N, 2)`, a margin is negative or `min_size` below 1.

    Example:
        >>> points = torch.tensor([[3.0, 9.0], [8.0, 9.5], [torch.nan, torch.nan]])
        >>> click_box(points, (20, 20), margin=4, min_size=1)
        ((-1, 13), (5, 15))
        >>> click_box(points[2:], (20, 20))
        ((0, 20), (0, 20))
        >>> click_box(torch.tensor([[0.0, 5.0], [20.0, 25.0]]), (30, 30), margin=0, margin_ratio=0.2)
        ((-4, 25), (1, 30))
    """
    _check(margin, margin_ratio, min_size)
    there = clamp_points(points, shape)
    there = there[there.isfinite().all(1)]
    if len(there) == 0:
        return (0, shape[0]), (0, shape[1])
    first, last = there.amin(0), there.amax(0)
    around = margin + (margin_ratio * (last - first)).ceil().long()
    low, high = first.floor().long() - around, last.ceil().long() + around + 1
    lack = (min_size - (high - low)).clamp_min(0)
    low, high = low - lack // 2, high + lack - lack // 2
    rows, columns = zip(low.tolist(), high.tolist(), strict=True)
    return rows, columns


def clamp_points(points: Tensor, shape: Sequence[int]) -> Tensor:
    """Points `(N, 2)` moved to the nearest pixel of the image where they lie outside; NaN where not finite.

    Example:
        >>> clamp_points(torch.tensor([[-3.0, 2.0], [9.0, 4.5]]), (8, 8)).tolist()
        [[0.0, 2.0], [7.0, 4.5]]
    """
    p = torch.as_tensor(points)
    if p.ndim != 2 or p.shape[1] != 2:
        raise ValueError(f"`points` must be (N, 2): (row, column), got shape {tuple(p.shape)}.")
    p = (p.as_tensor() if isinstance(p, MetaTensor) else p).float().cpu()
    p = p.where(p.isfinite().all(1, keepdim=True), torch.nan)
    return p.clamp_min(0).minimum(torch.tensor(shape) - 1.0)


class ClickBoxCrop(InvertibleTransform, Transform):
    """Crop a slice to the box of its clicks and resize it; invertible.

    The box is `click_box`; where it leaves the image, pixels are added. Each axis is resized on its own, as
    Zheng et al. do: averaged where it shrinks, interpolated linearly where it grows, or by the nearest pixel.
    The inverse resizes in the same manner and fills what was not in the box with 0: a probability comes back
    smooth, a mask stays one with `nearest` or `Invertd(nearest_interp=True)`.

    Args:
        size: (height, width) of the result, or one number for both.
        margin: see `click_box`.
        margin_ratio: see `click_box`.
        min_size: least height and width of the box.
        padding_mode: what is outside the image: `constant` (0) or any other of `torch.nn.functional.pad`.

    Raises:
        ValueError: a size below 1, a negative margin or ratio; on calling, an image that is not `(C, H, W)`.

    Example:
        >>> points = torch.tensor([[10.0, 12.0], [20.0, 14.0], [15.0, 8.0], [15.0, 18.0]])
        >>> crop = ClickBoxCrop(32, margin=2)
        >>> part = crop(torch.rand(1, 40, 30), points)
        >>> part.shape, crop.inverse(part).shape
        (torch.Size([1, 32, 32]), torch.Size([1, 40, 30]))
    """

    def __init__(
        self,
        size: Sequence[int] | int,
        *,
        margin: int = 50,
        margin_ratio: float = 0.0,
        min_size: int = 16,
        padding_mode: str = "constant",
    ) -> None:
        self.size = tuple(int(n) for n in ensure_tuple_rep(size, 2))
        _check(margin, margin_ratio, min(min_size, *self.size))
        self.margin, self.margin_ratio = margin, margin_ratio
        self.min_size, self.padding_mode = min_size, padding_mode

    def box(self, points: Tensor, shape: Sequence[int]) -> Box:
        """The box of these points in an image of (H, W); see `click_box`."""
        return click_box(
            points, shape, margin=self.margin, margin_ratio=self.margin_ratio, min_size=self.min_size
        )

    def __call__(  # type: ignore[override]
        self, img: Tensor, points: Tensor, mode: Mode = "area"
    ) -> Tensor:
        """The part `(C, *size)` of an image `(C, H, W)`, float32, with `nearest` of the image's type."""
        image = convert_to_tensor(img, track_meta=get_track_meta())
        if image.ndim != 3:
            raise ValueError(f"The image must be a slice (C, H, W), got shape {tuple(image.shape)}.")
        whole = tuple(image.shape[1:])
        box = self.box(points, whole)
        sizes = tuple(stop - start for start, stop in box)
        shift = create_translate(2, [start for start, _ in box])
        part = crop_or_pad_nd(_plain(image), shift, sizes, self.padding_mode)
        out = _resized(part, self.size, mode)
        if not isinstance(image, MetaTensor):
            return out
        meta = self.track_transform_meta(
            image,
            sp_size=self.size,
            affine=shift @ scale_affine(sizes, self.size),
            extra_info={"mode": mode, "box": [list(ends) for ends in box]},
            orig_size=whole,
            transform_info=self.get_transform_info(),
        )
        return MetaTensor(out).copy_meta_from(meta)

    def inverse(self, data: Tensor) -> Tensor:
        """The image's grid again; 0 outside the box."""
        transform = self.pop_transform(data)
        info = transform[TraceKeys.EXTRA_INFO]
        (top, bottom), (left, right) = _as_box(info["box"])
        sizes, whole = (bottom - top, right - left), tuple(int(n) for n in transform[TraceKeys.ORIG_SIZE])
        shift = create_translate(2, [-top, -left])
        part = _resized(_plain(data), sizes, info["mode"])
        out = crop_or_pad_nd(part, shift, whole, "constant")
        if not isinstance(data, MetaTensor):
            return out
        back = MetaTensor(out).copy_meta_from(data)
        undo = torch.as_tensor(scale_affine(tuple(data.shape[1:]), sizes) @ shift)
        back.affine = data.affine @ to_affine_nd(data.affine.shape[-1] - 1, undo)
        return back


class ClickBoxCropd(MapTransform, InvertibleTransform):
    """Dictionary form of `ClickBoxCrop`; the points go along.

    Points outside the image are first moved to its nearest pixel, see `click_box`. They are then given in
    pixels of the cropped image; a full inverse of the dictionary takes them back too.

    Args:
        keys: image, and label if there is one, of the same height and width.
        size: see `ClickBoxCrop`.
        points_key: the points `(N, 2)`, as `ExtremePointsd` or `ClickPointsd` give them.
        margin: see `ClickBoxCrop`.
        margin_ratio: see `ClickBoxCrop`.
        min_size: see `ClickBoxCrop`.
        mode: `area` or `nearest` for all keys or one for each; labels need `nearest`.
        padding_mode: see `ClickBoxCrop`.
        allow_missing_keys: see MONAI.

    Raises:
        ValueError: see `ClickBoxCrop`; unknown `mode`; on calling, images of different sizes.

    Example:
        >>> points = torch.tensor([[10.0, 12.0], [20.0, 14.0], [15.0, 8.0], [15.0, 18.0]])
        >>> crop = ClickBoxCropd("image", 30, margin=2, min_size=1)
        >>> data = crop({"image": torch.rand(1, 40, 30), "points": points})
        >>> data["points"][:, 0].tolist()
        [4.5, 24.5, 14.5, 14.5]
        >>> crop.inverse(data)["points"][:, 0].tolist()
        [10.0, 20.0, 15.0, 15.0]
    """

    def __init__(
        self,
        keys: KeysCollection,
        size: Sequence[int] | int,
        *,
        points_key: str = "points",
        margin: int = 50,
        margin_ratio: float = 0.0,
        min_size: int = 16,
        mode: Mode | Sequence[Mode] = "area",
        padding_mode: str = "constant",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.crop = ClickBoxCrop(
            size, margin=margin, margin_ratio=margin_ratio, min_size=min_size, padding_mode=padding_mode
        )
        self.points_key, self.mode = points_key, ensure_tuple_rep(mode, len(self.keys))
        if not set(self.mode) <= {"area", "nearest"}:
            raise ValueError(f"`mode` is 'area' or 'nearest', got {mode!r}.")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Copy of the dictionary with cropped images and mapped points."""
        changed = dict(data)
        shapes = {key: tuple(changed[key].shape[1:]) for key in self.key_iterator(changed)}
        if len(set(shapes.values())) > 1:
            raise ValueError(f"The images of one crop must have one size, got {shapes}.")
        points = changed[self.points_key]
        for key, mode in self.key_iterator(changed, self.mode):
            changed[key] = self.crop(changed[key], points, mode)
        for shape in set(shapes.values()):
            scale, offset = _map(self.crop.box(points, shape), self.crop.size)
            changed[self.points_key] = clamp_points(points, shape) * scale + offset
        return changed

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Copy of the dictionary on the images' grid."""
        back = dict(data)
        box = None
        for key in self.key_iterator(back):
            if isinstance(back[key], MetaTensor):
                box = _as_box(self.crop.get_most_recent_transform(back[key])[TraceKeys.EXTRA_INFO]["box"])
            back[key] = self.crop.inverse(back[key])
        if box is not None and self.points_key in back:
            scale, offset = _map(box, self.crop.size)
            back[self.points_key] = (back[self.points_key] - offset) / scale
        return back


def _check(margin: int, margin_ratio: float, size: int) -> None:
    if margin < 0 or not margin_ratio >= 0 or size < 1:
        raise ValueError(
            f"Margins are 0 or more and a size is 1 or more pixels, got {margin}, {margin_ratio} and {size}."
        )


def _as_box(ends: Any) -> Box:
    (top, bottom), (left, right) = ([int(n) for n in pair] for pair in ends)
    return (top, bottom), (left, right)


def _map(box: Box, size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Scale and offset that take (row, column) of the image to the resized box; pixels are squares."""
    ends = np.array(box)
    scale = np.array(size) / (ends[:, 1] - ends[:, 0])
    offset = (0.5 - ends[:, 0]) * scale - 0.5
    return torch.from_numpy(scale).float(), torch.from_numpy(offset).float()


def _plain(image: Tensor) -> Tensor:
    return image.as_tensor() if isinstance(image, MetaTensor) else torch.as_tensor(image)


def _resized(image: Tensor, size: Sequence[int], mode: str) -> Tensor:
    resized = _resample(image.float(), size, mode)
    return resized if mode == "area" else resized.to(image.dtype)
