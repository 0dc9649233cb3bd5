"""Finite differences on level sets: gradient, curvature, edge indicator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from .precision import wide


def check_spacing(spacing: Sequence[float] | None, dims: int) -> tuple[float, ...]:
    """Voxel spacing as a tuple of `dims` positive floats; `None` means 1 along every axis.

    Args:
        spacing: mm per voxel, one per spatial axis in tensor order, or `None`.
        dims: number of spatial axes.

    Returns:
        The spacing as floats.

    Raises:
        ValueError: wrong number of values, or a value that is not a positive finite number.

    Example:
        >>> check_spacing(None, 2)
        (1.0, 1.0)
    """
    if spacing is None:
        return (1.0,) * dims
    if isinstance(spacing, (int, float)):
        raise ValueError(f"`spacing` needs one value per spatial axis, {(spacing,) * dims}, got {spacing}.")
    values = tuple(float(s) for s in spacing)
    if len(values) != dims:
        raise ValueError(f"`spacing` needs one value per spatial axis ({dims}), got {values}.")
    if not all(math.isfinite(s) and s > 0 for s in values):
        raise ValueError(f"`spacing` must be positive and finite, got {values}.")
    return values


def spatial_dims(x: Tensor, name: str = "phi") -> int:
    """Number of spatial axes of a floating tensor `(B, C, *spatial)`.

    Args:
        x: tensor to look at.
        name: what to call it in the error message.

    Returns:
        2 or 3.

    Raises:
        ValueError: not 4D or 5D, or not a floating tensor.

    Example:
        >>> import torch
        >>> spatial_dims(torch.zeros(1, 1, 4, 4))
        2
    """
    if x.ndim not in (4, 5):
        raise ValueError(f"`{name}` must be (B, C, H, W) or (B, C, D, H, W), got shape {tuple(x.shape)}.")
    if not x.is_floating_point():
        raise ValueError(f"`{name}` must be a floating tensor, got {x.dtype}: convert it with `.float()`.")
    return x.ndim - 2


def _pad(x: Tensor) -> Tensor:
    """One more voxel on every side, a copy of its neighbour.

    A compiler turns the pad into clamped indices at every load of a stencil, and then does not vectorise. The
    concatenation is the same, kept in memory once: a compiled curvature takes an eighth of the time.
    """
    if not torch.compiler.is_compiling():
        return F.pad(x, (1, 1) * (x.ndim - 2), mode="replicate")
    for dim in range(2, x.ndim):
        last = x.shape[dim] - 1
        x = torch.cat([x.narrow(dim, 0, 1), x, x.narrow(dim, last, 1)], dim)
    return x


def _shift(padded: Tensor, offsets: Sequence[int]) -> Tensor:
    """View of a tensor padded by one voxel, moved by -1, 0 or 1 voxels along each spatial axis."""
    for axis, offset in enumerate(offsets):
        padded = padded.narrow(axis + 2, 1 + offset, padded.shape[axis + 2] - 2)
    return padded


def _unit(axis: int, dims: int, sign: int = 1) -> list[int]:
    return [sign if a == axis else 0 for a in range(dims)]


def _central(padded: Tensor, spacing: Sequence[float]) -> list[Tensor]:
    d = len(spacing)
    return [
        (_shift(padded, _unit(a, d)) - _shift(padded, _unit(a, d, -1))) * (0.5 / spacing[a]) for a in range(d)
    ]


def gradient(x: Tensor, spacing: Sequence[float] | None = None) -> Tensor:
    """Central differences with a replicated border.

    The border voxel is repeated outside the image (Neumann condition), so at the border the value is half of
    the one-sided difference.

    Args:
        x: `(B, C, *spatial)`, 2D or 3D.
        spacing: mm per voxel, one per axis in tensor order; default 1.

    Returns:
        `(B, C, D, *spatial)`: the derivative along each of the D axes, per mm.

    Raises:
        ValueError: wrong shape, dtype or spacing.

    Example:
        >>> import torch
        >>> ramp = torch.arange(4.0).expand(1, 1, 3, 4)
        >>> gradient(ramp, spacing=(1.0, 2.0))[0, 0, 1, 0]
        tensor([0.2500, 0.5000, 0.5000, 0.2500])
    """
    h = check_spacing(spacing, spatial_dims(x, "x"))
    return torch.stack(_central(_pad(wide(x)), h), dim=2)


def gradient_magnitude(x: Tensor, spacing: Sequence[float] | None = None, eps: float = 0.0) -> Tensor:
    """Length of the gradient, sqrt(sum_i (dx/dx_i)^2 + eps).

    Args:
        x: `(B, C, *spatial)`, 2D or 3D.
        spacing: mm per voxel, one per axis; default 1.
        eps: added under the root. Give a small positive value (1e-8) when the result is differentiated:
            the length itself has no derivative where the gradient is zero.

    Returns:
        Tensor of the shape of `x`.

    Raises:
        ValueError: wrong shape, dtype or spacing.

    Example:
        >>> import torch
        >>> plane = 3 * torch.arange(5.0).view(5, 1) + 4 * torch.arange(5.0)
        >>> gradient_magnitude(plane.expand(1, 1, 5, 5))[0, 0, 2, 2]
        tensor(5.)
    """
    return (gradient(x, spacing).square().sum(dim=2) + eps).sqrt()


def _second_order(padded: Tensor, h: Sequence[float], g: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Laplacian and g^T Hessian g from the 3^D neighbourhood."""
    d = len(h)
    centre = 2 * _shift(padded, [0] * d)
    second = [
        (_shift(padded, _unit(a, d)) + _shift(padded, _unit(a, d, -1)) - centre) * h[a] ** -2
        for a in range(d)
    ]
    quadratic = [second[a] * g[a] * g[a] for a in range(d)]
    quadratic += [_mixed(padded, h, a, b) * g[a] * g[b] for a in range(d) for b in range(a)]
    return reduce(torch.add, second), reduce(torch.add, quadratic)


