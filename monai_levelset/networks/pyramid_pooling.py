"""Head of a network that sees each place of the image beside averages of its surroundings."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PyramidPoolingHead(nn.Module):
    """Pyramid pooling and a classifier (Zhao et al. 2017, PSPNet), as a branch that predicts one map.

    The features are averaged over grids of 1 x 1, 2 x 2, 3 x 3 and 6 x 6 cells. Each average goes through a
    1 x 1 convolution that leaves a quarter of the channels, is interpolated back, and joins the features; a
    3 x 3 convolution with norm and ReLU and a 1 x 1 convolution make the map of them. The averages have no
    norm of their own, so that a batch may hold a single image in training.

    The last convolution is done in float32 whatever autocast says, because signed distances and motions are
    read to a fraction of a pixel. Its weights start small (standard deviation 0.01), its bias at zero.

    Args:
        in_channels: channels of the features.
        out_channels: channels of the map.
        mid_channels: channels between the last two convolutions.
        sizes: cells per side of the grids.

    Raises:
        ValueError: a size that is not positive, or fewer channels than sizes.

    Example:
        >>> PyramidPoolingHead(16, 2, mid_channels=8)(torch.rand(1, 16, 9, 7)).shape
        torch.Size([1, 2, 9, 7])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        mid_channels: int = 128,
        sizes: Sequence[int] = (1, 2, 3, 6),
    ) -> None:
        super().__init__()
        if not sizes or min(sizes) < 1 or len(sizes) > in_channels:
            raise ValueError(
                f"`sizes` must be positive, and no more than the {in_channels} channels, got {tuple(sizes)}."
            )
        part = in_channels // len(sizes)
        self.sizes = tuple(sizes)
        self.reduce = nn.ModuleList([nn.Conv2d(in_channels, part, 1, bias=False) for _ in sizes])
        self.join = nn.Sequential(
            nn.Conv2d(in_channels + part * len(sizes), mid_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(mid_channels),
            nn.ReLU(inplace=True),
        )
        self.last = nn.Conv2d(mid_channels, out_channels, 1)
        nn.init.normal_(self.last.weight, std=0.01)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Map `(B, out_channels, h, w)` of features `(B, in_channels, h, w)`."""
        parts = [features]
        for size, reduce in zip(self.sizes, self.reduce, strict=True):
            average = reduce(F.adaptive_avg_pool2d(features, size))
            parts.append(F.interpolate(average, features.shape[2:], mode="bilinear"))
        joined = self.join(torch.cat(parts, 1))
        with torch.autocast(joined.device.type, enabled=False):
            found: Tensor = self.last(joined.to(self.last.weight.dtype))
        return found
