"""Shape prior: moments, residual and analytic pose gradients, priors from masks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .distance import signed_distance
from .geometry import _dot, check_spacing, gradient, spatial_dims
from .heaviside import HeavisideKind, dirac, heaviside
from .similarity import Similarity, per_item, sample, voxel_axes


def prior_with_gradient(prior_phi: Tensor, spacing: Sequence[float] | None = None) -> Tensor:
    """Stack a prior and its gradient, to be warped together.

    Args:
        prior_phi: `(B, 1, *spatial)`.
        spacing: mm per voxel; default 1.

    Returns:
        `(B, 1 + D, *spatial)`.

    Example:
        >>> import torch
        >>> prior_with_gradient(torch.zeros(1, 1, 4, 5, 6)).shape
        torch.Size([1, 4, 4, 5, 6])
    """
    return torch.cat([prior_phi, gradient(prior_phi, spacing)[:, 0]], dim=1)


def residual_and_jacobian(
    phi: Tensor, stacked: Tensor, pose: Similarity, spacing: Sequence[float] | None = None
) -> tuple[Tensor, list[Tensor]]:
    """Residual r = S phi - phi_M(A(x)) and its derivatives with respect to the pose.

    Args:
        phi: `(B, 1, *spatial)`.
        stacked: `prior_with_gradient(...)` of the prior phi_M.
        pose: A.
        spacing: mm per voxel; default 1.

    Returns:
        r and its P derivatives with respect to log S, the rotation (1 angle or 3 axis components, applied
        after R) and the D components of T, each `(B, 1, *spatial)`. P is 4 in 2D, 7 in 3D.

    Example:
        >>> import torch
        >>> phi = torch.zeros(1, 1, 5, 5)
        >>> r, jacobian = residual_and_jacobian(phi, prior_with_gradient(phi), Similarity.identity(1, 2))
        >>> r.shape, len(jacobian)
        (torch.Size([1, 1, 5, 5]), 4)
    """
    h = check_spacing(spacing, spatial_dims(phi))
    d = len(h)
    z = pose.turned(phi.shape[2:], h)
    value, *g = sample(stacked, pose.grid_from_turned(z, stacked.shape[2:], h)).split(1, dim=1)
    scaled = per_item(pose.scale, d) * phi
    turning = [z[b] * g[a] - z[a] * g[b] for a, b in _planes(d)]
    return scaled - value, [scaled - _dot(g, z), *turning, *(-x for x in g)]


def _planes(d: int) -> list[tuple[int, int]]:
    """Axes (a, b) of the rotation generators: -(z x g) = z_b g_a - z_a g_b."""
    return [(0, 1)] if d == 2 else [(1, 2), (2, 0), (0, 1)]


class PoseGradient(NamedTuple):
    """Derivatives of the shape energy with respect to the pose.

    Attributes:
        scale: dE/dS, `(B,)`.
        rotation: dE/dtheta, `(B, 1)`, or with respect to a small rotation vector applied after R, `(B, 3)`.
        translation: dE/dT, `(B, D)`.
    """

    scale: Tensor
    rotation: Tensor
    translation: Tensor


def pose_gradient(
    phi: Tensor,
    prior_phi: Tensor,
    pose: Similarity,
    *,
    spacing: Sequence[float] | None = None,
    eps: float = 1.5,
    kind: HeavisideKind = "sine",
) -> PoseGradient:
    """Analytic gradient of E = sum delta(phi) (S phi - phi_M(A(x)))^2 dx with respect to A.

    Tang et al. (2017), eq. 4: with r = S phi - phi_M(A),
    dE/dS = 2 sum delta r (phi - grad phi_M . R x), dE/dT = -2 sum delta r grad phi_M,
    dE/dtheta = -2 sum delta r grad phi_M . (S R_theta x).

    Args:
        phi: `(B, 1, *spatial)`.
        prior_phi: phi_M, `(B, 1, *spatial)` or `(1, 1, *spatial)`.
        pose: A.
        spacing: mm per voxel; default 1.
        eps: half width of delta.
        kind: family of delta.

    Returns:
        The derivatives; the gradient of phi_M is by central differences.

    Example:
        >>> import torch
        >>> plane = torch.arange(9.0).expand(1, 1, 9, 9) - 4
        >>> pose_gradient(plane, plane - 1, Similarity.identity(1, 2)).translation.sign()
        tensor([[ 0., -1.]])
    """
    h = check_spacing(spacing, spatial_dims(phi))
    r, jacobian = residual_and_jacobian(phi, prior_with_gradient(prior_phi, h), pose, h)
    factor = 2 * math.prod(h) * dirac(phi, eps, kind) * r
    total = torch.cat([(factor * j).flatten(2).sum(2) for j in jacobian], dim=1)
    k = 1 if len(h) == 2 else 3
    return PoseGradient(total[:, 0] / pose.scale, total[:, 1 : 1 + k], total[:, 1 + k :])


def _moments(phi: Tensor, h: Sequence[float], eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Volume `(B,)`, centroid `(B, D)` and covariance `(B, D, D)` of {phi > 0}, in mm."""
    axes = voxel_axes(phi.shape[2:], h, phi)
    x = torch.stack([a.flatten() for a in torch.broadcast_tensors(*axes)])
    inside = heaviside(phi, eps).flatten(1)
    mass = inside.sum(1)
    safe = mass.clamp_min(1e-6)[:, None]
    centre = inside @ x.T / safe
    offset = x - centre[:, :, None]
    cov = (inside[:, None] * offset) @ offset.transpose(1, 2) / safe[:, :, None]
    return mass * math.prod(h), centre, cov


