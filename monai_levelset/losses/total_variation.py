"""Total variation of a stack of fields, with analytic gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from itertools import product
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from ..levelset.geometry import check_spacing, spatial_dims
from ..levelset.precision import plain, wide

TotalVariationKind = Literal["anisotropic", "isotropic"]


def check_kind(kind: str) -> None:
    """Refuse an unknown kind of total variation.

    Args:
        kind: name to look up.

    Raises:
        ValueError: not one of `anisotropic`, `isotropic`.

    Example:
        >>> check_kind("isotropic")
    """
    if kind not in get_args(TotalVariationKind):
        known = ", ".join(get_args(TotalVariationKind))
        raise ValueError(f"Unknown total variation {kind!r}: choose one of {known}.")


def total_variation(
    y: Tensor,
    *,
    kind: TotalVariationKind = "anisotropic",
    spacing: Sequence[float] | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Total variation of every item: sum over channels and voxels of the length of the gradient.

    With D_i y = (y[next along i] - y)/h_i on the faces between neighbouring voxels (none at the border):

    - `anisotropic`: sum over the faces of |D_i y| (the L1 norm of the gradient);
    - `isotropic`: sum over the voxels of sqrt(sum_i (D_i y)^2), averaged over the 2^D choices of the face
      before or after the voxel along each axis, so that flipping the image changes nothing. The usual form
      takes the face after the voxel and favours one diagonal. A straight edge along an axis has the same
      value in both kinds; a sharp oblique edge is dearer than its length, by up to 1.41 (anisotropic) and
      1.22 (isotropic) in 2D.

    It is a sum, without a factor for the volume of a voxel. The derivative of |t| at 0 is taken as 0.

    Args:
        y: `(B, C, *spatial)`, 2D or 3D; half precision is summed in float32.
        kind: see above.
        spacing: h, mm per voxel, one per spatial axis in tensor order; default 1.
        mask: `(B, 1, *spatial)` weights, not negative. The difference across a face is multiplied by the
            smaller weight of its two voxels, so no face that touches a voxel of weight 0 counts.

    Returns:
        `(B,)`, float32 or float64, differentiable with respect to `y`.

    Raises:
        ValueError: wrong shape, dtype or spacing, or an unknown kind.

    Example:
        >>> import torch
        >>> square = torch.zeros(1, 1, 6, 6)
        >>> square[..., 2:4, 2:4] = 1
        >>> total_variation(square), total_variation(square, spacing=(1.0, 2.0))
        (tensor([8.]), tensor([6.]))
    """
    check_kind(kind)
    h = check_spacing(spacing, spatial_dims(y, "y"))
    y, mask = wide(y), None if mask is None else plain(mask)
    if kind == "isotropic":
        return _isotropic(y, h, mask)
    return _anisotropic(y, h, mask)


def add_total_variation_(
    gradient: Tensor,
    y: Tensor,
    kind: TotalVariationKind,
    h: Sequence[float],
    mask: Tensor | None,
    factor: float,
    scratch: Tensor,
) -> Tensor:
    """Total variation without autograd: add `factor` times its derivative to `gradient`, in place.

    Args:
        gradient: buffer of the shape of `y`, changed in place.
        y: `(B, C, *spatial)`, float32 or float64.
        kind: as in `total_variation`.
        h: spacing, one value per spatial axis.
        mask: weights `(B, 1, *spatial)` or `None`.
        factor: weight of the derivative.
        scratch: `(2, room for y)`, overwritten.

    Returns:
        The total variation (without `factor`), `(B,)`.

    Example:
        >>> import torch
        >>> y, gradient = torch.tensor([[[[0.0, 1.0, 1.0]]]]), torch.zeros(1, 1, 1, 3)
        >>> add_total_variation_(gradient, y, "anisotropic", (1.0, 1.0), None, 0.5, torch.empty(2, 3))
        tensor([1.])
        >>> gradient[0, 0, 0]
        tensor([-0.5000,  0.5000,  0.0000])
    """
    if kind == "isotropic":
        return _add_isotropic_(gradient, y, h, mask, factor)
    value = y.new_zeros(len(y))
    for axis in _axes(y):
        before, after = _sides(y, axis)
        d, size = (t[: before.numel()].view(before.shape) for t in scratch)
        torch.sub(after, before, out=d)
        if mask is not None:
            d.mul_(_faces(mask, axis))
        value += torch.abs(d, out=size).flatten(1).sum(1) / h[axis - 2]
        d.sign_()
        if mask is not None:
            d.mul_(_faces(mask, axis))
        _add_divergence_(gradient, d, axis, factor / h[axis - 2])
    return value


