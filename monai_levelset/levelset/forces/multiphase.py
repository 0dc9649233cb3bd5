"""Data term for 2^M phases told apart by M level functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ..geometry import spatial_dims
from ..heaviside import HeavisideKind, _check, dirac, heaviside
from .base import item_sum, voxel_volume
from .chan_vese import centre, check_grid, region_kind, region_mean


def phase_labels(phi: Tensor) -> Tensor:
    """Label of the phase each voxel lies in: bit m is set where level function m is positive.

    Args:
        phi: M level functions per item, `(B, M, *spatial)`.

    Returns:
        `(B, 1, *spatial)` int64 in 0 ... 2^M - 1; 0 is outside all.

    Raises:
        ValueError: wrong shape or dtype.

    Example:
        >>> import torch
        >>> phi = torch.tensor([[-1.0, 1.0, -1.0, 1.0], [-1.0, -1.0, 1.0, 1.0]]).view(1, 2, 1, 4)
        >>> phase_labels(phi)
        tensor([[[[0, 1, 2, 3]]]])
    """
    bits = 2 ** torch.arange(phi.shape[1], device=phi.device).view(-1, *(1,) * spatial_dims(phi))
    return ((phi > 0) * bits).sum(1, keepdim=True)


def phase_probabilities(phi: Tensor, eps: float = 1.0, kind: HeavisideKind = "arctan") -> Tensor:
    """Smooth membership of each phase: products of H(phi_m) and 1 - H(phi_m) (Vese and Chan 2002, eq. 9).

    Args:
        phi: M level functions per item, `(B, M, *spatial)`.
        eps: half width of the transition, in the unit of phi.
        kind: family of H.

    Returns:
        `(B, 2^M, *spatial)`, not negative, sum 1; channel k is the phase that `phase_labels` calls k.

    Raises:
        ValueError: wrong shape or dtype, `eps` not positive, unknown `kind`.

    Example:
        >>> import torch
        >>> phase_probabilities(torch.tensor([9.0, 0.0]).view(1, 2, 1, 1), kind="sine").flatten()
        tensor([0.0000, 0.5000, 0.0000, 0.5000])
    """
    spatial_dims(phi)
    halves = heaviside(phi, eps, kind).split(1, dim=1)
    weights = torch.ones_like(halves[0])
    for h in halves:
        weights = torch.cat([weights * (1 - h), weights * h], dim=1)
    return weights


class MultiphaseChanVeseForce:
    """Data term of the multiphase Chan-Vese model: 2^M regions of constant intensity, no gaps, no overlaps.

    phi holds M level functions per item; `phase_labels(phi)` tells which of the 2^M phases a voxel lies in: 4
    phases for M = 2, enough for any number of regions whose neighbours differ (four-colour theorem). Energy
    (Vese and Chan 2002, eq. 10), averaged over the channels of the image I, with the phases' memberships w_k
    of `phase_probabilities`::

        E = weight sum_k sum (I - c_k)^2 w_k dx

    The means c_k are taken anew from phi at every call. With `regions="smooth"` they are weighted by w_k and
    minimise E, so the velocity of each level function is exactly the negative gradient of E per voxel volume;
    with `regions="hard"` w_k is 1 where `phase_labels` is k and else 0, in the means, the energy and the
    velocity, and only delta is smooth: far fewer local minima. One level function gives `ChanVeseForce`
    with both its weights 1. Smoothness is `CurvatureForce`: it acts on each level function by itself, and its
    energy is the sum of their lengths.

    Args:
        image: I, `(B, C, *spatial)` or `(1, C, *spatial)`. Gradients flow into it.
        weight: of the whole term.
        spacing: mm per voxel, for the energy; default 1.
        regions: `smooth` or `hard`, see above.
        eps: half width of delta, in the unit of phi.
        kind: family of H and delta.

    Raises:
        ValueError: wrong shape of `image`, unknown `regions` or `kind`, `eps` not positive.

    Example:
        >>> import torch
        >>> image = torch.tensor([0.0, 1.0, 2.0, 3.0]).view(1, 1, 1, 4)
        >>> phi = torch.tensor([[-9.0, 9.0, -9.0, 9.0], [-9.0, -9.0, 9.0, 9.0]]).view(1, 2, 1, 4)
        >>> MultiphaseChanVeseForce(image, kind="sine").means(phi)[0, :, 0]
        tensor([0., 1., 2., 3.])
    """

    def __init__(
        self,
        image: Tensor,
        *,
        weight: float = 1.0,
        spacing: Sequence[float] | None = None,
        regions: Literal["smooth", "hard"] = "hard",
        eps: float = 1.0,
        kind: HeavisideKind = "arctan",
    ) -> None:
        _check(eps, kind)
        self._region_kind = region_kind(regions, kind)
        self.offset, self.image = centre(image)
        self.weight, self.spacing, self.eps, self.kind = weight, spacing, eps, kind

    def __call__(self, phi: Tensor) -> Tensor:
        """Velocity of each level function, see the class."""
        inside = heaviside(phi, self.eps, self._region_kind)
        costs = self._costs(self._centred_means(phi))
        halves = inside.split(1, dim=1)
        gains = torch.cat([_saving(costs, halves, m) for m in range(len(halves))], dim=1)
        return self.weight * dirac(phi, self.eps, self.kind) * gains

    def energy(self, phi: Tensor) -> Tensor:
        """Variance within the phases, `(B,)`."""
        squares = [(self.image - c).square().mean(1, keepdim=True) for c in self._centred_means(phi)]
        total = item_sum(phase_probabilities(phi, self.eps, self._region_kind) * torch.cat(squares, dim=1))
        return self.weight * voxel_volume(self.spacing, phi) * total

    def means(self, phi: Tensor) -> Tensor:
        """Mean intensity of each phase; the whole image's for a phase without any voxel.

        Args:
            phi: `(B, M, *spatial)`.

        Returns:
            `(B, 2^M, C)`, in the image's intensities.

        Raises:
            ValueError: the shape of `phi` does not suit the image's.
        """
        return torch.stack([(c + self.offset).flatten(1) for c in self._centred_means(phi)], dim=1)

    def _centred_means(self, phi: Tensor) -> list[Tensor]:
        check_grid(phi, self.image)
        weights = phase_probabilities(phi, self.eps, self._region_kind)
        return [region_mean(w, self.image) for w in weights.split(1, dim=1)]

    def _costs(self, means: Sequence[Tensor]) -> Tensor:
        """(I - c_k)^2 - I^2, `(B, 2^M, *spatial)`: what all phases have in common does not move them."""
        return torch.cat([(c * (c - 2 * self.image)).mean(1, keepdim=True) for c in means], dim=1)


def _saving(costs: Tensor, inside: Sequence[Tensor], m: int) -> Tensor:
    """How much cheaper a voxel is inside level function m than outside, `(B, 1, *spatial)`."""
    for j, h in reversed(list(enumerate(inside))):
        low, high = costs.chunk(2, dim=1)
        costs = low - high if j == m else low + h * (high - low)
    return costs
