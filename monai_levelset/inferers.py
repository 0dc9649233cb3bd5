"""Inference of 2D networks on images and volumes alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor


class SliceBatchInferer(Inferer):
    """Run a 2D network on a 2D image, or on every slice along the last axis of a volume, in batches.

    `monai.inferers.SliceInferer` needs a window size and a volume; this takes whole slices and also plain
    images.

    Args:
        slices: slices in one batch.

    Example:
        >>> import torch
        >>> network = torch.nn.Conv2d(1, 2, 1)
        >>> infer = SliceBatchInferer(slices=4)
        >>> infer(torch.zeros(1, 1, 8, 8), network).shape, infer(torch.zeros(1, 1, 8, 8, 5), network).shape
        (torch.Size([1, 2, 8, 8]), torch.Size([1, 2, 8, 8, 5]))
    """

    def __init__(self, slices: int = 16) -> None:
        super().__init__()
        self.slices = slices

    def __call__(self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Tensor:
        """Network output `(B, C, H, W[, D])` for `inputs` `(B, C, H, W[, D])`."""
        if inputs.ndim == 4:
            scores: Tensor = network(inputs, *args, **kwargs)
            return scores
        batch, depth = inputs.shape[0], inputs.shape[-1]
        flat = inputs.movedim(-1, 1).flatten(0, 1)
        parts = [network(part, *args, **kwargs) for part in flat.split(self.slices)]
        return torch.cat(parts).unflatten(0, (batch, depth)).movedim(1, -1)
