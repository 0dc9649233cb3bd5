"""Inference of 2D networks on images and volumes alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor

from monai_levelset.levelset.precision import mixed_precision
from monai_levelset.transforms.slice_stack import stack_slices


class AutocastInferer(Inferer):
    """Run another inferer with the network in mixed precision, where that is faster; see `mixed_precision`.

    Args:
        inferer: what runs the network.

    Example:
        >>> import torch
        >>> from monai.inferers import SimpleInferer
        >>> scores = AutocastInferer(SimpleInferer())(torch.ones(1, 1, 4, 4), torch.nn.Conv2d(1, 2, 1))
        >>> scores.dtype
        torch.float32
    """

    def __init__(self, inferer: Inferer) -> None:
        super().__init__()
        self.inferer = inferer

    def __call__(self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Tensor:
        """The scores in single precision."""
        with mixed_precision(inputs.device):
            scores: Tensor = self.inferer(inputs, network, *args, **kwargs)
        return scores.float()


class SliceBatchInferer(Inferer):
    """Run a 2D network on a 2D image, or on every slice along the last axis of a volume, in batches.

    `monai.inferers.SliceInferer` needs a window size and a volume; this takes whole slices and also plain
    images.

    Args:
        slices: slices in one batch.
        stack: adjacent slices that the network sees as channels, see `stack_slices`; 1: each slice alone. A
            2D image is stacked with itself.

    Raises:
        ValueError: `stack` is even.

    Example:
        >>> import torch
        >>> network = torch.nn.Conv2d(1, 2, 1)
        >>> infer = SliceBatchInferer(slices=4)
        >>> infer(torch.zeros(1, 1, 8, 8), network).shape, infer(torch.zeros(1, 1, 8, 8, 5), network).shape
        (torch.Size([1, 2, 8, 8]), torch.Size([1, 2, 8, 8, 5]))
    """

    def __init__(self, slices: int = 16, stack: int = 1) -> None:
        super().__init__()
        if stack % 2 == 0:
            raise ValueError(f"`stack` must be odd, got {stack}.")
        self.slices, self.stack = slices, stack

    def __call__(self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Tensor:
        """Network output `(B, C, H, W[, D])` for `inputs` `(B, C, H, W[, D])`."""
        if inputs.ndim == 4:
            scores: Tensor = network(stack_slices(inputs[..., None], self.stack), *args, **kwargs)
            return scores
        depth = inputs.shape[-1]
        parts = [
            network(
                stack_slices(volume, self.stack, first=k, last=min(k + self.slices, depth)), *args, **kwargs
            )
            for volume in inputs.split(1)
            for k in range(0, depth, self.slices)
        ]
        return torch.cat(parts).unflatten(0, (len(inputs), depth)).movedim(1, -1)