def _proper_axes(cov: Tensor) -> Tensor:
    """Principal axes as columns of proper rotations, longest first."""
    axes = torch.linalg.eigh(cov).eigenvectors.flip(2)
    last = axes[..., -1:] * torch.linalg.det(axes).sign()[:, None, None]
    return torch.cat([axes[..., :-1], last], dim=2)


def _candidates(cov: Tensor, prior_cov: Tensor) -> list[Tensor]:
    """Rotations that map principal axes to principal axes, one per choice of signs, and the identity."""
    d = cov.shape[-1]
    axes, prior_axes = _proper_axes(cov), _proper_axes(prior_cov)
    signs = [s for s in itertools.product((1.0, -1.0), repeat=d) if math.prod(s) > 0]
    turned = [(prior_axes * cov.new_tensor(s)) @ axes.transpose(1, 2) for s in signs]
    return [*turned, torch.eye(d, dtype=cov.dtype, device=cov.device).expand_as(cov)]


@torch.no_grad()
def moments_pose(
    phi: Tensor,
    prior_phi: Tensor,
    *,
    spacing: Sequence[float] | None = None,
    eps: float = 1.5,
    max_scale: float = 10.0,
) -> Similarity:
    """Pose that matches volume, centroid and principal axes of {phi > 0} and {phi_M > 0}.

    The axes leave 2 (2D) or 4 (3D) rotations open; of these and of no rotation at all, the one of lowest
    shape energy is taken. Shapes are never mirrored. Not differentiable: the result is a constant.

    Args:
        phi: `(B, 1, *spatial)`.
        prior_phi: `(B, 1, *spatial)` or `(1, 1, *spatial)` signed distance of the prior.
        spacing: mm per voxel; default 1.
        eps: half width of the smooth step used for the moments.
        max_scale: the scale is kept within [1/max_scale, max_scale].

    Returns:
        The transforms; the identity for items without an inside.

    Raises:
        ValueError: wrong shape, dtype or spacing.

    Example:
        >>> import torch
        >>> x = torch.arange(32.0) - 15.5
        >>> r = (x[:, None] ** 2 + x**2).sqrt()[None, None]
        >>> round(moments_pose(5 - r, 10 - r).scale.item(), 1)
        2.0
    """
    h = check_spacing(spacing, spatial_dims(phi))
    d, batch = len(h), phi.shape[0]
    mass, centre, cov = _moments(phi, h, eps)
    prior_mass, prior_centre, prior_cov = (
        m.expand(batch, *m.shape[1:]) for m in _moments(prior_phi.to(phi), h, eps)
    )
    empty = (mass < math.prod(h)) | (prior_mass < math.prod(h))
    scale = (prior_mass / mass.clamp_min(1e-6)).pow(1 / d).clamp(1 / max_scale, max_scale)
    poses = []
    for rotation in _candidates(cov, prior_cov):
        moved = (rotation @ centre[:, :, None])[:, :, 0]
        poses.append(Similarity(scale, rotation, prior_centre - scale[:, None] * moved))
    best = _lowest_energy(phi, prior_phi.to(phi), poses, h, eps)
    identity = Similarity.identity(batch, d, dtype=phi.dtype, device=phi.device)
    return _select(empty, identity, best)


def _select(condition: Tensor, a: Similarity, b: Similarity) -> Similarity:
    return Similarity(
        torch.where(condition, a.scale, b.scale),
        torch.where(condition[:, None, None], a.rotation, b.rotation),
        torch.where(condition[:, None], a.translation, b.translation),
    )


def _lowest_energy(
    phi: Tensor, prior_phi: Tensor, poses: list[Similarity], h: Sequence[float], eps: float
) -> Similarity:
    band = dirac(phi, eps)
    best, lowest = poses[0], torch.full_like(poses[0].scale, math.inf)
    for pose in poses:
        r = per_item(pose.scale, len(h)) * phi - pose.warp(prior_phi, phi.shape[2:], h)
        energy = (band * r * r).flatten(1).sum(1)
        best = _select(energy < lowest, pose, best)
        lowest = torch.minimum(energy, lowest)
    return best


def canonical_prior(mask: Tensor, *, spacing: Sequence[float] | None = None) -> Tensor:
    """Signed-distance prior from training masks: centred, and averaged after alignment if there are several.

    Every mask is moved so that its centroid lies in the centre of the grid. Of several masks, the others are
    laid on the first by `moments_pose` (rotation, scale, translation) and the signed distances, each in mm of
    the common frame, are averaged.

    Args:
        mask: `(N, 1, *spatial)`, 0/1, none empty.
        spacing: mm per voxel; default 1.

    Returns:
        `(1, 1, *spatial)` for `ShapePriorForce`.

    Raises:
        ValueError: wrong shape or spacing, or a mask is empty.

    Example:
        >>> import torch
        >>> mask = torch.zeros(1, 1, 9, 9)
        >>> mask[..., 0:3, 0:3] = 1
        >>> (canonical_prior(mask) > 0)[0, 0, 3:6, 3:6].all().item()
        True
    """
    phi = signed_distance(mask, spacing)
    h = check_spacing(spacing, spatial_dims(phi, "mask"))
    empty = (mask > 0.5).flatten(1).any(1).logical_not().nonzero().flatten().tolist()
    if empty:
        raise ValueError(f"A shape prior needs a shape: masks {empty} are empty. Leave them out.")
    first = Similarity.identity(1, len(h), dtype=phi.dtype)
    first = first._replace(translation=_moments(phi[:1], h, 1.5)[1])
    centred = first.warp(phi[:1], spacing=h)
    if len(phi) == 1:
        return centred
    pose = moments_pose(centred.expand_as(phi[1:]), phi[1:], spacing=h)
    others = pose.warp(phi[1:], spacing=h) / per_item(pose.scale, len(h))
    return torch.cat([centred, others]).mean(0, keepdim=True)