def _mixed(padded: Tensor, h: Sequence[float], a: int, b: int) -> Tensor:
    """Twice the mixed second derivative along axes a and b."""
    d = len(h)

    def corner(i: int, j: int) -> Tensor:
        return _shift(padded, [i if k == a else j if k == b else 0 for k in range(d)])

    return (corner(1, 1) + corner(-1, -1) - corner(1, -1) - corner(-1, 1)) * (0.5 / (h[a] * h[b]))


def curvature(
    phi: Tensor, spacing: Sequence[float] | None = None, weight: Tensor | None = None, eps: float = 1e-8
) -> Tensor:
    """Divergence of the (weighted) unit normal, div(b grad(phi)/|grad(phi)|), per mm.

    Computed as (Laplacian - n^T Hessian n)/|grad phi| from the 3^D neighbourhood, second order accurate; with
    a weight b it is b times that plus grad(b).n. With phi > 0 inside, a disc of radius r has curvature -1/r
    on its contour, a ball -2/r. The unweighted value is limited to the largest curvature a grid can carry,
    that of a blob of one voxel: 2 (D - 1)/min(spacing).

    Args:
        phi: level sets `(B, 1, *spatial)`, 2D or 3D.
        spacing: mm per voxel, one per axis; default 1.
        weight: b, `(B, 1, *spatial)` or broadcastable, for example `edge_indicator(image)`; default 1.
        eps: added to |grad phi|^2.

    Returns:
        Tensor of the shape of `phi`.

    Raises:
        ValueError: wrong shape, dtype or spacing.

    Example:
        >>> import torch
        >>> x = torch.arange(41.0) - 20
        >>> disc = 10 - (x[:, None] ** 2 + x**2).sqrt()
        >>> round(curvature(disc[None, None])[0, 0, 20, 30].item(), 3)
        -0.1
    """
    h = check_spacing(spacing, spatial_dims(phi))
    padded = _pad(wide(phi))
    g = _central(padded, h)
    norm2 = _norm2(g) + eps
    lap, quad = _second_order(padded, h, g)
    inverse = norm2.rsqrt()
    limit = 2 * (len(h) - 1) / min(h)
    kappa = ((lap - quad / norm2) * inverse).clamp(-limit, limit)
    if weight is None:
        return kappa
    weight = wide(weight)
    return weight * kappa + _dot(_central(_pad(weight), h), g) * inverse


