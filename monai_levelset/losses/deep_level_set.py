"""Criterion of the deep level set of Zheng et al."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..levelset.distance import signed_distance
from ..levelset.heaviside import _check
from .deep_level_set_terms import (
    StepKind,
    _check_limit,
    _check_step,
    class_balanced_cross_entropy,
    direction_loss,
    distance_loss,
    true_direction,
)
from .level_set import level_set_loss


class DeepLevelSetOutput(NamedTuple):
    """What a deep-level-set network returns in training; a mapping with these keys serves as well.

    Attributes:
        phi: evolved level set phi_T, `(B, 1, *spatial)`, positive inside.
        phi0: initial level set, the predicted truncated signed distance, `(B, 1, *spatial)`.
        motion: motion field V, `(B, D, *spatial)`, one channel per spatial axis in tensor order.
        probability: class probabilities of the boundary branch, `(B, 1 or 2, *spatial)`.
        modulation: weight g of the curvature, `(B, 1, *spatial)`; no loss looks at it.
    """

    phi: Tensor
    phi0: Tensor | None = None
    motion: Tensor | None = None
    probability: Tensor | None = None
    modulation: Tensor | None = None


class DeepLevelSetLoss(nn.Module):
    """Criterion of Zheng et al. (eq. 7): balanced cross entropy on H(phi_T), boundary loss, warm-up terms.

        L = w_ce L_ce(H(phi_T)) + lambda L_bd(P)  [+ w_d MSE(phi0, D) + w_a mean squared angle(V, grad|D|)]

    with the bracket only while `warm_up` is set (the paper's first 5 epochs). L_bd is `level_set_loss`.
    A weight of 0 switches a term off; the output then need not hold what the term looks at. The paper leaves
    lambda and the factor of L_ce open. The defaults are lambda = 4e-4 on a sum over the image, as Kim et al.
    have it, and the factor 100 on a mean over the image, which the reference code of the evolution uses and
    which its learning rate of 3e-4 presupposes.

    Args:
        cross_entropy_weight: weight of `class_balanced_cross_entropy`.
        boundary_weight: lambda, weight of `level_set_loss` of the probabilities.
        distance_weight: weight of `distance_loss`, in warm-up.
        direction_weight: weight of `direction_loss`, in warm-up.
        warm_up: whether warm-up terms are added. An attribute: set `loss.warm_up = epoch < 5`.
        eps: half width of the Heaviside of the cross entropy, in the unit of phi.
        heaviside: `arctan` or `tanh`, for the cross entropy.
        boundary_eps: half width of the boundary loss's Heaviside, in units of probability.
        limit: truncation of the true distance.
        spacing: mm per voxel for the true distance, if phi is in mm; default 1, phi in voxels.

    Raises:
        ValueError: a negative weight, or another number or name that the terms refuse.

    Example:
        >>> import torch
        >>> mask = torch.zeros(1, 1, 8, 8)
        >>> mask[..., 2:6, 2:6] = 1
        >>> phi = torch.zeros(1, 1, 8, 8, requires_grad=True)
        >>> output = DeepLevelSetOutput(phi=phi, phi0=phi, motion=torch.ones(1, 2, 8, 8), probability=mask)
        >>> criterion = DeepLevelSetLoss(warm_up=True)
        >>> criterion(output, mask).backward()
        >>> [*criterion.parts(output, mask)]
        ['cross_entropy', 'boundary', 'distance', 'direction']
    """

    def __init__(
        self,
        *,
        cross_entropy_weight: float = 100.0,
        boundary_weight: float = 4e-4,
        distance_weight: float = 1.0,
        direction_weight: float = 1.0,
        warm_up: bool = False,
        eps: float = 1.0,
        heaviside: StepKind = "arctan",
        boundary_eps: float = 1 / 20,
        limit: float = 30.0,
        spacing: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        weights = (cross_entropy_weight, boundary_weight, distance_weight, direction_weight)
        if not all(0 <= w < math.inf for w in weights):
            raise ValueError(f"Weights must not be negative: use 0 to switch a term off, got {weights}.")
        _check_step(eps, heaviside)
        _check(boundary_eps, "tanh")
        _check_limit(limit)
        self.cross_entropy_weight, self.boundary_weight = cross_entropy_weight, boundary_weight
        self.distance_weight, self.direction_weight = distance_weight, direction_weight
        self.warm_up = warm_up
        self.eps = eps
        self.heaviside = heaviside
        self.boundary_eps = boundary_eps
        self.limit = limit
        self.spacing = spacing

    def forward(
        self,
        output: DeepLevelSetOutput | Mapping[str, Tensor],
        target: Tensor,
        distance: Tensor | None = None,
    ) -> Tensor:
        """Sum of `parts`."""
        return torch.stack(list(self.parts(output, target, distance).values())).sum()

    def parts(
        self,
        output: DeepLevelSetOutput | Mapping[str, Tensor],
        target: Tensor,
        distance: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Weighted terms by name, for logging; their sum is the loss.

        Args:
            output: what the network returned.
            target: mask `(B, 1, *spatial)`, 0 or 1.
            distance: true signed distance of the mask, not truncated, positive inside. Best made by a
                transform: without it, a warm-up computes it here with `signed_distance`, on the CPU.

        Returns:
            Scalars under `cross_entropy`, `boundary`, `distance`, `direction`, those switched off left out.

        Raises:
            ValueError: the output lacks what a term needs, or shapes differ.
        """
        parts = {}
        if self.cross_entropy_weight:
            loss = class_balanced_cross_entropy(
                _get(output, "phi", "cross_entropy"), target, eps=self.eps, heaviside=self.heaviside
            )
            parts["cross_entropy"] = self.cross_entropy_weight * loss
        if self.boundary_weight:
            probability = _get(output, "probability", "boundary")
            parts["boundary"] = self.boundary_weight * level_set_loss(
                probability, target, eps=self.boundary_eps
            )
        if self.warm_up:
            parts |= self._warm_up(output, target, distance)
        if not parts:
            raise ValueError("Every term is switched off: give at least one a positive weight.")
        return parts

    def _warm_up(self, output: Any, target: Tensor, distance: Tensor | None) -> dict[str, Tensor]:
        parts: dict[str, Tensor] = {}
        if not (self.distance_weight or self.direction_weight):
            return parts
        if distance is None:
            distance = signed_distance(target, self.spacing)
        if self.distance_weight:
            phi0 = _get(output, "phi0", "distance")
            parts["distance"] = self.distance_weight * distance_loss(phi0, distance, limit=self.limit)
        if self.direction_weight:
            motion = _get(output, "motion", "direction")
            direction = true_direction(distance, self.spacing)
            parts["direction"] = self.direction_weight * direction_loss(motion, direction)
        return parts


def deep_level_set_loss(
    output: DeepLevelSetOutput | Mapping[str, Tensor],
    target: Tensor,
    distance: Tensor | None = None,
    **options: Any,
) -> Tensor:
    """Function form of `DeepLevelSetLoss`.

    Args:
        output: what the network returned, see `DeepLevelSetOutput`.
        target: mask `(B, 1, *spatial)`, 0 or 1.
        distance: true signed distance of the mask, used in warm-up; computed if left out.
        **options: the arguments of `DeepLevelSetLoss`.

    Returns:
        Scalar.

    Raises:
        ValueError: the output lacks what a term needs, or shapes differ.

    Example:
        >>> import torch
        >>> mask = (torch.arange(8.0) > 3).float().expand(1, 1, 8, 8)
        >>> output = {"phi": torch.zeros(1, 1, 8, 8)}
        >>> deep_level_set_loss(output, mask, cross_entropy_weight=1.0, boundary_weight=0.0)  # log(2)/2
        tensor(0.3466)
    """
    loss: Tensor = DeepLevelSetLoss(**options)(output, target, distance)
    return loss


def _get(output: Any, key: str, term: str) -> Tensor:
    value = output.get(key) if isinstance(output, Mapping) else getattr(output, key, None)
    if value is None:
        raise ValueError(
            f"The output has no `{key}`, which the {term} term needs: return it from the network or set "
            f"`{term}_weight=0`."
        )
    return value
