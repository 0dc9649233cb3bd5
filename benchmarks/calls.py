"""What several benchmarks call and compare in the same way."""

from __future__ import annotations

import torch
from torch import Tensor

from .case import Function


def compiled(function: Function) -> Function:
    """The function through torch.compile, for fixed sizes: compiled at the first call with new ones."""
    return torch.compile(function, dynamic=False)


def gradient_of(loss: Function) -> Function:
    """Forward and backward of a loss of `(x, y)`: its gradient with respect to x."""

    def run(inputs: tuple[Tensor, Tensor]) -> Tensor:
        return torch.autograd.grad(loss(*inputs), inputs[0])[0]

    return run


def relative_difference(ours: Tensor, peer: Tensor) -> float:
    """Largest difference by the largest value."""
    return float((ours - peer).abs().max() / peer.abs().max())


def largest_difference(ours: Tensor, peer: Tensor) -> float:
    """Largest difference, after rounding the peer to our precision."""
    return float((ours.cpu() - peer.cpu().to(ours.dtype)).abs().max())