def fused_gradient(
    data: Callable[[int, int], Tensor],
    y: Tensor,
    h: Sequence[float],
    mask: Tensor | None,
    factor: float,
    scale: Tensor,
) -> Tensor:
    """`scale * (data + factor * derivative of the anisotropic total variation)`, written for the compiler.

    The first and last slab along the first axis are computed apart from the others. Away from these two,
    every neighbour of a voxel is a fixed distance away in memory, also (wrongly, hence the 0/1 weights)
    across the end of a row, so that the inner loop needs no masked loads.

    Args:
        data: gives, for a start and a length along the first spatial axis, that part of a tensor like `y`.
        y: field of the same shape.
        h: spacing, one value per spatial axis.
        mask: weights `(B, 1, *spatial)` or `None`.
        factor: weight of the derivative.
        scale: `(B, 1, ...)`.

    Returns:
        Tensor of the shape of `y`.

    Example:
        >>> import torch
        >>> y, one = torch.tensor([0.0, 1.0, 1.0]).view(1, 1, 3, 1), torch.ones(1, 1, 1, 1)
        >>> fused_gradient(lambda start, length: one, y, (1.0, 1.0), None, 0.5, one).flatten()
        tensor([0.5000, 1.5000, 1.0000])
    """
    n = y.shape[2]

    def border(start: int, at: int) -> Tensor:
        weights = None if mask is None else mask.narrow(2, start, 2)
        return _border_gradient(y.narrow(2, start, 2), weights, h).narrow(2, at, 1)

    if n < 3:
        return (data(0, n) + factor * _border_gradient(y, mask, h)) * scale
    parts = [(0, 1, border(0, 0)), (1, n - 2, _inner_gradient(y, mask, h)), (n - 1, 1, border(n - 2, 1))]
    return torch.cat([(data(start, size) + factor * tv) * scale for start, size, tv in parts], 2)


def _axes(y: Tensor) -> tuple[int, ...]:
    return tuple(range(2, y.ndim))


