"""2.5D input: adjacent slices of every sequence as channels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def stack_slices(volume: Tensor, slices: int = 3, *, first: int = 0, last: int | None = None) -> Tensor:
    """Each slice of a volume with its neighbours as channels: the 2.5D input of a 2D network.

    Kim and Ye (2019), section IV-C, give the network three adjacent slices of every sequence. Those of one
    sequence stay together: below, centre, above of the first sequence, then of the second. At the ends the
    last slice is repeated, so a volume of any depth, also of one slice, can be stacked.

    Args:
        volume: `(B, C, H, W, D)`.
        slices: how many, odd.
        first: first centre slice.
        last: centre slice to stop before; default: the end.

    Returns:
        `(B * n, C * slices, H, W)` for n centre slices, those of one volume one after the other.

    Raises:
        ValueError: `slices` is even or below 1, or `volume` has no five axes.

    Example:
        >>> volume = torch.arange(4.0).reshape(1, 1, 1, 1, 4)
        >>> stack_slices(volume).flatten(1).tolist()
        [[0.0, 0.0, 1.0], [0.0, 1.0, 2.0], [1.0, 2.0, 3.0], [2.0, 3.0, 3.0]]
    """
    _check(slices)
    if volume.ndim != 5:
        raise ValueError(f"`volume` must be (B, C, H, W, D), got shape {tuple(volume.shape)}.")
    depth = volume.shape[-1]
    centres = torch.arange(first, depth if last is None else last, device=volume.device)
    offsets = torch.arange(slices, device=volume.device) - slices // 2
    index = (centres[:, None] + offsets).clamp(0, depth - 1)
    stacked = volume[..., index]  # B, C, H, W, n, slices
    return stacked.permute(0, 4, 1, 5, 2, 3).flatten(2, 3).flatten(0, 1)


class CentreSlice:
    """The centre slice of every sequence of a 2.5D input, or of some: undoes `stack_slices`.

    Args:
        slices: adjacent slices per sequence in the input, odd.
        sequences: indices of the sequences to take; default: all.

    Raises:
        ValueError: `slices` is even or below 1; on calling, the channels are no multiple of `slices`.

    Example:
        >>> image = torch.arange(6.0).reshape(1, 6, 1, 1)  # two sequences of three slices
        >>> CentreSlice(3)(image).flatten().tolist(), CentreSlice(3, [1])(image).flatten().tolist()
        ([1.0, 4.0], [4.0])
    """

    def __init__(self, slices: int = 3, sequences: Sequence[int] | None = None) -> None:
        _check(slices)
        self.slices, self.sequences = slices, sequences

    def __call__(self, image: Tensor) -> Tensor:
        """`(B, sequences, H, W)` of `(B, sequences * slices, H, W)`."""
        if image.shape[1] % self.slices:
            raise ValueError(
                f"{image.shape[1]} channels are no stack of {self.slices} slices each: set `slices` to the "
                "number that the data are stacked with."
            )
        centre = image[:, self.slices // 2 :: self.slices]
        return centre if self.sequences is None else centre[:, list(self.sequences)]


def _check(slices: int) -> None:
    if slices < 1 or slices % 2 == 0:
        raise ValueError(f"`slices` counts a slice and its neighbours on both sides: odd, got {slices}.")
