"""From clicks in a file's voxels or in mm to the four points of each slice of the preprocessed image."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from monai.data import MetaTensor
from monai.data.utils import to_affine_nd
from monai.transforms import Transform
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

Space = Literal["voxel", "world"]
_SIDES = np.array([[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0]])
"""(row, column) @ _SIDES is least for the points that are top, bottom, left and right."""


def map_clicks(
    clicks: ArrayLike, affine: ArrayLike, original_affine: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Clicks as continuous voxel indices of the preprocessed image.

    inv(affine) @ original_affine takes a voxel of the file to a voxel of the image after whatever flips,
    permutes, crops and resamples it.

    Args:
        clicks: `(N, 3)`, or `(N, 2)` in a 2D image; there may be none.
        affine: of the preprocessed image, voxels to mm in RAS, 3x3 or 4x4.
        original_affine: of the file, if the clicks are its voxels; None if they are mm in RAS.

    Returns:
        `(N, 3)`, float64.

    Raises:
        ValueError: the clicks are no list of two or three finite numbers each.

    Example:
        >>> file, image = np.diag([-1.0, 1, 5, 1]), np.diag([2.0, 2, 5, 1])
        >>> file[0, 3] = 40  # the file's first axis runs to the left
        >>> map_clicks([[30, 8, 3]], image, file).tolist(), map_clicks([[10, 8, 15]], image).tolist()
        ([[5.0, 4.0, 3.0]], [[5.0, 4.0, 3.0]])
    """
    given = np.asarray(clicks, float)
    given = given.reshape(0, 3) if given.size == 0 else given
    if given.ndim != 2 or given.shape[1] not in (2, 3):
        raise ValueError(f"Clicks are a list of two or three numbers each, got shape {given.shape}.")
    if not np.isfinite(given).all():
        raise ValueError("Clicks hold NaN or infinity: leave out the ones that are missing.")
    points = np.zeros((len(given), 4))
    points[:, : given.shape[1]], points[:, 3] = given, 1
    matrix = np.linalg.inv(_affine(affine))
    if original_affine is not None:
        matrix = matrix @ _affine(original_affine)
    return (points @ matrix.T)[:, :3]


def arrange_clicks(clicks: ArrayLike) -> Tensor:
    """Up to four clicks in any order as top, bottom, left and right point.

    The clicks are assigned so that they are as far as possible to their sides in total (`scipy`'s linear sum
    assignment), each to one side. Of more than four, those furthest out count.

    Args:
        clicks: `(N, 2)` (row, column).

    Returns:
        `(4, 2)`, float32, ordered as by `extreme_points`; NaN for the sides without a click.

    Example:
        >>> arrange_clicks([[5, 9], [2, 6], [9, 5], [6, 1]]).tolist()
        [[2.0, 6.0], [9.0, 5.0], [6.0, 1.0], [5.0, 9.0]]
        >>> arrange_clicks([[5, 9], [6, 1]]).tolist()
        [[nan, nan], [nan, nan], [6.0, 1.0], [5.0, 9.0]]
    """
    points = np.asarray(clicks, float).reshape(-1, 2)
    arranged = torch.full((4, 2), torch.nan)
    if len(points) > 4:  # their order must not decide between those that are equally far out
        points = _sorted(points)
    if len(points):
        which, side = linear_sum_assignment((points - points.mean(0)) @ _SIDES)
        arranged[side] = torch.from_numpy(points[which]).float()
    return arranged


def contour_clicks(clicks: ArrayLike) -> Tensor:
    """All clicks, where there are more than the four of `arrange_clicks`: the contour goes through them.

    Args:
        clicks: `(N, 2)` (row, column), in any order.

    Returns:
        `(N, 2)`, float32, sorted by row, then column; `(0, 2)` of four or fewer.

    Example:
        >>> contour_clicks([[5, 9], [2, 6], [7, 8], [9, 5], [6, 1]])[:2].tolist()
        [[2.0, 6.0], [5.0, 9.0]]
        >>> contour_clicks([[5, 9], [2, 6]]).shape
        torch.Size([0, 2])
    """
    points = _sorted(np.asarray(clicks, float).reshape(-1, 2))
    return torch.from_numpy(points[: len(points) * (len(points) > 4)]).float()


