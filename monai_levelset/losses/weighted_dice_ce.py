"""Dice and cross entropy of soft labels that are trusted more in some voxels than in others."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..levelset.precision import plain, wide


class WeightedDiceCELoss(nn.Module):
    """Half the sum of cross entropy and Dice loss, with a weight per voxel.

    For p the softmax of the scores, t the label's class probabilities and w the weights:

        CE = - sum w sum_c t_c log p_c / number of voxels
        Dice = 1 - mean_c (2 sum w p_c t_c + 1) / (sum w p_c^2 + sum w t_c^2 + 1)

    where sums run over the mini-batch and its voxels (in a distributed run over a process's share). It is the
    loss of bidirectional copy-paste (Bai et al., CVPR 2023, eqs. 8-10) in one pass: a mixed image has voxels
    whose label a person drew, of weight 1, beside others whose label a network made. The cross entropy is
    divided by all voxels, so that little trust means a small loss and not only a small share in it. MONAI's
    `DiceCELoss` has weights of classes only, and its `MaskedDiceLoss` multiplies the scores by the mask.

    Args:
        smooth: what is added to the numerator and the denominator of Dice; the 1 above.

    Example:
        >>> target = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).view(1, 2, 1, 2)
        >>> loss = WeightedDiceCELoss()
        >>> loss(20 * target, target, torch.ones(1, 1, 1, 2)).round(decimals=4)
        tensor(0.)
        >>> wrong = torch.tensor([[1.0, 1.0], [0.0, 0.0]]).view(1, 2, 1, 2)
        >>> trust = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)  # the second voxel does not count
        >>> loss(20 * wrong, target, trust).round(decimals=4)
        tensor(0.)
    """

    def __init__(self, *, smooth: float = 1.0) -> None:
        super().__init__()
        if not smooth > 0:
            raise ValueError(
                f"`smooth` keeps the Dice of an absent class defined: it must be > 0, got {smooth}."
            )
        self.smooth = smooth

    def forward(self, input: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """The loss, a scalar in float32 or wider.

        Args:
            input: scores `(B, C, *spatial)`.
            target: class probabilities of the same shape.
            weight: not negative, `(B, 1, *spatial)`; None: 1 everywhere.

        Raises:
            ValueError: the shapes do not fit.
        """
        scores = wide(input)
        target = plain(target).to(scores.dtype)
        weight = torch.ones_like(scores[:, :1]) if weight is None else plain(weight).to(scores.dtype)
        if target.shape != scores.shape or weight.shape != scores[:, :1].shape:
            raise ValueError(
                f"Scores {tuple(scores.shape)} need class probabilities of the same shape and weights with "
                f"one channel, got {tuple(target.shape)} and {tuple(weight.shape)}."
            )
        logs = scores.log_softmax(1)
        over = [0, *range(2, scores.ndim)]
        cross_entropy = -(weight * target * logs).sum() / weight.numel()
        p = logs.exp()
        common = (weight * p * target).sum(over)
        sizes = (weight * (p.square() + target.square())).sum(over)
        dice = 1 - ((2 * common + self.smooth) / (sizes + self.smooth)).mean()
        return (cross_entropy + dice) / 2
