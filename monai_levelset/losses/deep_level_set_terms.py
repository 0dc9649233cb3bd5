"""Terms of the deep level set's criterion: cross entropy on H(phi), distance, direction of motion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from ..levelset.geometry import check_spacing, spatial_dims
from ..levelset.heaviside import _check
from ..levelset.precision import plain, wide
from .reduction import Reduction, check_reduction, reduce_items

StepKind = Literal["arctan", "tanh"]


def class_balanced_cross_entropy(
    phi: Tensor,
    target: Tensor,
    *,
    eps: float = 1.0,
    heaviside: StepKind = "arctan",
    reduction: Reduction = "mean",
) -> Tensor:
    """Binary cross entropy of H(phi) with weights that make up for the classes' sizes (Zheng et al., eq. 6).

    Per item, with N voxels of which N_p are foreground and N_n background,

        L = -1/N sum_voxels w_p Y log H(phi) + w_n (1 - Y) log(1 - H(phi)),   w_p = N_n/N,  w_n = N_p/N,

    so that both classes weigh the same in total, N_p w_p = N_n w_n. An item without one of the classes has
    nothing to balance and takes w_p = w_n = 1/2; with the formula its loss would be zero.

    H must be positive everywhere, or the loss of a confident error is infinite and its gradient zero. With
    `arctan`, the reference behaviour, a wrong voxel at distance |phi| from the contour has the slope 1/|phi|
    and so is always reached, and one error does not outweigh the rest. With `tanh`, where H is the sigmoid of
    2 phi/eps, the slope tends to 2/eps. The compact step that belongs to the evolution's delta,
    (1 + cos(pi x/9))/2 for |x| < 9, would teach nothing outside its band of 9 and is refused.

    Args:
        phi: level set `(B, 1, *spatial)`, positive inside.
        target: mask of the shape of `phi`; foreground is where it is above 0.5.
        eps: half width of the step, in the unit of `phi`.
        heaviside: `arctan` or `tanh`.
        reduction: over the batch: `mean`, `sum` or `none`.

    Returns:
        Scalar, or `(B,)` with `reduction="none"`, at least float32.

    Raises:
        ValueError: shapes that differ, `eps` not positive, another Heaviside or reduction.

    Example:
        >>> import torch
        >>> target = torch.tensor([[[[0.0, 0.0, 0.0, 1.0]]]])
        >>> class_balanced_cross_entropy(torch.zeros(1, 1, 1, 4), target)  # log(2) (3 1/4 + 1 3/4)/4
        tensor(0.2599)
    """
    check_reduction(reduction)
    _check_shapes(phi, target, "phi")
    _check_step(eps, heaviside)
    x, y = wide(phi).flatten(1), (plain(target).flatten(1) > 0.5).to(wide(phi).dtype)
    wrong = (1 - 2 * y) * x / eps  # positive where the sign of phi is wrong
    loss = _minus_log_step(wrong, heaviside)
    share = y.mean(1, keepdim=True)
    weight = torch.where((share > 0) & (share < 1), y * (1 - share) + (1 - y) * share, 0.5)
    return reduce_items((weight * loss).mean(1), reduction)


def _minus_log_step(wrong: Tensor, heaviside: StepKind) -> Tensor:
    """-log H(-wrong), without cancellation where H is small."""
    if heaviside == "tanh":
        return F.softplus(2 * wrong)
    return math.log(math.pi) - torch.atan2(torch.ones_like(wrong), wrong).log()


def distance_loss(
    phi0: Tensor, distance: Tensor, *, limit: float = 30.0, reduction: Reduction = "mean"
) -> Tensor:
    """Mean squared difference of the initial level set and the true distance, truncated to +-limit.

    Args:
        phi0: predicted distance `(B, 1, *spatial)`.
        distance: true signed distance of the same shape, positive inside, in the unit of `phi0`.
        limit: distances beyond it are truncated; the paper's is 30.
        reduction: over the batch: `mean`, `sum` or `none`.

    Returns:
        Scalar, or `(B,)` with `reduction="none"`, at least float32.

    Raises:
        ValueError: shapes that differ, `limit` not positive, or an unknown reduction.

    Example:
        >>> import torch
        >>> distance = torch.tensor([[[[-40.0, -1.0, 1.0, 2.0]]]])
        >>> distance_loss(torch.tensor([[[[-30.0, -1.0, 1.0, 4.0]]]]), distance)
        tensor(1.)
    """
    check_reduction(reduction)
    _check_shapes(phi0, distance, "phi0")
    _check_limit(limit)
    error = wide(phi0) - wide(distance).clamp(-limit, limit)
    return reduce_items(error.square().flatten(1).mean(1), reduction)


def true_direction(distance: Tensor, spacing: Sequence[float] | None = None) -> Tensor:
    """Unit vectors along which the motion field V should point: grad|D|/|grad|D||, away from the contour.

    The evolution is phi += dt delta(phi) <V, grad phi>, so with phi > 0 inside the contour moves with
    velocity -V: a field that points away from the true contour draws the evolving one to it, on both sides.
    Differences are central, one-sided at the image's border, and taken of D, so the contour is no kink.

    Args:
        distance: true signed distance `(B, 1, *spatial)`, positive inside, at least 2 voxels along each axis.
        spacing: mm per voxel, one per axis; default 1.

    Returns:
        `(B, D, *spatial)`: unit vectors, or zero where no direction is defined (on ridges, beyond a
        truncation, in images without a contour).

    Raises:
        ValueError: wrong shape, dtype or spacing.

    Example:
        >>> import torch
        >>> distance = torch.tensor([-1.5, -0.5, 0.5, 1.5]).expand(1, 1, 2, 4)
        >>> true_direction(distance)[0, :, 0]
        tensor([[ 0.,  0.,  0.,  0.],
                [-1., -1.,  1.,  1.]])
    """
    dims = spatial_dims(distance, "distance")
    h = check_spacing(spacing, dims)
    if not torch.jit.is_tracing() and (distance.shape[1] != 1 or min(distance.shape[2:]) < 2):
        raise ValueError(
            "`distance` must have one channel and at least 2 voxels per axis, got shape "
            f"{tuple(distance.shape)}."
        )
    d = wide(distance)[:, 0]
    slopes = torch.stack(torch.gradient(d, spacing=h, dim=list(range(1, dims + 1))), 1)
    length = torch.linalg.vector_norm(slopes, dim=1, keepdim=True)
    unit = slopes * d.sign()[:, None] / length.clamp_min(1e-3)
    return torch.where(length > 1e-3, unit, 0.0) + 0.0


def direction_loss(motion: Tensor, direction: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Mean squared angle, in rad^2, between the motion field and the true direction; at most pi^2.

    The angle is atan2(|V - <V,u>u|, <V,u>): unlike arccos of a cosine its gradient is finite for parallel and
    opposite vectors. Only voxels with a direction count. Lengths of V do not matter as long as they are well
    above 1e-3; below, the angle tends to a right one and the gradient stays finite.

    Args:
        motion: V, `(B, D, *spatial)`, components in tensor order.
        direction: unit vectors of the same shape, zero where undefined, from `true_direction`.
        reduction: over the batch: `mean`, `sum` or `none`.

    Returns:
        Scalar, or `(B,)` with `reduction="none"`; 0 for an item without any direction; at least float32.

    Raises:
        ValueError: shapes that differ or an unknown reduction.

    Example:
        >>> import torch
        >>> direction = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)
        >>> angle = direction_loss(torch.tensor([3.0, 3.0]).view(1, 2, 1, 1), direction).sqrt()
        >>> round(torch.rad2deg(angle).item(), 2)
        45.0
    """
    check_reduction(reduction)
    _check_shapes(motion, direction, "motion")
    v, u = wide(motion), wide(direction)
    along = (v * u).sum(1)
    across = ((v - along[:, None] * u).square().sum(1) + 1e-6).sqrt()
    defined = u.square().sum(1) > 0.5
    squares = torch.where(defined, torch.atan2(across, along).square(), 0.0).flatten(1).sum(1)
    return reduce_items(squares / defined.flatten(1).sum(1).clamp_min(1), reduction)


def _check_step(eps: float, heaviside: str) -> None:
    if heaviside not in get_args(StepKind):
        raise ValueError(
            f"`heaviside` must be 'arctan' or 'tanh', which are positive everywhere, got {heaviside!r}: with "
            "other steps voxels far from the contour get no gradient."
        )
    _check(eps, heaviside)


def _check_limit(limit: float) -> None:
    if not limit > 0:
        raise ValueError(f"`limit` must be a positive distance, got {limit}.")


def _check_shapes(output: Tensor, target: Tensor, name: str) -> None:
    spatial_dims(output, name)
    if not torch.jit.is_tracing() and output.shape != target.shape:  # sizes are tensors when tracing
        raise ValueError(
            f"`{name}` and its target must have one shape, got {tuple(output.shape)} and "
            f"{tuple(target.shape)}."
        )