def curvature_times_gradient(
    phi: Tensor, spacing: Sequence[float] | None = None, weight: Tensor | None = None, eps: float = 1e-8
) -> Tensor:
    """|grad phi| div(b grad(phi)/|grad(phi)|), the right-hand side of mean curvature flow.

    Bounded where the gradient vanishes, so it needs no limit.

    Args:
        phi: level sets `(B, 1, *spatial)`, 2D or 3D.
        spacing: mm per voxel, one per axis; default 1.
        weight: b, `(B, 1, *spatial)` or broadcastable; default 1.
        eps: added to |grad phi|^2.

    Returns:
        Tensor of the shape of `phi`.

    Raises:
        ValueError: wrong shape, dtype or spacing.

    Example:
        >>> import torch
        >>> curvature_times_gradient(torch.arange(5.0).expand(1, 1, 5, 5))[0, 0, 2, 2]
        tensor(0.)
    """
    h = check_spacing(spacing, spatial_dims(phi))
    padded = _pad(wide(phi))
    g = _central(padded, h)
    lap, quad = _second_order(padded, h, g)
    flow = lap - quad / (_norm2(g) + eps)
    if weight is None:
        return flow
    weight = wide(weight)
    return weight * flow + _dot(_central(_pad(weight), h), g)


def _norm2(g: Sequence[Tensor]) -> Tensor:
    return _dot(g, g)


def _dot(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    return reduce(torch.add, (x * y for x, y in zip(a, b, strict=True)))


def _gaussian(x: Tensor, sigma: float, spacing: Sequence[float]) -> Tensor:
    for axis, h in enumerate(spacing):
        radius = max(1, math.ceil(3 * sigma / h))
        t = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype) * h
        kernel = torch.exp(-0.5 * (t / sigma) ** 2)
        moved = x.movedim(axis + 2, -1)
        flat = F.pad(moved.reshape(-1, 1, moved.shape[-1]), (radius, radius), mode="replicate")
        with torch.autocast(x.device.type, enabled=False):
            flat = F.conv1d(flat, (kernel / kernel.sum()).view(1, 1, -1))
        x = flat.reshape(moved.shape).movedim(-1, axis + 2)
    return x


def edge_indicator(
    image: Tensor,
    *,
    contrast: float | None = None,
    scale: float = 0.0,
    spacing: Sequence[float] | None = None,
) -> Tensor:
    """Edge indicator b = 1/(1 + |grad I|^2/contrast^2): near 0 on edges, 1 in flat regions.

    Tang et al. (2017) write b = 1/(1 + |grad I|^2) for grey values of 0-255. With intensities in [0, 1]
    that formula (`contrast=1`) is about 1 everywhere and has no effect: `contrast=1/255` is then the paper's.

    Args:
        image: `(B, C, *spatial)`; squared gradients are summed over the channels.
        contrast: gradient magnitude, in intensity per mm, at which b = 1/2. Default: the root mean square
            gradient of each item, which makes b independent of the intensity scale.
        scale: standard deviation in mm of a Gaussian applied first; 0 for none.
        spacing: mm per voxel, one per axis; default 1.

    Returns:
        `(B, 1, *spatial)` in (0, 1].

    Raises:
        ValueError: wrong shape, dtype or spacing, `contrast` not positive, `scale` negative.

    Example:
        >>> import torch
        >>> step = (torch.arange(6) > 2).float().expand(1, 1, 6, 6)
        >>> edge_indicator(step, contrast=0.5)[0, 0, 0]
        tensor([1.0000, 1.0000, 0.5000, 0.5000, 1.0000, 1.0000])
    """
    h = check_spacing(spacing, spatial_dims(image, "image"))
    if contrast is not None and not contrast > 0:
        raise ValueError(f"`contrast` is a gradient magnitude and must be positive, got {contrast}.")
    if scale < 0:
        raise ValueError(f"`scale` must not be negative, got {scale}.")
    image = wide(image)
    smooth = _gaussian(image, scale, h) if scale > 0 else image
    power = gradient(smooth, h).square().sum(dim=(1, 2)).unsqueeze(1)
    if contrast is not None:
        return 1 / (1 + power / contrast**2)
    mean = power.mean(dim=tuple(range(1, power.ndim)), keepdim=True)
    return 1 / (1 + power / mean.clamp_min(torch.finfo(power.dtype).tiny))
