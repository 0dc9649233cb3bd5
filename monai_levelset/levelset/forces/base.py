"""What a force is, and what all forces share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from ..geometry import check_spacing, spatial_dims


@runtime_checkable
class Force(Protocol):
    """A force without memory. It may also have `energy(phi) -> (B,)`, used to judge convergence.

    Example:
        >>> from monai_levelset.levelset import CurvatureForce
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
        >>> from monai_levelset.levelset import ShapePriorForce
        >>> isinstance(ShapePriorForce(torch.zeros(1, 1, 8, 8)), StatefulForce)
        True
    """

    def initial_state(self, phi: Tensor) -> Any:
        """State to start from."""
        ...

    def step(self, phi: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Velocity at (phi, state) and the next state."""
        ...


def item_sum(x: Tensor) -> Tensor:
    """Sum over all but the batch axis, `(B,)`.

    Args:
        x: `(B, ...)`.

    Returns:
        One number per item.

    Example:
        >>> import torch
        >>> item_sum(torch.ones(2, 1, 3, 3))
        tensor([9., 9.])
    """
    return x.flatten(1).sum(1)


def voxel_volume(spacing: Sequence[float] | None, phi: Tensor) -> float:
    """Area or volume of a voxel in mm^D.

    Args:
        spacing: mm per voxel, one per spatial axis; default 1.
        phi: `(B, C, *spatial)`.

    Returns:
        Product of the spacing.

    Raises:
        ValueError: wrong shape or spacing.

    Example:
        >>> import torch
        >>> voxel_volume((2.0, 1.5), torch.zeros(1, 1, 4, 4))
        3.0
    """
    return math.prod(check_spacing(spacing, spatial_dims(phi)))
