"""Rectangles exchanged between the images of a mini-batch, with everything that belongs to them."""

from __future__ import annotations

import torch
from torch import Tensor

from .batch_augmentation import _share


class CopyPaste:
    """Bidirectional copy-paste of Bai et al. (CVPR 2023): each image gets a rectangle of its partner.

    Item k of B is the partner of item k + B/2 (and of no one, if k is the last of an odd number): of a
    mini-batch whose first half is labelled, every labelled image is mixed with an unlabelled one, the same
    rectangle in both directions; of labelled images alone, two of them. The network then meets labelled and
    unlabelled tissue in one image and cannot tell them apart, which keeps what it learns from the few
    labelled patients valid for the others. MONAI's `CutMix` draws partners at random, labelled or not.

    Positions come from torch's global generators; in a distributed run see `BatchAugmentation`.

    Args:
        fraction: side of the rectangle as a part of the image's side, in (0, 1]. The paper's is 2/3.

    Raises:
        ValueError: `fraction` out of range.

    Example:
        >>> images = torch.stack([torch.zeros(1, 6, 6), torch.ones(1, 6, 6)])
        >>> mixed, labels = CopyPaste(0.5)(images, images > 0.5)
        >>> mixed.sum((1, 2, 3)), bool((mixed.bool() == labels).all())
        (tensor([ 9., 27.]), True)
    """

    def __init__(self, fraction: float = 2 / 3) -> None:
        if not 0 < fraction <= 1:
            raise ValueError(
                f"`fraction` is the part of a side that is exchanged, in (0, 1], got {fraction}."
            )
        self.fraction = fraction

    def __call__(self, *batches: Tensor) -> tuple[Tensor, ...]:
        """Mix tensors `(B, C, H, W)` of one B, H and W alike, such as images, labels and weights."""
        first = batches[0]
        half = len(first) // 2
        inside = self._rectangles(first, half)
        return tuple(_exchange(batch, inside, half) for batch in batches)

    def _rectangles(self, like: Tensor, count: int) -> Tensor:
        """Where to exchange, `(count, 1, H, W)`, bool."""
        place = _share(torch.rand, like, (count, 2), 0)
        sides = []
        for axis, size in enumerate(like.shape[-2:]):
            length = max(1, round(self.fraction * size))
            start = (place[:, axis, None] * (size - length + 1)).floor()
            along = torch.arange(size, device=like.device)
            sides.append((along >= start) & (along < start + length))
        rows, columns = sides
        return (rows[:, :, None] & columns[:, None, :])[:, None]


def _exchange(batch: Tensor, inside: Tensor, half: int) -> Tensor:
    one, other = batch[:half], batch[half : 2 * half]
    return torch.cat([torch.where(inside, other, one), torch.where(inside, one, other), batch[2 * half :]])
