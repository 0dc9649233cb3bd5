"""Prior shape with an estimated pose."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..geometry import check_spacing, spatial_dims
from ..heaviside import HeavisideKind, _check, dirac, dirac_derivative
from ..precision import wide
from ..shape_prior import moments_pose, prior_with_gradient, residual_and_jacobian
from ..similarity import Similarity, per_item, rotation_matrix
from .base import item_sum


class ShapePriorForce:
    """Pulls the contour towards a prior shape whose position, size and orientation are estimated along.

    Tang et al. (2017), eq. 4: E = nu sum delta(phi) rho(r) dx, r = S phi(x) - phi_M(A(x)), A(x) = S R x + T,
    rho(r) = r^2. Velocity -nu (delta rho'(r) S + delta' rho(r)). The second part is zero on the contour and
    steepens phi around it; it grows with r^2 and makes large steps unstable, so it is left out unless
    `dirac_derivative_term=True`.

    The pose A is the force's state. It starts from `moments_pose(phi, prior_phi)`, is refined by
    `pose_warmup` steps while phi stands still, and then follows, in every step of `evolve`, the energy's
    gradient, preconditioned by its damped Gauss-Newton matrix in (log S, angle, T/radius): convergence does
    not depend on image size or voxel spacing. By default the pose is fitted robustly (Huber), so that a
    missing or leaking part of the contour does not drag the prior along: with the paper's plain square
    (`pose_residual_limit=None`) pose and contour soon agree on a place that fits neither.

    Args:
        prior_phi: phi_M, signed distance of the prior, `(B, 1, *spatial)` or `(1, 1, *spatial)`; its grid may
            differ in size from the image's but has the same spacing. See `canonical_prior`.
        weight: nu. Steps of the contour are stable for dt nu S^2 < eps.
        residual_limit: rho becomes linear beyond this |r| (Huber), so that far parts pull no harder; in mm.
            Default: none, the paper's square.
        pose_residual_limit: the same for the fit of the pose, in units of the smallest spacing; `None` for
            the paper's square.
        pose_warmup: pose steps before the first step of phi, not differentiated; only without `initial_pose`.
        pose_rate: share of the Gauss-Newton step taken each time; 0 keeps the initial pose.
        max_pose_change: largest change per step of log S, angle (radians) and T/radius.
        damping: added to the Gauss-Newton matrix, relative to its mean diagonal.
        initial_pose: start from here instead. The start is a constant to autograd, unless given here.
        dirac_derivative_term: see above.
        spacing: mm per voxel; default 1.
        eps: half width of delta, in the unit of phi.
        kind: family of delta.

    Raises:
        ValueError: wrong shape of `prior_phi`, `eps` or a limit not positive, unknown `kind`.

    Example:
        >>> import torch
        >>> x = torch.arange(33.0) - 16
        >>> disc = (8 - (x[:, None] ** 2 + x**2).sqrt())[None, None]
        >>> force = ShapePriorForce(disc)
        >>> velocity, pose = force.step(disc, force.initial_state(disc))
        >>> bool(velocity.abs().max() < 1e-4)
        True
    """

    def __init__(
        self,
        prior_phi: Tensor,
        *,
        weight: float = 0.25,
        residual_limit: float | None = None,
        pose_residual_limit: float | None = 0.25,
        pose_warmup: int = 5,
        pose_rate: float = 0.5,
        max_pose_change: float = 0.1,
        damping: float = 1e-2,
        initial_pose: Similarity | None = None,
        dirac_derivative_term: bool = False,
        spacing: Sequence[float] | None = None,
        eps: float = 1.5,
        kind: HeavisideKind = "sine",
    ) -> None:
        _check(eps, kind)
        for name, value in {
            "residual_limit": residual_limit,
            "pose_residual_limit": pose_residual_limit,
        }.items():
            if value is not None and not value > 0:
                raise ValueError(f"`{name}` must be positive or None, got {value}.")
        if pose_warmup < 0:
            raise ValueError(f"`pose_warmup` must not be negative, got {pose_warmup}.")
        self.spacing = check_spacing(spacing, spatial_dims(prior_phi, "prior_phi"))
        self.prior_phi = prior_phi = wide(prior_phi)
        self._stacked = prior_with_gradient(prior_phi, self.spacing)
        extent = min((n - 1) * s for n, s in zip(prior_phi.shape[2:], self.spacing, strict=True))
        self._radius = max(extent / 4, min(self.spacing))
        self.weight, self.residual_limit = weight, residual_limit
        self.pose_residual_limit, self.pose_warmup = pose_residual_limit, pose_warmup
        self.pose_rate, self.max_pose_change, self.damping = pose_rate, max_pose_change, damping
        self.initial_pose, self.dirac_derivative_term = initial_pose, dirac_derivative_term
        self.eps, self.kind = eps, kind

    def initial_state(self, phi: Tensor) -> Similarity:
        """The given initial pose, or the one from the moments."""
        if self.initial_pose is not None:
            return self.initial_pose
        phi = wide(phi)
        pose = moments_pose(phi, self.prior_phi, spacing=self.spacing)
        with torch.no_grad():
            band = dirac(phi, self.eps, self.kind)
            for _ in range(self.pose_warmup):
                r, jacobian = residual_and_jacobian(phi, self._stacked, pose, self.spacing)
                pose = self._next_pose(pose, band, r, jacobian)
        return pose

    def step(self, phi: Tensor, state: Similarity) -> tuple[Tensor, Similarity]:
        """Velocity at (phi, pose) and the next pose."""
        r, jacobian = residual_and_jacobian(wide(phi), self._stacked, state, self.spacing)
        band = dirac(phi, self.eps, self.kind)
        scale = per_item(state.scale, len(self.spacing))
        velocity = (-2 * self.weight) * scale * band * self._clip(r)
        if self.dirac_derivative_term:
            velocity = velocity - self.weight * dirac_derivative(phi, self.eps, self.kind) * self._rho(r)
        return velocity, self._next_pose(state, band, r, jacobian)

    def energy(self, phi: Tensor, state: Similarity) -> Tensor:
        """Weighted squared difference of the two distances on the contour, `(B,)`."""
        scale = per_item(state.scale, len(self.spacing))
        r = scale * wide(phi) - state.warp(self.prior_phi, phi.shape[2:], self.spacing)
        band = dirac(phi, self.eps, self.kind)
        return self.weight * math.prod(self.spacing) * item_sum(band * self._rho(r))

    def _clip(self, r: Tensor) -> Tensor:
        return r if self.residual_limit is None else r.clamp(-self.residual_limit, self.residual_limit)

    def _rho(self, r: Tensor) -> Tensor:
        clipped = self._clip(r)
        return clipped * (2 * r - clipped)

    def _next_pose(self, pose: Similarity, band: Tensor, r: Tensor, jacobian: list[Tensor]) -> Similarity:
        d = len(self.spacing)
        if self.pose_residual_limit is not None:
            limit = self.pose_residual_limit * min(self.spacing)
            band = band * limit / r.abs().clamp_min(limit)
        unit = r.new_tensor([1.0] * (len(jacobian) - d) + [self._radius] * d)
        columns = torch.cat([*jacobian, r], 1).flatten(2)
        gram = (columns * band.flatten(2)) @ columns.transpose(1, 2)
        normal = gram[:, :-1, :-1] * unit * unit[:, None]
        eye = torch.eye(len(unit), dtype=r.dtype, device=r.device)
        mean_diagonal = (normal * eye).sum((1, 2)) / len(unit)
        damped = normal + (self.damping * mean_diagonal + 1e-6)[:, None, None] * eye
        change = torch.linalg.solve_ex(damped, (gram[:, :-1, -1] * unit)[:, :, None])[0][:, :, 0]
        change = (-self.pose_rate * change).clamp(-self.max_pose_change, self.max_pose_change)
        return Similarity(
            pose.scale * change[:, 0].exp(),
            rotation_matrix(change[:, 1:-d]) @ pose.rotation,
            pose.translation + change[:, -d:] * self._radius,
        )
