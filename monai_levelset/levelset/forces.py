"""Forces that move a level set: small callables phi -> velocity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any, Literal, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

from .geometry import (
    check_spacing,
    curvature,
    curvature_times_gradient,
    gradient,
    gradient_magnitude,
    spatial_dims,
)
from .heaviside import HeavisideKind, _check, dirac, dirac_derivative, heaviside
from .shape_prior import moments_pose, prior_with_gradient, residual_and_jacobian
from .similarity import Similarity, per_item, rotation_matrix


@runtime_checkable
class Force(Protocol):
    """A force without memory. It may also have `energy(phi) -> (B,)`, used to judge convergence.

    Example:
        >>> isinstance(CurvatureForce(), Force)
        True
    """

    def __call__(self, phi: Tensor) -> Tensor:
        """Velocity `(B, 1, *spatial)` of the level sets phi `(B, 1, *spatial)`; positive grows the inside."""
        ...


@runtime_checkable
class StatefulForce(Protocol):
    """A force with variables of its own that evolve with phi, such as the pose of a prior.

    The object itself never changes: `evolve` carries the state from step to step and returns the last one. A
    state is a tuple of tensors whose first axis is the batch. It may also have `energy(phi, state) -> (B,)`.

    Example:
        >>> import torch
        >>> isinstance(ShapePriorForce(torch.zeros(1, 1, 8, 8)), StatefulForce)
        True
    """

    def initial_state(self, phi: Tensor) -> Any:
        """State to start from."""
        ...

    def step(self, phi: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Velocity at (phi, state) and the next state."""
        ...


def _sum(x: Tensor) -> Tensor:
    return x.flatten(1).sum(1)


def _volume(spacing: Sequence[float] | None, phi: Tensor) -> float:
    return math.prod(check_spacing(spacing, spatial_dims(phi)))


class CurvatureForce:
    """Smoothness: shortens the contour, where wanted only away from image edges.

    Velocity mu delta(phi) div(b grad phi/|grad phi|) (Tang et al. 2017; Chan and Vese 2001), or with
    `measure="gradient"` mu |grad phi| div(b grad phi/|grad phi|), geometric mean curvature flow, which moves
    all level lines and shrinks a disc as r^2 = r0^2 - 2 mu t. Explicit steps are stable up to about
    dt mu = h^2/(2 D).

    The energy is mu times the contour's weighted length, sum b delta(phi) |grad phi| dx. The `dirac` velocity
    is its continuous gradient, discretised: exact only up to the grid's resolution.

    Args:
        weight: mu.
        edge: b, `(B, 1, *spatial)` or broadcastable, such as `edge_indicator(image)`; default 1.
        spacing: mm per voxel; default 1.
        measure: `dirac` or `gradient`, see above.
        eps: half width of delta, in the unit of phi.
        kind: family of delta.

    Raises:
        ValueError: unknown `measure` or `kind`, `eps` not positive.

    Example:
        >>> import torch
        >>> x = torch.arange(33.0) - 16
        >>> disc = (10 - (x[:, None] ** 2 + x**2).sqrt())[None, None]
        >>> force = CurvatureForce(weight=2.0, measure="gradient")
        >>> round(force(disc)[0, 0, 16, 26].item(), 2)
        -0.2
    """

    def __init__(
        self,
        *,
        weight: float = 1.0,
        edge: Tensor | None = None,
        spacing: Sequence[float] | None = None,
        measure: Literal["dirac", "gradient"] = "dirac",
        eps: float = 1.5,
        kind: HeavisideKind = "sine",
    ) -> None:
        _check(eps, kind)
        if measure not in ("dirac", "gradient"):
            raise ValueError(f"`measure` must be 'dirac' or 'gradient', got {measure!r}.")
        self.weight, self.edge, self.spacing = weight, edge, spacing
        self.measure, self.eps, self.kind = measure, eps, kind

    def __call__(self, phi: Tensor) -> Tensor:
        """Velocity, see the class."""
        if self.measure == "gradient":
            return self.weight * curvature_times_gradient(phi, self.spacing, self.edge)
        band = dirac(phi, self.eps, self.kind)
        return self.weight * band * curvature(phi, self.spacing, self.edge)

    def energy(self, phi: Tensor) -> Tensor:
        """Weighted length (2D) or area (3D) of the contour, `(B,)`."""
        length = dirac(phi, self.eps, self.kind) * gradient_magnitude(phi, self.spacing, eps=1e-12)
        if self.edge is not None:
            length = self.edge * length
        return self.weight * _volume(self.spacing, phi) * _sum(length)


