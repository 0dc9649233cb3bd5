"""The U-Net whose pooling loses nothing: space to depth, and back."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from monai.networks.layers.utils import get_norm_layer
from torch import Tensor, nn


class SpaceToDepthUNet(nn.Module):
    """2D U-Net with lossless pooling, the "modified U-Net" of Kim and Ye (2019), section IV-B.

    Pooling moves each 2 x 2 block of pixels into four channels (polyphase decomposition), unpooling moves
    four channels back into a block, so no detail is thrown away on the way down. Two 3 x 3 convolutions with
    normalisation and ReLU at every level, skip connections by concatenation, a 1 x 1 convolution at the end.

    Images of any size go through: they are padded at the bottom and right, with their border repeated, to a
    multiple of `2 ** (levels - 1)`, and the output is cropped back.

    Args:
        in_channels: channels of the input; for 2.5D input sequences times slices, see `stack_slices`.
        out_channels: classes, background included.
        channels: width of each level, from the finest to the coarsest, multiples of 4.
        bias_field: one more output channel, the logarithm u of the bias field b = exp(u), as
            `MumfordShahLoss(bias_field=True)` takes it; it is 0 everywhere before training.
        norm: normalisation, by MONAI's name or (name, arguments). Group normalisation treats every image by
            itself: with batch normalisation the few labelled cases and the unlabelled ones would share
            statistics in training.

    Raises:
        ValueError: fewer than two levels, or a width that is not positive or no multiple of 4.

    Example:
        >>> import torch
        >>> network = SpaceToDepthUNet(12, 2, channels=(16, 32, 64))
        >>> network(torch.zeros(1, 12, 45, 38)).shape
        torch.Size([1, 2, 45, 38])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        channels: Sequence[int] = (32, 64, 128, 256),
        bias_field: bool = False,
        norm: str | tuple[str, dict[str, object]] = ("group", {"num_groups": 4}),
    ) -> None:
        super().__init__()
        if len(channels) < 2 or any(width < 4 or width % 4 for width in channels):
            raise ValueError(f"`channels` must hold two or more multiples of 4, got {tuple(channels)}.")
        pairs = list(pairwise(channels))
        self.unit = 2 ** len(pairs)
        self.first = _block(in_channels, channels[0], norm)
        self.down = nn.ModuleList([_block(4 * fine, coarse, norm) for fine, coarse in pairs])
        self.up = nn.ModuleList([_block(fine + coarse // 4, fine, norm) for fine, coarse in reversed(pairs)])
        self.last = nn.Conv2d(channels[0], out_channels + int(bias_field), 1)
        if bias_field:
            nn.init.zeros_(self.last.weight[-1:])
            assert self.last.bias is not None
            nn.init.zeros_(self.last.bias[-1:])

    def forward(self, x: Tensor) -> Tensor:
        """Scores `(B, out_channels [+ 1], H, W)` of an image `(B, in_channels, H, W)`."""
        height, width = x.shape[-2], x.shape[-1]
        x = F.pad(x, [0, -width % self.unit, 0, -height % self.unit], mode="replicate")
        x = self.first(x)
        skipped = [x]
        for block in self.down:
            x = block(F.pixel_unshuffle(x, 2))
            skipped.append(x)
        skipped.pop()
        for block in self.up:
            x = block(torch.cat([F.pixel_shuffle(x, 2), skipped.pop()], 1))
        scores: Tensor = self.last(x)
        return scores[..., :height, :width]


def _block(in_channels: int, out_channels: int, norm: str | tuple[str, dict[str, object]]) -> nn.Sequential:
    """Two convolutions with normalisation and ReLU."""
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        layers += [
            nn.Conv2d(channels, out_channels, 3, padding=1, bias=False),
            get_norm_layer(norm, spatial_dims=2, channels=out_channels),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