def clicks_by_slice(points: ArrayLike, slices: int, *, axis: int = 2) -> Tensor:
    """Clicks in a volume, arranged slice by slice.

    A click belongs to the slice it is nearest to; beyond the volume, to its first or last one.

    Args:
        points: `(N, 3)` voxel indices, as `map_clicks` gives them.
        slices: number of slices along `axis`.
        axis: spatial axis across the slices; (row, column) are the other two in their order.

    Returns:
        `(slices, 4, 2)`, float32, see `arrange_clicks`; NaN in slices without a click.

    Example:
        >>> points = [[0, 3, 1], [6, 3, 1], [3, 0, 1], [3, 6, 1.2], [4, 4, 9]]
        >>> by_slice = clicks_by_slice(points, 3)
        >>> by_slice[1].tolist(), by_slice.isfinite().all(2).sum(1).tolist()
        ([[0.0, 3.0], [6.0, 3.0], [3.0, 0.0], [3.0, 6.0]], [0, 4, 1])
    """
    return torch.stack([arrange_clicks(clicks) for clicks in _by_slice(points, slices, axis)])


def _by_slice(points: ArrayLike, slices: int, axis: int) -> list[NDArray[np.float64]]:
    """The clicks (row, column) of each slice."""
    voxels = np.asarray(points, float).reshape(-1, 3)
    # Rounded before it is halved: rounding errors of the affine must not part the clicks of one slice.
    index = np.floor(np.round(voxels[:, axis], 4) + 0.5).clip(0, slices - 1).astype(int)
    in_plane = np.delete(voxels, axis, 1)
    return [in_plane[index == k] for k in range(slices)]


def interpolate_clicks(by_slice: Tensor) -> Tensor:
    """Four points on each slice between the first and the last slice with four clicks.

    Top, bottom, left and right point move linearly from one slice with four clicks to the next. In a slice
    between with one to three clicks, each replaces the interpolated point nearest to it (by an assignment, so
    that no two replace the same).

    Args:
        by_slice: `(D, 4, 2)`, NaN where there is no click, as `clicks_by_slice` gives it.

    Returns:
        `(D, 4, 2)`; slices before the first and after the last with four clicks are as they were.

    Example:
        >>> clicks = torch.full((5, 4, 2), torch.nan)
        >>> clicks[0], clicks[4] = torch.tensor([[2.0, 6], [8, 6], [5, 2], [5, 9]]), torch.tensor([5.0, 5])
        >>> interpolate_clicks(clicks)[1].tolist()
        [[2.75, 5.75], [7.25, 5.75], [5.0, 2.75], [5.0, 8.0]]
    """
    clicked = by_slice.isfinite().all(2)
    full = clicked.all(1).nonzero().flatten().numpy()
    if len(full) < 2:
        return by_slice.clone()
    between = np.arange(full[0], full[-1] + 1)
    known = by_slice[full].flatten(1).double().numpy()
    path = np.stack([np.interp(between, full, values) for values in known.T], 1)
    out = by_slice.clone()
    out[between] = torch.from_numpy(path).to(out).view(-1, 4, 2)
    for k in between[~clicked[between].all(1).numpy()]:
        own = by_slice[k][clicked[k]]
        which, side = linear_sum_assignment(torch.cdist(own, out[k]).numpy())
        out[k, side] = own[which]
    return out