class RegionForce:
    """Data term from a foreground probability map: grows where p > 1/2, shrinks where p < 1/2.

    Energy -lambda sum [H(phi) log p + (1 - H(phi)) log(1 - p)] dx (Tang et al. 2017, eq. 3 with the sign that
    minimises); velocity, exactly its negative gradient per voxel volume, lambda delta(phi) log(p/(1 - p)).
    The log odds are clipped to [-clip, clip] in both, so p = 0 and p = 1 are fine.

    A Chan-Vese data term for means c1 inside and c2 outside is
    `RegionForce(torch.sigmoid((image - c2) ** 2 - (image - c1) ** 2))`.

    Args:
        probability: p in [0, 1], `(B, 1, *spatial)` or `(1, 1, *spatial)`. Gradients flow into it.
        weight: lambda.
        clip: largest |log odds|; the default 5 keeps p within [0.0067, 0.9933].
        spacing: mm per voxel, for the energy; default 1.
        eps: half width of delta, in the unit of phi: about 1.5 times the largest spacing.
        kind: family of H and delta.

    Raises:
        ValueError: wrong shape of `probability`, `clip` or `eps` not positive, unknown `kind`.

    Example:
        >>> import torch
        >>> force = RegionForce(torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 1, 3), eps=1.0, clip=4.0)
        >>> force(torch.zeros(1, 1, 1, 3))[0, 0, 0].round()
        tensor([-4.,  0.,  4.])
    """

    def __init__(
        self,
        probability: Tensor,
        *,
        weight: float = 1.0,
        clip: float = 5.0,
        spacing: Sequence[float] | None = None,
        eps: float = 1.5,
        kind: HeavisideKind = "sine",
    ) -> None:
        _check(eps, kind)
        spatial_dims(probability, "probability")
        if not clip > 0:
            raise ValueError(f"`clip` is the largest |log odds| and must be positive, got {clip}.")
        bound = 1 / (1 + math.exp(-clip))
        self.log_odds = torch.logit(probability.clamp(1 - bound, bound))
        self.weight, self.spacing, self.eps, self.kind = weight, spacing, eps, kind

    def __call__(self, phi: Tensor) -> Tensor:
        """Velocity, see the class."""
        return self.weight * dirac(phi, self.eps, self.kind) * self.log_odds

    def energy(self, phi: Tensor) -> Tensor:
        """Cross entropy of the smooth mask H(phi) against p, `(B,)`."""
        inside = heaviside(phi, self.eps, self.kind)
        log_likelihood = inside * self.log_odds + F.logsigmoid(-self.log_odds)
        return -self.weight * _volume(self.spacing, phi) * _sum(log_likelihood)


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
        self.prior_phi = prior_phi
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
        pose = moments_pose(phi, self.prior_phi, spacing=self.spacing)
        with torch.no_grad():
            band = dirac(phi, self.eps, self.kind)
            for _ in range(self.pose_warmup):
                r, jacobian = residual_and_jacobian(phi, self._stacked, pose, self.spacing)
                pose = self._next_pose(pose, band, r, jacobian)
        return pose

    def step(self, phi: Tensor, state: Similarity) -> tuple[Tensor, Similarity]:
        """Velocity at (phi, pose) and the next pose."""
        r, jacobian = residual_and_jacobian(phi, self._stacked, state, self.spacing)
        band = dirac(phi, self.eps, self.kind)
        scale = per_item(state.scale, len(self.spacing))
        velocity = (-2 * self.weight) * scale * band * self._clip(r)
        if self.dirac_derivative_term:
            velocity = velocity - self.weight * dirac_derivative(phi, self.eps, self.kind) * self._rho(r)
        return velocity, self._next_pose(state, band, r, jacobian)

    def energy(self, phi: Tensor, state: Similarity) -> Tensor:
        """Weighted squared difference of the two distances on the contour, `(B,)`."""
        scale = per_item(state.scale, len(self.spacing))
        r = scale * phi - state.warp(self.prior_phi, phi.shape[2:], self.spacing)
        band = dirac(phi, self.eps, self.kind)
        return self.weight * math.prod(self.spacing) * _sum(band * self._rho(r))

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
        diagonal = normal.diagonal(dim1=1, dim2=2).mean(1)
        eye = torch.eye(len(unit), dtype=r.dtype, device=r.device)
        damped = normal + (self.damping * diagonal + 1e-6)[:, None, None] * eye
        change = torch.linalg.solve_ex(damped, (gram[:, :-1, -1] * unit)[:, :, None])[0][:, :, 0]
        change = (-self.pose_rate * change).clamp(-self.max_pose_change, self.max_pose_change)
        return Similarity(
            pose.scale * change[:, 0].exp(),
            rotation_matrix(change[:, 1:-d]) @ pose.rotation,
            pose.translation + change[:, -d:] * self._radius,
        )


