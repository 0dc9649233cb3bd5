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


def plain(x: Tensor) -> Tensor:
    """The tensor without its subclass (MONAI's MetaTensor), still in the graph."""
    return x if type(x) is Tensor else x.as_subclass(Tensor)


def wide(x: Tensor) -> Tensor:
    """Plain tensor in float32, or float64 if it is: sums of half-precision numbers overflow or stall."""
    return plain(x) if x.dtype in (torch.float32, torch.float64) else plain(x).float()