class ClickPointsd(Transform):
    """Add the points of a user's clicks to the data, on the grid of the preprocessed image.

    Several structures are clicked one by one, `{"disc": [...], "cup": [...]}`; a plain list are then the
    clicks of one structure, whichever it is. Of more than four clicks on a slice, those furthest out are its
    points, and all of them are points of the contour, for `ClickRefinementd`. Clicks on the background are
    meant for it, too; they belong to every structure. Points are rounded to a thousandth of a pixel, so that
    rounding errors of the affine do not move what is rounded to whole pixels later.

    Belongs after the transforms that turn and resample the image and before `ClickBoxCropd`. Any orientation
    and spacing is fine as long as the transforms keep the image's affine up to date, as MONAI's do.

    Args:
        image_key: key of the preprocessed image, `(C, H, W)` or `(C, H, W, D)`.
        clicks_key: key of the clicks in the request, a list of voxels or mm; missing or None: no clicks.
            MONAI Label sends integer voxels of the file as `foreground`.
        points_key: where the points go: `(4, 2)` for a 2D image, `(slices, 4, 2)` for a volume; ordered as by
            `extreme_points`, NaN for clicks that are missing. With `structures` there is a first axis for
            them, in their order, or of length 1 where the clicks are a list.
        space: `voxel`: the clicks are voxels of the file, as `LoadImaged` indexes them: (x, y) in a picture.
            A volume needs the `original_affine` that `LoadImaged` stores; pictures (PNG, JPG) have none, for
            them it is the identity. `world`: mm in RAS.
        axis: spatial axis across the slices of a volume.
        interpolate: fill the slices between clicked ones, see `interpolate_clicks`; for each structure.
        structures: names of the structures that can be clicked; None: clicks are always a list.
        background_key: key of the clicks outside every structure, a list in the same space; missing or None:
            there are none.
        contour_points_key: where the clicks go on slices that have more than four, `(M, 2)`, with the axes
            that the points have before theirs; sorted, filled up with NaN.
        background_points_key: where the clicks on the background go, in the same way.

    Raises:
        ValueError: unknown `space` or `axis`, `structures` that are empty or not a list of names; on calling,
            clicks that are no list of points, structures that are not among these, or an image without
            affine.

    Example:
        >>> image = MetaTensor(torch.zeros(1, 20, 20), affine=np.diag([2.0, 2, 1, 1]))
        >>> image.meta["original_affine"] = np.diag([1.0, 1, 1, 1])
        >>> request = {"image": image, "foreground": [[4, 10], [30, 10], [12, 2], [12, 24]]}
        >>> ClickPointsd()(request)["points"].tolist()
        [[2.0, 5.0], [15.0, 5.0], [6.0, 1.0], [6.0, 12.0]]
        >>> request["foreground"] = {"cup": request["foreground"]}
        >>> points = ClickPointsd(structures=["disc", "cup"])(request)["points"]
        >>> points.shape, points[0].isnan().all().item(), points[1, 0].tolist()
        (torch.Size([2, 4, 2]), True, [2.0, 5.0])
    """

    def __init__(
        self,
        image_key: str = "image",
        clicks_key: str = "foreground",
        points_key: str = "points",
        *,
        space: Space = "voxel",
        axis: int = 2,
        interpolate: bool = False,
        structures: Sequence[str] | None = None,
        background_key: str = "background",
        contour_points_key: str = "contour_points",
        background_points_key: str = "background_points",
    ) -> None:
        if space not in ("voxel", "world"):
            raise ValueError(f"`space` is 'voxel' or 'world', got {space!r}.")
        if axis not in (0, 1, 2):
            raise ValueError(f"`axis` is a spatial axis of a volume: 0, 1 or 2, got {axis!r}.")
        self.image_key, self.clicks_key, self.points_key = image_key, clicks_key, points_key
        if structures is not None and (isinstance(structures, str) or not list(structures)):
            raise ValueError(f"`structures` is a list of names, got {structures!r}.")
        self.space, self.axis, self.interpolate = space, axis, interpolate
        self.structures = None if structures is None else list(structures)
        self.background_key, self.contour_points_key = background_key, contour_points_key
        self.background_points_key = background_points_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Copy of the dictionary with the points."""
        image = data[self.image_key]
        affines, shape = self._affines(image), image.shape[1:]
        with _named(self.clicks_key):
            lists = self._lists(data.get(self.clicks_key))
            clicked = [map_clicks(clicks, *affines).round(3) for clicks in lists]
        with _named(self.background_key):
            given = data.get(self.background_key)
            outside = map_clicks([] if given is None else given, *affines).round(3)
        contour = [[contour_clicks(part) for part in self._slices(clicks, shape)] for clicks in clicked]
        around = [torch.from_numpy(_sorted(part)).float() for part in self._slices(outside, shape)]
        found = {
            self.points_key: torch.stack([self._arranged(clicks, shape) for clicks in clicked]),
            self.contour_points_key: _padded(contour, shape),
            self.background_points_key: _padded([around] * len(clicked), shape),
        }
        return {**data, **{key: points if self.structures else points[0] for key, points in found.items()}}

    def _lists(self, clicks: Any) -> list[Any]:
        """The clicks of each structure, or of the only one."""
        if not isinstance(clicks, Mapping):
            return [[] if clicks is None else clicks]
        if self.structures is None:
            raise ValueError(f"Clicks are a list of points here, got those of {', '.join(map(str, clicks))}.")
        unknown = [str(name) for name in clicks if name not in self.structures]
        if unknown:
            raise ValueError(
                f"Unknown structure(s) {', '.join(unknown)}; known are {', '.join(self.structures)}."
            )
        return [[] if clicks.get(name) is None else clicks[name] for name in self.structures]

    def _affines(self, image: Tensor) -> tuple[Any, Any]:
        if not isinstance(image, MetaTensor):
            raise ValueError(f"'{self.image_key}' has no affine: load it with LoadImaged.")
        if self.space == "world":
            return image.affine, None
        original = image.meta.get("original_affine", np.eye(4) if image.ndim == 3 else None)
        if original is None:
            raise ValueError(
                f"'{self.image_key}' has no 'original_affine', so the file's voxels are unknown: load it "
                "with LoadImaged, or give the clicks in mm and set space='world'."
            )
        return image.affine, original

    def _slices(self, points: NDArray[np.float64], shape: Sequence[int]) -> list[NDArray[np.float64]]:
        """The clicks (row, column) of each slice; an image has one."""
        return [points[:, :2]] if len(shape) == 2 else _by_slice(points, shape[self.axis], self.axis)

    def _arranged(self, points: NDArray[np.float64], shape: Sequence[int]) -> Tensor:
        if len(shape) == 2:
            return arrange_clicks(points[:, :2])
        by_slice = clicks_by_slice(points, shape[self.axis], axis=self.axis)
        return interpolate_clicks(by_slice) if self.interpolate else by_slice


@contextmanager
def _named(key: str) -> Iterator[None]:
    """Errors say which clicks are meant."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ValueError(f"'{key}' cannot be used: {error}") from error


def _sorted(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return points[np.lexsort(points.T[::-1])]


def _padded(points: Sequence[Sequence[Tensor]], shape: Sequence[int]) -> Tensor:
    """Points of each (structure, slice), filled up with NaN: `(K, D, M, 2)`, of a 2D image `(K, M, 2)`."""
    number = max(len(part) for by_slice in points for part in by_slice)
    out = torch.full((len(points), len(points[0]), number, 2), torch.nan)
    for k, by_slice in enumerate(points):
        for d, part in enumerate(by_slice):
            out[k, d, : len(part)] = part
    return out[:, 0] if len(shape) == 2 else out


def _affine(matrix: ArrayLike) -> NDArray[np.float64]:
    plain = matrix.detach().cpu().numpy() if isinstance(matrix, Tensor) else matrix
    return np.asarray(to_affine_nd(3, np.asarray(plain, float)))
