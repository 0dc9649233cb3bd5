"""What the losses share: from energies per item to a number."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

Reduction = Literal["mean", "sum", "none"]


def check_reduction(reduction: str) -> None:
    """Refuse an unknown reduction."""
    if reduction not in get_args(Reduction):
        known = ", ".join(get_args(Reduction))
        raise ValueError(f"Unknown `reduction` {reduction!r}: choose one of {known}.")


def reduce_items(energy: Tensor, reduction: Reduction) -> Tensor:
    """Mean, sum or all of the energies `(B,)` of a batch."""
    if reduction == "none":
        return energy
    return energy.mean() if reduction == "mean" else energy.sum()


def channels(x: Tensor) -> int:
    """Number of channels, also under `torch.jit.trace`, where sizes are tensors."""
    return len(x.split(1, 1)) if torch.jit.is_tracing() else x.shape[1]
