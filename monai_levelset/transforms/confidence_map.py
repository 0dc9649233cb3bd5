"""Maps of four extreme points, as extra input channels of a network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ..levelset.geometry import check_spacing


@torch.no_grad()
def confidence_map(
    points: Tensor,
    shape: Sequence[int],
    *,
    variant: Literal["zheng", "khan"] = "zheng",
    spacing: Sequence[float] | None = None,
) -> Tensor:
    """How likely each pixel belongs to the object, from four extreme points alone.

    The segments s1 and s2 join opposite extreme points. With d_s = dist(x, s)/sigma_s, sigma_s half the
    segment's length:

    * `zheng`: 1/(1 + min(d_s1, d_s2) + sqrt(d_s1^2 + d_s2^2)) (Zheng et al., eq. 1-3);
    * `khan`: 1/(1 + min(d_s1, d_s2) (d_s1 + d_s2)) (Khan et al. 2019), which is 1 on both segments.

    Either is 1 where the segments meet and falls off from there; at the extreme points of a diamond with
    equal diagonals `zheng` is 1/2. An item whose segments do not meet, or lie on one line, or have no length
    (the same point clicked twice) gets `extreme_point_heatmap` instead. Not differentiable; never waits for
    the device.

    Args:
        points: `(B, 4, 2)` in voxel coordinates (row, column), in the order: lowest row, highest row, lowest
            column, highest column. Within a pair the order does not matter. Points may lie outside the image.
        shape: (H, W) of the image.
        variant: which formula, see above.
        spacing: mm per voxel, (row, column); default 1. Distances are in mm.

    Returns:
        `(B, 1, H, W)` in (0, 1], float32, on the device of `points`.

    Raises:
        ValueError: wrong shapes or spacing, unknown `variant`.

    Example:
        >>> import torch
        >>> diamond = torch.tensor([[[0, 2], [4, 2], [2, 0], [2, 4]]])
        >>> confidence_map(diamond, (5, 5))[0, 0, 2]
        tensor([0.5000, 0.6667, 1.0000, 0.6667, 0.5000])
    """
    _check(points, shape)
    if variant not in ("zheng", "khan"):
        raise ValueError(f"`variant` must be 'zheng' or 'khan', got {variant!r}.")
    h = check_spacing(spacing, 2)
    voxels = points.float()
    p = torch.stack([voxels[..., 0] * h[0], voxels[..., 1] * h[1]], 2)
    rows, columns = (torch.arange(n, device=p.device) * s for n, s in zip(shape, h, strict=True))
    q1, q2 = _squared_distances(p[:, ::2], p[:, 1::2], rows, columns)
    if variant == "zheng":
        total = torch.minimum(q1, q2).sqrt_().add_(q1.add_(q2).sqrt_())
    else:
        d1, d2 = q1.sqrt_(), q2.sqrt_()
        total = torch.minimum(d1, d2).mul_(d1.add_(d2))
    confidence = total.add_(1).reciprocal_()
    return torch.where(_meet(voxels)[:, None, None], confidence, _heatmap(points, shape)).unsqueeze(1)


@torch.no_grad()
def extreme_point_heatmap(points: Tensor, shape: Sequence[int], *, fwhm: float = 10.0) -> Tensor:
    """A Gaussian around every point, the largest of them at each pixel (DEXTR, Maninis et al. 2018).

    max_k exp(-4 ln 2 |x - p_k|^2/fwhm^2): 1 on a point, 1/2 at a distance of fwhm/2. Not differentiable.

    Args:
        points: `(B, 4, 2)` in voxel coordinates (row, column), in any order; they may lie outside the image.
        shape: (H, W) of the image.
        fwhm: full width at half maximum, in voxels.

    Returns:
        `(B, 1, H, W)` in (0, 1], float32, on the device of `points`.

    Raises:
        ValueError: wrong shapes, `fwhm` not positive.

    Example:
        >>> import torch
        >>> points = torch.tensor([[[0, 0], [0, 0], [0, 0], [0, 6]]])
        >>> extreme_point_heatmap(points, (1, 7), fwhm=4.0)[0, 0, 0]
        tensor([1.0000, 0.8409, 0.5000, 0.2102, 0.5000, 0.8409, 1.0000])
    """
    _check(points, shape)
    if not (fwhm > 0 and math.isfinite(fwhm)):
        raise ValueError(f"`fwhm` is a width in voxels and must be positive, got {fwhm}.")
    return _heatmap(points, shape, fwhm).unsqueeze(1)


def _check(points: Tensor, shape: Sequence[int]) -> None:
    if points.ndim != 3 or points.shape[1:] != (4, 2):
        raise ValueError(f"`points` must be (B, 4, 2): four (row, column), got shape {tuple(points.shape)}.")
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(f"`shape` must be (H, W), both positive, got {tuple(shape)}.")


def _squared_distances(start: Tensor, end: Tensor, rows: Tensor, columns: Tensor) -> list[Tensor]:
    """(dist(x, s)/sigma)^2, `(B, H, W)`, for each of the segments from and to `(B, S, 2)`.

    In units of sigma and measured from the segment's middle, x is n across and t along; the segment reaches
    from t = -1 to 1. Both are sums of a row and a column term, stacked so that a compiler keeps them as such.
    """
    half, middle = (end - start) / 2, (end + start) / 2
    u, v = (half / half.square().sum(2, keepdim=True)).split(1, dim=2)
    y, x = rows - middle[..., :1], columns - middle[..., 1:]
    down, right = torch.stack([y * v, y * u]).unsqueeze(4), torch.stack([-x * u, x * v]).unsqueeze(3)
    squares = []
    for s in range(start.shape[1]):
        across, along = down[0, :, s] + right[0, :, s], down[1, :, s] + right[1, :, s]
        beyond = along - along.clamp(-1, 1)
        squares.append(across.mul_(across).addcmul_(beyond, beyond))
    return squares


def _meet(p: Tensor) -> Tensor:
    """Whether the segments p0 p1 and p2 p3 cross or touch in exactly one point, `(B,)`."""

    def side(a: int, b: int, c: int) -> Tensor:
        first, second = p[:, b] - p[:, a], p[:, c] - p[:, a]
        return first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]

    s = torch.stack([side(0, 1, 2), side(0, 1, 3), side(2, 3, 0), side(2, 3, 1)])
    return (s[0] * s[1] <= 0) & (s[2] * s[3] <= 0) & (s[0] != s[1])


def _heatmap(points: Tensor, shape: Sequence[int], fwhm: float = 10.0) -> Tensor:
    """Each Gaussian is a row term times a column term, limited so that no product is a (slow) denormal."""
    terms = []
    for axis, n in enumerate(shape):
        offset = torch.arange(n, device=points.device) - points[..., axis, None].float()
        exponent = offset.square() * (-4 * math.log(2) / fwhm**2)
        terms.append(torch.exp(exponent.clamp_min(-40)))
    down, across = terms[0].unsqueeze(3).unbind(1), terms[1].unsqueeze(2).unbind(1)
    best = down[0] * across[0]
    for d, a in zip(down[1:], across[1:], strict=True):
        best = torch.maximum(best, d * a)
    return best