class DistanceRegularization:
    """Keeps |grad phi| near 1 during the evolution, without re-initialisation (DRLSE, Li et al. 2010).

    Velocity mu div(d_p(|grad phi|) grad phi), gradient descent of mu sum p(|grad phi|) dx. Explicit steps are
    stable for dt mu < h^2/(2 D).

    Args:
        weight: mu; Li et al. use 0.2/dt.
        potential: `double-well`, p(s) = (1 - cos 2 pi s)/(2 pi)^2 below 1 and (s - 1)^2/2 above, which also
            lets phi be flat far from the contour; or `single-well`, (s - 1)^2/2 everywhere.
        spacing: mm per voxel; default 1.

    Raises:
        ValueError: unknown `potential`.

    Example:
        >>> import torch
        >>> plane = torch.arange(9.0).expand(1, 1, 9, 9)
        >>> DistanceRegularization()(plane)[0, 0, 4, 4].abs() < 1e-5
        tensor(True)
    """

    def __init__(
        self,
        *,
        weight: float = 0.2,
        potential: Literal["double-well", "single-well"] = "double-well",
        spacing: Sequence[float] | None = None,
    ) -> None:
        if potential not in ("double-well", "single-well"):
            raise ValueError(f"`potential` must be 'double-well' or 'single-well', got {potential!r}.")
        self.weight, self.potential, self.spacing = weight, potential, spacing

    def __call__(self, phi: Tensor) -> Tensor:
        """Velocity, see the class."""
        h = check_spacing(self.spacing, spatial_dims(phi))
        g = gradient(phi, h)[:, 0]
        parts = [self._flux(phi, g, axis, h).diff(dim=axis + 2) / h[axis] for axis in range(len(h))]
        return self.weight * reduce(torch.add, parts)

    def _flux(self, phi: Tensor, g: Tensor, axis: int, h: Sequence[float]) -> Tensor:
        """d_p grad phi through the faces across one axis; none through the image border."""
        dim = axis + 2
        normal = phi.diff(dim=dim) / h[axis]
        squares = g.square().sum(1, keepdim=True) - g[:, axis : axis + 1].square()
        n = phi.shape[dim]
        across = 0.5 * (squares.narrow(dim, 0, n - 1) + squares.narrow(dim, 1, n - 1))
        slope = (normal * normal + across + 1e-10).sqrt()
        factor = 1 - 1 / slope
        if self.potential == "double-well":
            factor = torch.where(slope > 1, factor, torch.sinc(2 * slope))
        side = [0, 0] * (len(h) - 1 - axis) + [1, 1]
        return F.pad(factor * normal, side)

    def energy(self, phi: Tensor) -> Tensor:
        """Sum of the potential, `(B,)`."""
        slope = gradient_magnitude(phi, self.spacing, eps=1e-10)
        well = 0.5 * (slope - 1).square()
        if self.potential == "double-well":
            wave = (1 - torch.cos(2 * math.pi * slope)) / (2 * math.pi) ** 2
            well = torch.where(slope > 1, well, wave)
        return self.weight * _volume(self.spacing, phi) * _sum(well)
