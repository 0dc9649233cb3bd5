"""The shallow fully convolutional network that is trained together with a level set."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor


class ShallowFCN(nn.Module):
    """Fully convolutional network of Tang et al. (2017): few layers, so that few labels do not over-fit it.

    3x3 convolutions with bias, each followed by a ReLU and where given by max-pooling; a 1x1 convolution to
    the classes; grouped up-convolutions without bias back to the input's size. There is no normalisation
    layer.

    The defaults are the left-ventricle network with **51,238** trainable parameters and a subsampling of 6.
    It is a reconstruction: the paper gives only "7 convolutional layers with 51238 parameters and a total
    subsampling rate of 6". Pooling by 2 and by 3 comes right after the first two convolutions, which lets the
    other four see a field of 60 x 60 pixels at little cost.

    The paper draws all weights from N(0, 0.01); without normalisation layers that leaves almost no gradient
    in seven layers, so the default start is He's, with bilinear up-convolutions. `init_std=0.01` gives the
    paper's.

    Args:
        in_channels: channels of the image.
        out_channels: classes, background included.
        channels: output channels of each 3x3 convolution.
        pools: max-pooling after each 3x3 convolution; 1 for none.
        ups: (kernel, stride) of each up-convolution. The strides' product must equal the pools' product.
        init_std: standard deviation of a normal start for all weights; default (None): He.

    Raises:
        ValueError: `channels` and `pools` differ in length, strides and pools do not match, or an
            up-convolution's kernel is smaller than its stride.

    Example:
        >>> import torch
        >>> network = ShallowFCN()
        >>> sum(p.numel() for p in network.parameters())
        51238
        >>> network(torch.zeros(2, 1, 120, 100)).shape
        torch.Size([2, 2, 120, 100])
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 2,
        channels: Sequence[int] = (16, 32, 32, 32, 32, 64),
        pools: Sequence[int] = (2, 3, 1, 1, 1, 1),
        ups: Sequence[Sequence[int]] = ((3, 2), (5, 3)),
        init_std: float | None = None,
    ) -> None:
        super().__init__()
        self.stride = math.prod(pools)
        _check_layers(channels, pools, ups)
        layers: list[nn.Module] = []
        for previous, width, pool in zip((in_channels, *channels), channels, pools, strict=False):
            layers.append(nn.Conv2d(previous, width, 3, padding=1))
            if pool > 1:  # before the ReLU, with which it commutes: fewer pixels to rectify
                layers.append(nn.MaxPool2d(pool))
            layers.append(nn.ReLU(inplace=True))
        self.features = nn.Sequential(*layers)
        self.classify = nn.Conv2d(channels[-1], out_channels, 1)
        self.up = nn.Sequential(*(_up_convolution(out_channels, kernel, stride) for kernel, stride in ups))
        self.reset_parameters(init_std)

    def reset_parameters(self, init_std: float | None = None) -> None:
        """Draw all weights anew from torch's global generator; see `init_std` of the class."""
        for module in self.modules():
            if isinstance(module, nn.ConvTranspose2d):
                _bilinear_(module.weight, module.stride[0])
            elif isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
            if init_std is not None and isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, std=init_std)
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.zeros_(module.bias)
        if init_std is None:
            nn.init.normal_(self.classify.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (before the softmax) `(B, out_channels, H, W)` of images `(B, in_channels, H, W)`.

        Sizes that are no multiple of the subsampling are padded by repeating the border, and cropped again.
        """
        height, width = x.shape[-2], x.shape[-1]
        below, right = -height % self.stride, -width % self.stride
        if below > 0 or right > 0:
            x = F.pad(x, [0, right, 0, below], mode="replicate")
        scores: Tensor = self.up(self.classify(self.features(x)))
        return scores[..., :height, :width]


def _check_layers(channels: Sequence[int], pools: Sequence[int], ups: Sequence[Sequence[int]]) -> None:
    if len(channels) != len(pools):
        raise ValueError(
            f"One pool per convolution: got {len(channels)} `channels` and {len(pools)} `pools`."
        )
    if math.prod(pools) != math.prod(stride for _, stride in ups):
        raise ValueError(f"The strides of `ups` {ups} must undo the subsampling of `pools` {pools}.")
    if any(kernel < stride for kernel, stride in ups):
        raise ValueError(f"A kernel smaller than its stride leaves holes: {ups}.")


def _up_convolution(channels: int, kernel: int, stride: int) -> nn.ConvTranspose2d:
    """Multiplies the size by exactly `stride`."""
    surplus = kernel - stride
    padding = (surplus + 1) // 2
    return nn.ConvTranspose2d(
        channels, channels, kernel, stride, padding, 2 * padding - surplus, groups=channels, bias=False
    )


@torch.no_grad()
def _bilinear_(weight: Tensor, stride: int) -> None:
    """Linear interpolation between the coarse values, in place; weight `(C, 1, k, k)`."""
    kernel = weight.shape[-1]
    ramp = 1 - (torch.arange(kernel) - (kernel - 1) / 2).abs() / stride
    ramp = ramp.clamp_min(0)
    weight.copy_((ramp[:, None] * ramp).expand_as(weight))
