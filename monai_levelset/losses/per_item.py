"""A weighted sum of losses with one value per item, for trainers that weigh items themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn


class PerItemLoss(nn.Module):
    """Weighted sum of losses, averaged within each item of a mini-batch but not over the items.

    `monai.losses.DiceCELoss` cannot do this: without reduction its two parts differ in shape, with it the
    items are averaged. Here every part has `reduction="none"` and may return values per pixel, per channel or
    per item.

    Args:
        losses: modules that take (scores, target) and return `(B, ...)`.
        weights: one per loss; default: all 1.
        reduction: `none`, one value per item, or `mean` over the items, for trainers that take a scalar.

    Raises:
        ValueError: losses and weights differ in number, the reduction is another one, or (when called) a loss
            averages over the items.

    Example:
        >>> import torch
        >>> from monai.losses import DiceLoss
        >>> parts = [nn.CrossEntropyLoss(reduction="none"), DiceLoss(softmax=True, reduction="none")]
        >>> loss = PerItemLoss(parts, weights=[1.0, 0.5])
        >>> scores, target = torch.zeros(3, 2, 8, 8), torch.full((3, 2, 8, 8), 0.5)
        >>> loss(scores, target).shape
        torch.Size([3])
    """

    def __init__(
        self,
        losses: Sequence[nn.Module],
        weights: Sequence[float] | None = None,
        *,
        reduction: Literal["none", "mean"] = "none",
    ) -> None:
        super().__init__()
        if reduction not in ("none", "mean"):
            raise ValueError(f"`reduction` must be none or mean, got {reduction!r}.")
        self.reduction = reduction
        self.losses = nn.ModuleList(losses)
        self.weights = [1.0] * len(self.losses) if weights is None else [float(w) for w in weights]
        if len(self.weights) != len(self.losses):
            raise ValueError(f"{len(self.losses)} losses need as many weights, got {len(self.weights)}.")

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """One value per item, `(B,)`, or their mean."""
        total = scores.new_zeros(len(scores))
        for weight, loss in zip(self.weights, self.losses, strict=True):
            values = loss(scores, target)
            if values.ndim == 0 or len(values) != len(scores):
                raise ValueError(f'{type(loss).__name__} averages over the items: set `reduction="none"`.')
            total = total + weight * values.flatten(1).mean(1) if values.ndim > 1 else total + weight * values
        return total.mean() if self.reduction == "mean" else total
