"""Level-set loss as published, by its formula, with plain autograd."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def level_set_loss(probability: Tensor, target: Tensor, eps: float = 1 / 20) -> Tensor:
    """Sum over the classes of an image of (G - c1)^2 H + (G - c2)^2 (1 - H) (Kim et al. 2019, eqs. 5 to 8).

    Args:
        probability: P, `(B, N, *spatial)`.
        target: labels `(B, 1, *spatial)`; G is 1 where a pixel has the class.
        eps: of H = (1 + tanh((P - 1/2)/eps))/2.

    Returns:
        Mean over the batch of the sum over pixels.
    """
    axes = tuple(range(2, probability.ndim))
    truth = F.one_hot(target[:, 0].long(), probability.shape[1]).movedim(-1, 1).to(probability.dtype)
    inside = 0.5 * (1 + torch.tanh((probability - 0.5) / eps))
    outside = 1 - inside
    c1 = (truth * inside).sum(axes, keepdim=True) / inside.sum(axes, keepdim=True)
    c2 = (truth * outside).sum(axes, keepdim=True) / outside.sum(axes, keepdim=True)
    energy = (truth - c1) ** 2 * inside + (truth - c2) ** 2 * outside
    present = (truth.sum(axes) > 0).to(probability.dtype)
    return (energy.sum(axes) * present).sum(1).mean()