def _sides(y: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """The voxels before and after each face."""
    n = y.shape[axis] - 1
    return y.narrow(axis, 0, n), y.narrow(axis, 1, n)


def _faces(mask: Tensor, axis: int) -> Tensor:
    return torch.minimum(*_sides(mask, axis))


def _difference(y: Tensor, axis: int, h: float, mask: Tensor | None) -> Tensor:
    before, after = _sides(y, axis)
    d = after - before
    d = d if h == 1 else d / h
    return d if mask is None else d * _faces(mask, axis)


def _pad(d: Tensor, axis: int, before: int, after: int) -> Tensor:
    return F.pad(d, [0, 0] * (d.ndim - 1 - axis) + [before, after])


def _add_divergence_(gradient: Tensor, d: Tensor, axis: int, factor: float) -> None:
    """Add the derivative of `factor * sum of a face's d * (after - before)`."""
    before, after = _sides(gradient, axis)
    after.add_(d, alpha=factor)
    before.sub_(d, alpha=factor)


def _anisotropic(y: Tensor, h: Sequence[float], mask: Tensor | None) -> Tensor:
    terms = [_difference(y, a, 1.0, mask).abs().sum(_axes(y)) / h[a - 2] for a in _axes(y)]
    return reduce(torch.add, terms).sum(1)


def _isotropic(y: Tensor, h: Sequence[float], mask: Tensor | None) -> Tensor:
    faces = [_pad(_difference(y, a, h[a - 2], mask), a, 1, 1) for a in _axes(y)]
    lengths = (_length(_choose(faces, y, choice)) for choice in _choices(y))
    return reduce(torch.add, (length.sum(_axes(y)) for length in lengths)).sum(1) / 2 ** len(h)


def _choices(y: Tensor) -> list[tuple[int, ...]]:
    return list(product((0, 1), repeat=y.ndim - 2))


def _choose(faces: Sequence[Tensor], y: Tensor, choice: Sequence[int]) -> list[Tensor]:
    """For every voxel the face before (0) or after (1) it along each axis."""
    return [f.narrow(a, c, y.shape[a]) for a, f, c in zip(_axes(y), faces, choice, strict=True)]


def _length(components: Sequence[Tensor]) -> Tensor:
    """Euclidean length, with derivative 0 where it is 0."""
    square = reduce(torch.add, (c * c for c in components))
    positive = square > 0
    return torch.where(positive, torch.where(positive, square, 1).sqrt(), 0)


def _add_isotropic_(
    gradient: Tensor, y: Tensor, h: Sequence[float], mask: Tensor | None, factor: float
) -> Tensor:
    faces = [_pad(_difference(y, a, h[a - 2], mask), a, 1, 1) for a in _axes(y)]
    units = [torch.zeros_like(f) for f in faces]
    value, tiny = y.new_zeros(len(y)), torch.finfo(y.dtype).tiny
    for choice in _choices(y):
        chosen = _choose(faces, y, choice)
        length = _length(chosen)
        value += length.flatten(1).sum(1)
        length.clamp_min_(tiny)
        for unit, component in zip(_choose(units, y, choice), chosen, strict=True):
            unit.addcdiv_(component, length)
    for axis, unit in zip(_axes(y), units, strict=True):
        inner = unit.narrow(axis, 1, y.shape[axis] - 1)
        inner = inner if mask is None else inner * _faces(mask, axis)
        _add_divergence_(gradient, inner, axis, factor / h[axis - 2] / 2 ** len(h))
    return value / 2 ** len(h)


def _border_gradient(y: Tensor, mask: Tensor | None, h: Sequence[float]) -> Tensor:
    terms = []
    for axis in _axes(y):
        sign = _difference(y, axis, 1.0, None).sign() / h[axis - 2]
        sign = sign if mask is None else sign * _faces(mask, axis)
        terms.append(_pad(sign, axis, 1, 0) - _pad(sign, axis, 0, 1))
    return reduce(torch.add, terms)


def _moved(y: Tensor, offset: int) -> Tensor:
    """All slabs but the first and last along the first axis, read `offset` voxels further on."""
    flat, n = y.flatten(2), y.shape[2]
    slab = flat.shape[2] // n
    return flat.narrow(2, slab + offset, (n - 2) * slab).view(*y.shape[:2], n - 2, *y.shape[3:])


def _inner_gradient(y: Tensor, mask: Tensor | None, h: Sequence[float]) -> Tensor:
    def sign(a: int, b: int) -> Tensor:
        s = (_moved(y, b) - _moved(y, a)).sign()
        return s if mask is None else s * torch.minimum(_moved(mask, a), _moved(mask, b))

    step = math.prod(y.shape[3:])
    total = (sign(-step, 0) - sign(0, step)) / h[0]
    for axis in _axes(y)[1:]:
        size = y.shape[axis]
        step //= size
        i = torch.arange(size, device=y.device).view(-1, *(1,) * (y.ndim - 1 - axis))
        total = total + ((i > 0) * sign(-step, 0) - (i < size - 1) * sign(0, step)) / h[axis - 2]
    return total
