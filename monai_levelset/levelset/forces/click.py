"""Corrections by a user: the contour passes through some points and leaves others outside."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..geometry import check_spacing, spatial_dims
from ..precision import plain, wide

_SMALL = 1e-2
"""Squared distance, in voxels or mm, below which clicks share a place."""


class ClickForce:
    """Pulls the contour to a user's clicks: phi to 0 at contour clicks, below 0 at background clicks.

    Energy E = weight/2 (sum_i (phi(c_i) - level)^2 + sum_j max(phi(b_j) + margin, 0)^2), with phi
    interpolated linearly at the clicks. Its gradient is zero but at the clicks; so that the contour around a
    click comes along, it is spread by Gaussians: velocity -weight sum_i s_i(x) exp(-|x - c_i|^2/(2 r_i^2))
    e_i, with e_i = phi(c_i) - level and s_i = |x - c_i|^-2/sum_k |x - c_k|^-2. At a click only its own error
    counts, between clicks those of both: none disturbs the other, and nothing overshoots. Contour clicks that
    hold keep their neighbourhood in place; background clicks that hold do nothing. Each error shrinks by the
    factor 1 - dt weight per step: stable for dt weight < 2.

    A Gaussian much narrower than the distance from click to contour makes an island of its own: half the
    distance is enough.

    Points are voxel indices (row, column) or (plane, row, column), of any fraction; rows with NaN are
    missing, points outside the grid count as its nearest voxel. A point of both kinds cannot be both.

    Args:
        contour: c, `(B, M, D)` or `(1, M, D)`: points on the contour; None for none.
        background: b, `(B, N, D)` or `(1, N, D)`: points outside; None for none.
        weight: of the energy.
        radius: standard deviation of the Gaussians, in voxels, with `spacing` in mm: one for all, or one for
            each click `(B, M + N)`.
        level: wanted phi at contour clicks, one for all or `(B,)`; above 0 the clicks are inside.
        margin: background clicks are at least as far outside, one for all or `(B,)`.
        spacing: mm per voxel; default 1.

    Raises:
        ValueError: points of a wrong shape, none of either kind, or a `radius` that is not positive; on
            calling, points of another number of axes or items than phi.

    Example:
        >>> import torch
        >>> from monai_levelset.levelset import evolve
        >>> x = torch.arange(33.0) - 16
        >>> disc = (8.4 - (x[:, None] ** 2 + x**2).sqrt())[None, None]
        >>> force = ClickForce(torch.tensor([[[16.0, 28.0]]]), radius=4.0)  # 4 pixels outside, on the right
        >>> phi = evolve(disc, [force], steps=40).phi
        >>> bool(phi[0, 0, 16, 28].abs() < 0.01), bool(((phi > 0) == (disc > 0))[..., :16].all())
        (True, True)
    """

    def __init__(
        self,
        contour: Tensor | None = None,
        background: Tensor | None = None,
        *,
        weight: float = 1.0,
        radius: float | Tensor = 10.0,
        level: float | Tensor = 0.0,
        margin: float | Tensor = 1.0,
        spacing: Sequence[float] | None = None,
    ) -> None:
        if not bool((torch.as_tensor(radius) > 0).all()):
            raise ValueError(f"`radius` must be positive, got {radius}.")
        given = {"contour": contour, "background": background}
        kinds = [_checked(points, name) for name, points in given.items() if points is not None]
        if not kinds:
            raise ValueError("There is no click: give `contour`, `background` or both.")
        self._axes = kinds[0].shape[2]
        first, last = kinds[0], kinds[-1]
        if first.shape[2] != last.shape[2] or len({len(first), len(last)} - {1}) > 1:
            raise ValueError(
                f"The clicks of both kinds must be of the same items and axes, got shapes "
                f"{tuple(first.shape)} and {tuple(last.shape)}."
            )
        items = max(len(first), len(last))
        self.points = torch.cat([points.expand(items, -1, -1) for points in kinds], 1)
        number = 0 if contour is None else contour.shape[1]
        self._outside = torch.arange(self.points.shape[1], device=self.points.device) >= number
        self.weight, self.radius = weight, radius
        self.level, self.margin, self.spacing = level, margin, spacing

    def __call__(self, phi: Tensor) -> Tensor:
        """Velocity, see the class."""
        phi = wide(phi)
        points, there = self._points(phi)
        errors = self._errors(phi, points, there)
        acts = there & (~self._outside.to(phi.device) | (errors > 0))
        squares = squared_distances(phi, points, self.spacing)
        radii = plain(torch.as_tensor(self.radius)).to(phi).expand(errors.shape)
        near = _maps(acts, phi) / (squares + _SMALL)
        shares = near / near.sum(1, keepdim=True).clamp_min(torch.finfo(phi.dtype).tiny)
        pulls = _maps(errors, phi) * shares * torch.exp(-0.5 * squares / _maps(radii.square(), phi))
        return -self.weight * pulls.sum(1, keepdim=True)

    def energy(self, phi: Tensor) -> Tensor:
        """Half the sum of the squared errors at the clicks, `(B,)`."""
        phi = wide(phi)
        return 0.5 * self.weight * self._errors(phi, *self._points(phi)).square().sum(1)

    def errors(self, phi: Tensor) -> Tensor:
        """How far phi is from what each click wants, `(B, M + N)`; 0 where it holds or is missing."""
        phi = wide(phi)
        return self._errors(phi, *self._points(phi))

    def _points(self, phi: Tensor) -> tuple[Tensor, Tensor]:
        """The clicks `(B, M + N, D)` within the grid, and which are there."""
        if spatial_dims(phi) != self._axes or phi.shape[1] != 1 or len(self.points) not in (1, len(phi)):
            raise ValueError(
                f"Clicks of shape {tuple(self.points.shape)} move level sets (B, 1, *spatial) of as many "
                f"items and axes, got phi of shape {tuple(phi.shape)}."
            )
        points = self.points.to(phi).expand(len(phi), -1, -1)
        there = points.isfinite().all(2)
        last = torch.tensor(phi.shape[2:]).to(phi) - 1
        return points.where(there[..., None], 0).clamp_min(0).minimum(last), there

    def _errors(self, phi: Tensor, points: Tensor, there: Tensor) -> Tensor:
        values = sample(phi, points)
        level, margin = (_column(number, phi) for number in (self.level, self.margin))
        wanted = torch.where(self._outside.to(phi.device), (values + margin).clamp_min(0), values - level)
        return wanted * there


def sample(maps: Tensor, points: Tensor) -> Tensor:
    """Values of maps at points between their voxels, linearly interpolated.

    Args:
        maps: `(B, 1, *spatial)`, 2D or 3D.
        points: `(B, N, D)`, voxel indices within the grid.

    Returns:
        `(B, N)`.

    Example:
        >>> import torch
        >>> sample(torch.arange(6.0).view(1, 1, 2, 3), torch.tensor([[[0.5, 1.0], [1.0, 1.75]]]))
        tensor([[2.5000, 4.7500]])
    """
    last = torch.tensor(maps.shape[2:]).to(maps).sub(1).clamp_min(1)
    places = (2 * points / last - 1).flip(2)  # grid_sample counts the axes backwards, from -1 to 1
    grid = places.view(len(places), *[1] * (points.shape[2] - 1), -1, points.shape[2])
    values = F.grid_sample(maps, grid, mode="bilinear", padding_mode="border", align_corners=True)
    return values.reshape(len(maps), -1)


def squared_distances(phi: Tensor, points: Tensor, spacing: Sequence[float] | None) -> Tensor:
    """From each point `(B, N, D)` to each voxel, `(B, N, *spatial)`, in mm^2."""
    h = check_spacing(spacing, spatial_dims(phi))
    out = torch.zeros((), dtype=phi.dtype, device=phi.device)
    for axis, (n, step) in enumerate(zip(phi.shape[2:], h, strict=True)):
        voxels = torch.arange(n, dtype=phi.dtype, device=phi.device)
        along = ((voxels - points[:, :, axis, None]) * step).square()
        out = out + along.view(*along.shape[:2], *[n if a == axis else 1 for a in range(len(h))])
    return out


def _checked(points: Tensor, name: str) -> Tensor:
    points = plain(torch.as_tensor(points))
    if points.ndim != 3 or points.shape[2] not in (2, 3):
        raise ValueError(f"`{name}` must be (B, N, 2) or (B, N, 3), got shape {tuple(points.shape)}.")
    return points if points.is_floating_point() else points.float()


def _column(number: float | Tensor, phi: Tensor) -> Tensor:
    return plain(torch.as_tensor(number)).to(phi).reshape(-1, 1)


def _maps(numbers: Tensor, phi: Tensor) -> Tensor:
    """`(B, N)` as maps that broadcast over the grid."""
    return numbers.view(*numbers.shape, *[1] * (phi.ndim - 2))
