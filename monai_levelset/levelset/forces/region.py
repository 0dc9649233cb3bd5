"""Data term from a probability map."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..geometry import spatial_dims
from ..heaviside import HeavisideKind, _check, dirac, heaviside
from ..precision import wide
from .base import item_sum, voxel_volume


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
        self.log_odds = torch.logit(wide(probability).clamp(1 - bound, bound))
        self.weight, self.spacing, self.eps, self.kind = weight, spacing, eps, kind

    def __call__(self, phi: Tensor) -> Tensor:
        """Velocity, see the class."""
        return self.weight * dirac(phi, self.eps, self.kind) * self.log_odds

    def energy(self, phi: Tensor) -> Tensor:
        """Cross entropy of the smooth mask H(phi) against p, `(B,)`."""
        inside = heaviside(phi, self.eps, self.kind)
        log_likelihood = inside * self.log_odds + F.logsigmoid(-self.log_odds)
        return -self.weight * voxel_volume(self.spacing, phi) * item_sum(log_likelihood)
