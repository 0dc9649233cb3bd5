"""Similarity transforms between an image and a shape prior: warping, moments, analytic pose gradients."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .distance import signed_distance
from .geometry import _dot, check_spacing, gradient, spatial_dims
from .heaviside import HeavisideKind, dirac, heaviside


def rotation_matrix(angle: Tensor) -> Tensor:
    """Rotation matrices from an angle (2D) or an axis times an angle (3D), in radians.

    In 2D a positive angle turns axis 0 towards axis 1. Differentiable, also at zero.

    Args:
        angle: `(B, 1)` for 2D or `(B, 3)` for 3D.

    Returns:
        `(B, D, D)`.

    Raises:
        ValueError: another number of columns.

    Example:
        >>> import math, torch
        >>> rotation_matrix(torch.tensor([[math.pi / 2]])).round().abs()
        tensor([[[0., 1.],
                 [1., 0.]]])
    """
    if angle.ndim != 2 or angle.shape[1] not in (1, 3):
        raise ValueError(f"`angle` must be (B, 1) for 2D or (B, 3) for 3D, got shape {tuple(angle.shape)}.")
    if angle.shape[1] == 1:
        c, s = angle.cos(), angle.sin()
        return torch.stack([torch.cat([c, -s], 1), torch.cat([s, c], 1)], 1)
    length = (angle.square().sum(1) + 1e-24).sqrt()[:, None, None]
    zero = torch.zeros_like(angle[:, 0])
    x, y, z = angle.unbind(1)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).view(-1, 3, 3)
    half = torch.sinc(length / (2 * math.pi))
    eye = torch.eye(3, dtype=angle.dtype, device=angle.device)
    return eye + torch.sinc(length / math.pi) * skew + 0.5 * half * half * (skew @ skew)


class Similarity(NamedTuple):
    """Batch of similarity transforms A(x) = S R x + T from image to prior coordinates.

    Coordinates are in mm (voxels where spacing is 1), in tensor order, relative to the centre of the grid
    they belong to. So the identity lays the centres of image and prior on each other, whatever their sizes.

    Attributes:
        scale: S, `(B,)`, positive.
        rotation: R, `(B, D, D)`.
        translation: T, `(B, D)`, in mm of the prior's frame.

    Example:
        >>> import torch
        >>> pose = Similarity.identity(1, 2)._replace(scale=torch.tensor([2.0]))
        >>> pose.apply(torch.tensor([[[1.0, 3.0]]]))
        tensor([[[2., 6.]]])
    """

    scale: Tensor
    rotation: Tensor
    translation: Tensor

    @classmethod
    def identity(
        cls, batch: int, dims: int, *, dtype: torch.dtype = torch.float32, device: torch.device | None = None
    ) -> Similarity:
        """The transforms that change nothing.

        Args:
            batch: number of transforms.
            dims: 2 or 3.
            dtype: floating type.
            device: where the tensors live.

        Returns:
            Similarity of `batch` identities.
        """
        eye = torch.eye(dims, dtype=dtype, device=device).repeat(batch, 1, 1)
        ones = torch.ones(batch, dtype=dtype, device=device)
        return cls(ones, eye, torch.zeros(batch, dims, dtype=dtype, device=device))

    @classmethod
    def from_parameters(cls, scale: Tensor, angle: Tensor, translation: Tensor) -> Similarity:
        """Build from 4 (2D) or 7 (3D) numbers per item.

        Args:
            scale: `(B,)`.
            angle: `(B, 1)` or `(B, 3)`, see `rotation_matrix`.
            translation: `(B, D)` mm.

        Returns:
            The batch of transforms.
        """
        return cls(scale, rotation_matrix(angle), translation)

    def apply(self, points: Tensor) -> Tensor:
        """Map points of the image to the prior.

        Args:
            points: `(B, N, D)` mm relative to the image's centre.

        Returns:
            `(B, N, D)` mm relative to the prior's centre.
        """
        turned = points @ self.rotation.transpose(1, 2)
        return self.scale[:, None, None] * turned + self.translation[:, None]

    def inverse(self) -> Similarity:
        """The transforms from prior to image.

        Returns:
            Similarity B with B(A(x)) = x.
        """
        back = self.rotation.transpose(1, 2)
        moved = (back @ self.translation[:, :, None])[:, :, 0]
        return Similarity(1 / self.scale, back, -moved / self.scale[:, None])

    def compose(self, first: Similarity) -> Similarity:
        """The transforms that apply `first` and then this one.

        Args:
            first: transforms applied before.

        Returns:
            x -> self(first(x)).
        """
        moved = (self.rotation @ first.translation[:, :, None])[:, :, 0]
        translation = self.scale[:, None] * moved + self.translation
        return Similarity(self.scale * first.scale, self.rotation @ first.rotation, translation)

    def grid(
        self, shape: Sequence[int], prior_shape: Sequence[int], spacing: Sequence[float] | None = None
    ) -> Tensor:
        """Sampling grid for `torch.nn.functional.grid_sample` with `align_corners=True`.

        Args:
            shape: spatial shape of the image.
            prior_shape: spatial shape of the prior.
            spacing: mm per voxel of both; default 1.

        Returns:
            `(B, *shape, D)`, normalised coordinates in the prior, last axis first.
        """
        return self._grid(self.turned(shape, spacing), prior_shape, check_spacing(spacing, len(shape)))

    def turned(self, shape: Sequence[int], spacing: Sequence[float] | None = None) -> list[Tensor]:
        """The D components of S R x at every voxel centre x of an image, each `(B, 1, *shape)` mm.

        Args:
            shape: spatial shape of the image.
            spacing: mm per voxel; default 1.

        Returns:
            One tensor per axis.
        """
        axes = _axes(shape, check_spacing(spacing, len(shape)), self.scale)
        linear = self.scale[:, None, None] * self.rotation
        return [
            _dot([_per_item(linear[:, a, b], len(axes)) for b in range(len(axes))], axes)
            for a in range(len(axes))
        ]

    def _grid(self, turned: list[Tensor], prior_shape: Sequence[int], h: Sequence[float]) -> Tensor:
        d = len(h)
        extent = [max(n - 1, 1) * s / 2 for n, s in zip(prior_shape, h, strict=True)]
        y = [(turned[a] + _per_item(self.translation[:, a], d)) / extent[a] for a in reversed(range(d))]
        return torch.stack([c[:, 0] for c in y], dim=-1)

    def warp(
        self, prior: Tensor, shape: Sequence[int] | None = None, spacing: Sequence[float] | None = None
    ) -> Tensor:
        """Resample prior(A(x)) on the image grid, linearly; outside the prior its border value holds.

        A signed distance comes back in mm of the prior's frame: divide by `scale` for mm of the image.

        Args:
            prior: `(B, C, *prior_shape)` or `(1, C, *prior_shape)`.
            shape: spatial shape of the image; default that of the prior.
            spacing: mm per voxel of both; default 1.

        Returns:
            `(B, C, *shape)`.

        Example:
            >>> import torch
            >>> pose = Similarity.identity(1, 2)._replace(translation=torch.tensor([[0.0, 1.0]]))
            >>> pose.warp(torch.arange(4.0).expand(1, 1, 2, 4))[0, 0, 0].round()
            tensor([1., 2., 3., 3.])
        """
        prior_shape = prior.shape[2:]
        grid = self.grid(prior_shape if shape is None else shape, prior_shape, spacing)
        return _sample(prior, grid)


def _sample(prior: Tensor, grid: Tensor) -> Tensor:
    source = prior.expand(grid.shape[0], *prior.shape[1:])
    return F.grid_sample(source, grid, mode="bilinear", padding_mode="border", align_corners=True)


def _axes(shape: Sequence[int], h: Sequence[float], like: Tensor) -> list[Tensor]:
    """Voxel centres in mm relative to the centre of the grid, shaped to broadcast along each axis."""
    d = len(h)
    return [
        ((torch.arange(n, dtype=like.dtype, device=like.device) - (n - 1) / 2) * s).view(
            *(n if a == axis else 1 for a in range(d))
        )
        for axis, (n, s) in enumerate(zip(shape, h, strict=True))
    ]


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
) -> tuple[Tensor, Tensor]:
    """Residual r = S phi - phi_M(A(x)) and its derivatives with respect to the pose.

    Args:
        phi: `(B, 1, *spatial)`.
        stacked: `prior_with_gradient(...)` of the prior phi_M.
        pose: A.
        spacing: mm per voxel; default 1.

    Returns:
        r `(B, 1, *spatial)` and the derivatives `(B, P, *spatial)` with respect to log S, the rotation (1
        angle or 3 axis components, applied after R) and the D components of T. P is 4 in 2D, 7 in 3D.

    Example:
        >>> import torch
        >>> phi = torch.zeros(1, 1, 5, 5)
        >>> r, j = residual_and_jacobian(phi, prior_with_gradient(phi), Similarity.identity(1, 2))
        >>> r.shape, j.shape
        (torch.Size([1, 1, 5, 5]), torch.Size([1, 4, 5, 5]))
    """
    h = check_spacing(spacing, spatial_dims(phi))
    d = len(h)
    z = pose.turned(phi.shape[2:], h)
    value, *g = _sample(stacked, pose._grid(z, stacked.shape[2:], h)).split(1, dim=1)
    scaled = _per_item(pose.scale, d) * phi
    turning = [z[b] * g[a] - z[a] * g[b] for a, b in _planes(d)]
    return scaled - value, torch.cat([scaled - _dot(g, z), *turning, *(-x for x in g)], dim=1)


def _planes(d: int) -> list[tuple[int, int]]:
    """Axes (a, b) of the rotation generators: -(z x g) = z_b g_a - z_a g_b."""
    return [(0, 1)] if d == 2 else [(1, 2), (2, 0), (0, 1)]


def _per_item(x: Tensor, d: int) -> Tensor:
    return x.view(-1, 1, *(1,) * d)


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
    total = (2 * math.prod(h) * dirac(phi, eps, kind) * r * jacobian).flatten(2).sum(2)
    k = 1 if len(h) == 2 else 3
    return PoseGradient(total[:, 0] / pose.scale, total[:, 1 : 1 + k], total[:, 1 + k :])


def _moments(phi: Tensor, h: Sequence[float], eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Volume `(B,)`, centroid `(B, D)` and covariance `(B, D, D)` of {phi > 0}, in mm."""
    axes = _axes(phi.shape[2:], h, phi)
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
    return (
        axes * torch.where(torch.linalg.det(axes) < 0, -1.0, 1.0).to(cov.dtype)[:, None, None]
        if (cov.shape[-1] == 3)
        else torch.stack([axes[..., 0], axes[..., 0].flip(1) * axes.new_tensor([-1.0, 1.0])], 2)
    )


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
        r = _per_item(pose.scale, len(h)) * phi - pose.warp(prior_phi, phi.shape[2:], h)
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
    others = pose.warp(phi[1:], spacing=h) / _per_item(pose.scale, len(h))
    return torch.cat([centred, others]).mean(0, keepdim=True)
