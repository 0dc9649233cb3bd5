"""Inference of 2D networks on images and volumes alike, in mixed precision, averaged over turned images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


class QuarterTurnInferer(Inferer):
    """Average what the network finds in an image turned by quarter turns.

    Where turned images are among those it was trained on, the network's errors differ from turn to turn, and
    the mean probability is better than each; the turns go from one pixel grid to another, nothing is blurred.

    Args:
        inferer: what runs the network on a turned image or volume.
        quarter_turns: how often to turn by 90 degrees in the plane of the first two spatial axes, once for
            each entry; [0]: the image as it is.

    Raises:
        ValueError: `quarter_turns` is empty.

    Example:
        >>> import torch
        >>> from monai.inferers import SimpleInferer
        >>> infer = QuarterTurnInferer(SimpleInferer(), quarter_turns=[0, 1])
        >>> scores = infer(torch.rand(1, 1, 4, 6), torch.nn.Conv2d(1, 3, 3, padding=1))
        >>> scores.shape, bool(torch.allclose(scores.exp().sum(1), torch.ones(1, 4, 6)))
        (torch.Size([1, 3, 4, 6]), True)
    """

    def __init__(self, inferer: Inferer, quarter_turns: Sequence[int] = (-1, 0, 1)) -> None:
        super().__init__()
        if not quarter_turns:
            raise ValueError("`quarter_turns` is empty: give [0] for the image as it is.")
        self.inferer, self.quarter_turns = inferer, tuple(quarter_turns)

    def __call__(self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Tensor:
        """Logarithm of the mean probability `(B, K, H, W[, D])` of K classes, for `(B, C, H, W[, D])`.

        Its softmax is the mean of the softmaxes of the network's scores.
        """

        def probability(turns: int) -> Tensor:
            scores = self.inferer(inputs.rot90(turns, (2, 3)), network, *args, **kwargs)
            return scores.float().softmax(1).rot90(-turns, (2, 3))

        total = sum(map(probability, self.quarter_turns[1:]), probability(self.quarter_turns[0]))
        mean = total / len(self.quarter_turns)
        return mean.clamp_min(torch.finfo(mean.dtype).tiny).log()
