"""Cut out every clicked object of an image or a volume as a crop of its own, and put predictions back."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor, get_track_meta
from monai.transforms import InvertibleTransform, MapTransform, Transform
from monai.transforms.croppad.functional import crop_or_pad_nd
from monai.transforms.utils import create_translate
from monai.utils import TraceKeys
from torch import Tensor

from monai_levelset.transforms.click_box import (
    Box,
    ClickBoxCrop,
    _as_box,
    _map,
    _plain,
    _resized,
    clamp_points,
)
from monai_levelset.transforms.click_points import map_clicks

_LOG = logging.getLogger(__name__)


class ClickSlices(InvertibleTransform, Transform):
    """A crop of every (structure, slice) with four clicks, side by side on a last axis; invertible.

    A 2D network is then run on each crop as on the slices of a volume (`SliceBatchInferer`). Each crop is
    that of `ClickBoxCrop`: the box of its clicks with a margin, resized.

    What has none to three clicks is left out, and a message in the log says where clicks are missing. Without
    any four clicks there is one crop of the whole (first) slice, so that a network can run; the inverse is
    then empty.

    The inverse takes a prediction of one channel back to the image's grid, with a channel per structure and 0
    outside the boxes; a probability comes back smooth. A stack of crops has no place in the world: it keeps
    the image's affine and metadata for the way back.

    Args:
        size: (height, width) of the crops, or one number for both.
        margin: see `click_box`.
        margin_ratio: see `click_box`.
        min_size: least height and width of a box.
        padding_mode: see `ClickBoxCrop`.

    Raises:
        ValueError: see `ClickBoxCrop`; on calling, an image that is no slice or volume, points of another
            shape; on inversion, a prediction of several channels or another number of crops.

    Example:
        >>> points = torch.full((5, 4, 2), torch.nan)  # of a volume with five slices
        >>> points[3] = torch.tensor([[10.0, 12.0], [20.0, 14.0], [15.0, 8.0], [15.0, 18.0]])
        >>> cut = ClickSlices(32, margin=2)
        >>> crops = cut(MetaTensor(torch.rand(1, 40, 30, 5)), points)
        >>> crops.shape, cut.inverse(crops).shape
        (torch.Size([1, 32, 32, 1]), torch.Size([1, 40, 30, 5]))
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
        self.crop = ClickBoxCrop(
            size, margin=margin, margin_ratio=margin_ratio, min_size=min_size, padding_mode=padding_mode
        )

    def __call__(self, img: Tensor, points: Tensor) -> Tensor:  # type: ignore[override]
        """Crops `(C, *size, N)`, float32, of an image `(C, H, W)` or `(C, H, W, D)`.

        The points are `(4, 2)` or, with several structures, `(K, 4, 2)` for an image, `(D, 4, 2)` or
        `(K, D, 4, 2)` for a volume, as `ClickPointsd` gives them.
        """
        by_object = _by_object(points, img.shape)
        slots = _slots(by_object)
        planes = _plain(img)[..., None] if img.ndim == 3 else _plain(img)
        boxes = self._boxes(by_object, slots, img.shape[1:3])
        cuts = [slice_ for _, slice_ in slots] or [0]
        parts = [self._cut(planes[..., k], box) for k, box in zip(cuts, boxes, strict=True)]
        out = torch.stack(parts, -1)
        if not isinstance(img, MetaTensor):
            return out
        crops = MetaTensor(out).copy_meta_from(img)
        if get_track_meta():
            info: dict[str, Any] = {
                "mode": "area",
                "slots": slots,
                "boxes": [[list(ends) for ends in box] for box in boxes],
            }
            info |= {"whole": list(img.shape[1:]), "structures": len(by_object)}
            self.push_transform(crops, extra_info=info)
        return crops

    def points(self, points: Tensor, shape: Sequence[int]) -> Tensor:
        """The points `(N, 4, 2)` in pixels of the crops, of an image `(C, H, W)` or `(C, H, W, D)`.

        Points outside the image are first moved to its nearest pixel. NaN where nothing has four clicks.
        """
        return self.mapped(points, points, shape)

    def mapped(self, others: Tensor, points: Tensor, shape: Sequence[int], *, clamp: bool = True) -> Tensor:
        """Other points of the same structures and slices, `(N, M, 2)`, in pixels of the crops.

        Args:
            others: `(M, 2)` where `points` are `(4, 2)`, with the same axes before.
            points: those that say where the crops are.
            shape: of the image, channels first.
            clamp: move points outside the image to its nearest pixel; else they are NaN.
        """
        moved, slots = _by_object(others, shape, number=None), _slots(_by_object(points, shape))
        whole = torch.tensor(shape[1:3])
        if not clamp:
            inside = ((moved >= -0.5) & (moved <= whole - 0.5)).all(-1, keepdim=True)
            moved = moved.where(inside, torch.nan)
        parts = [
            clamp_points(moved[k, d], whole.tolist()) * scale + offset
            for (k, d), scale, offset in zip(slots, *self.maps(points, shape), strict=False)
        ]
        return torch.stack(parts) if parts else torch.full((1, moved.shape[2], 2), torch.nan)

    def maps(self, points: Tensor, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Scale and offset `(N, 2)` that take (row, column) of the image to those of each crop."""
        by_object = _by_object(points, shape)
        boxes = self._boxes(by_object, _slots(by_object), shape[1:3])
        pairs = [_map(box, self.crop.size) for box in boxes]
        scales, offsets = zip(*pairs, strict=True)
        return torch.stack(scales), torch.stack(offsets)

    def inverse(self, data: Tensor) -> Tensor:
        """A prediction `(1, h, w, N)` on the image's grid: `(K, H, W)` or `(K, H, W, D)`."""
        info = self.pop_transform(data)[TraceKeys.EXTRA_INFO]
        slots, boxes = info["slots"], [_as_box(box) for box in info["boxes"]]
        if data.ndim != 4 or data.shape[0] != 1 or data.shape[-1] != len(boxes):
            raise ValueError(
                f"A prediction on {len(boxes)} crops must be (1, h, w, {len(boxes)}), got shape "
                f"{tuple(data.shape)}: choose one channel first."
            )
        whole = [int(n) for n in info["whole"]]
        plain = _plain(data).float()
        out = plain.new_zeros(int(info["structures"]), *whole[:2], *(whole[2:] or [1]))
        for n, (structure, slice_) in enumerate(slots):
            out[structure, ..., slice_] = _pasted(plain[..., n], boxes[n], whole[:2], info["mode"])[0]
        out = out if len(whole) == 3 else out[..., 0]
        return MetaTensor(out).copy_meta_from(data) if isinstance(data, MetaTensor) else out

    def _boxes(self, by_object: Tensor, slots: Sequence[list[int]], shape: Sequence[int]) -> list[Box]:
        boxes = [self.crop.box(by_object[structure, slice_], shape) for structure, slice_ in slots]
        return boxes or [((0, shape[0]), (0, shape[1]))]

    def _cut(self, plane: Tensor, box: Box) -> Tensor:
        sizes = tuple(stop - start for start, stop in box)
        shift = create_translate(2, [start for start, _ in box])
        return _resized(crop_or_pad_nd(plane, shift, sizes, self.crop.padding_mode), self.crop.size, "area")


class ClickSlicesd(MapTransform, InvertibleTransform):
    """Dictionary form of `ClickSlices`; the points go along.

    Belongs behind `ClickPointsd` and before `ClickMapsd`. The points become `(N, 4, 2)`, in pixels of the
    crops, and so do the further points on contour and background, `(N, M, 2)`, where there are any; the
    inverse leaves them as they are.

    Args:
        keys: key of the image.
        size: see `ClickSlices`.
        points_key: the points, as `ClickPointsd` gives them.
        margin: see `ClickSlices`.
        margin_ratio: see `ClickSlices`.
        min_size: see `ClickSlices`.
        padding_mode: see `ClickSlices`.
        contour_points_key: further points of the contour, as `ClickPointsd` gives them; may be missing.
        background_points_key: points outside, in the same way; NaN where they are not in the image.
        scale_key: where the crops' pixels per pixel of the image go, `(N, 2)`, along rows and columns.
        allow_missing_keys: see MONAI.

    Raises:
        ValueError: see `ClickSlices`; on calling, images of different sizes.

    Example:
        >>> points = torch.full((2, 4, 2), torch.nan)  # two structures in one picture
        >>> points[0] = torch.tensor([[10.0, 12.0], [20.0, 14.0], [15.0, 8.0], [15.0, 18.0]])
        >>> cut = ClickSlicesd("image", 30, margin=2, min_size=1)
        >>> data = cut({"image": MetaTensor(torch.rand(3, 40, 30)), "points": points})
        >>> data["image"].shape, data["points"][0, :, 0].tolist()
        (torch.Size([3, 30, 30, 1]), [4.5, 24.5, 14.5, 14.5])
        >>> data["image"] = data["image"][:1]
        >>> cut.inverse(data)["image"].shape
        torch.Size([2, 40, 30])
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
        padding_mode: str = "constant",
        contour_points_key: str = "contour_points",
        background_points_key: str = "background_points",
        scale_key: str = "crop_scale",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.points_key, self.scale_key = points_key, scale_key
        self.contour_points_key, self.background_points_key = contour_points_key, background_points_key
        self.cut = ClickSlices(
            size, margin=margin, margin_ratio=margin_ratio, min_size=min_size, padding_mode=padding_mode
        )

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Copy of the dictionary with crops and their points."""
        changed = dict(data)
        shapes = {tuple(changed[key].shape[1:]) for key in self.key_iterator(changed)}
        if len(shapes) > 1:
            raise ValueError(f"The images that are cut together must have one size, got {sorted(shapes)}.")
        points = changed[self.points_key]
        for number, key in enumerate(self.key_iterator(changed)):
            image = changed[key]
            if number == 0:
                _tell_missing(image, _by_object(points, image.shape))
                changed.update(self._moved(changed, points, image.shape))
            changed[key] = self.cut(image, points)
        return changed

    def _moved(self, data: Mapping[Hashable, Any], points: Tensor, shape: Sequence[int]) -> dict[str, Tensor]:
        """All points in pixels of the crops, and how large these are."""
        moved = {self.points_key: self.cut.points(points, shape)}
        for key in (self.contour_points_key, self.background_points_key):
            if key in data:
                clamp = key == self.contour_points_key
                moved[key] = self.cut.mapped(data[key], points, shape, clamp=clamp)
        return {**moved, self.scale_key: self.cut.maps(points, shape)[0]}

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Copy of the dictionary with predictions on the image's grid."""
        back = dict(data)
        for key in self.key_iterator(back):
            back[key] = self.cut.inverse(back[key])
        return back


def _by_object(points: Tensor, shape: Sequence[int], *, number: int | None = 4) -> Tensor:
    """`(K, D, number, 2)` of the points of an image of this shape, channels first; a 2D image has one slice.

    `number` None: any.
    """
    if len(shape) not in (3, 4):
        raise ValueError(f"The image must be (C, H, W) or (C, H, W, D), got shape {tuple(shape)}.")
    p = _plain(points).float().cpu()
    slices = shape[3] if len(shape) == 4 else 1
    by_structure = p if p.ndim == len(shape) else p[None]
    by_object = by_structure if len(shape) == 4 else by_structure[:, None]
    many = by_object.shape[-2] if number is None else number
    if by_object.ndim != 4 or by_object.shape[1:] != (slices, many, 2):
        each = f"{'M' if number is None else number}, 2)"
        axes = "" if len(shape) == 3 else f"{slices}, "
        wanted = f"({axes}{each} or (K, {axes}{each}"
        raise ValueError(f"The points of this image must be {wanted}, got shape {tuple(p.shape)}.")
    return by_object


def _slots(by_object: Tensor) -> list[list[int]]:
    """(structure, slice) of everything with four clicks."""
    slots: list[list[int]] = by_object.isfinite().flatten(2).all(2).nonzero().tolist()
    return slots


def _pasted(part: Tensor, box: Box, shape: Sequence[int], mode: Any) -> Tensor:
    (top, bottom), (left, right) = box
    whole = _resized(part, (bottom - top, right - left), mode)
    return crop_or_pad_nd(whole, create_translate(2, [-top, -left]), tuple(shape), "constant")


def _tell_missing(image: Tensor, by_object: Tensor) -> None:
    """Log what cannot be segmented, by the file's voxels: those are what a user knows."""
    there = by_object.isfinite().all(3)
    counts = there.sum(2)
    name = str(getattr(image, "meta", {}).get("filename_or_obj", "the image"))
    if not counts.any():
        _LOG.info("%s: nothing was clicked, so nothing is segmented", name)
    partly = ((counts > 0) & (counts < 4)).nonzero().tolist()
    places = []
    for k, d in partly:
        row, column = by_object[k, d][there[k, d]][0].tolist()
        structure = f"structure {k + 1}, " if len(by_object) > 1 else ""
        number = 4 - int(counts[k, d])
        click = "1 click is" if number == 1 else f"{number} clicks are"
        places.append(f"{click} missing ({structure}{_place(image, [row, column, d])})")
    if places:
        _LOG.warning("%s: no result where not all four were clicked: %s", name, "; ".join(places))


def _place(image: Tensor, voxel: Sequence[float]) -> str:
    """Where a click lies: `slice 3 along the file's axis 2` of a volume, else the click itself."""
    original = image.meta.get("original_affine") if isinstance(image, MetaTensor) else None
    if not isinstance(image, MetaTensor) or image.ndim == 3 or original is None:
        return f"beside slice {voxel[2]:g}" if image.ndim == 4 else f"beside {voxel[:2]}"
    ends = map_clicks([voxel, [*voxel[:2], voxel[2] + 1]], original, image.affine).round(2)
    axis = int(abs(ends[1] - ends[0]).argmax())
    return f"slice {ends[0][axis]:g} along the file's axis {axis}"
