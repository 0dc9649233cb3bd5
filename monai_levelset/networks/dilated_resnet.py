"""ResNets that keep their resolution: the later stages dilate instead of striding."""

from __future__ import annotations

from typing import Any, Literal, get_args

from monai.networks.nets import ResNet
from torch import Tensor, nn

BackboneName = Literal["resnet18", "resnet34", "resnet50", "resnet101"]

_BLOCKS: dict[str, tuple[str, list[int]]] = {
    "resnet18": ("basic", [2, 2, 2, 2]),
    "resnet34": ("basic", [3, 4, 6, 3]),
    "resnet50": ("bottleneck", [3, 4, 6, 3]),
    "resnet101": ("bottleneck", [3, 4, 23, 3]),
}


class DilatedResNet(ResNet):
    """2D ResNet without its classifier, whose features of all stages come out, the last ones undiminished.

    MONAI's `ResNet`, whose parameters have torchvision's names (`layer1.0.conv1.weight`), so that weights of
    torchvision's networks fit; see `load_imagenet_weights`. With `output_stride` 8, as in PSPNet, DEXTR and
    the deep level sets, the third and fourth stage do not stride: their 3 x 3 convolutions take samples 2 and
    4 pixels apart instead. Weights and receptive field stay, and every fourth feature of the last stage is
    exactly that of the network with strides.

    Args:
        in_channels: channels of the image, maps of clicks included.
        name: depth; 18 and 34 have basic blocks, 50 and 101 bottlenecks.
        output_stride: pixels per feature of the last stage: 8, 16 (only the fourth stage dilates) or 32.
        width: factor of the number of channels, 1 for the known networks.
        stride_on_first: bottlenecks stride in their first 1 x 1 convolution, as in Keras' ResNet-50, not in
            the 3 x 3 one, as in torchvision. The same parameters; take what the weights were trained with.

    Attributes:
        channels: of the five outputs.

    Raises:
        ValueError: an unknown name or stride, or `stride_on_first` for basic blocks, which have no such
            convolution.

    Example:
        >>> import torch
        >>> network = DilatedResNet(5, "resnet18", width=0.25)
        >>> [tuple(x.shape[1:]) for x in network(torch.rand(1, 5, 64, 48))]
        [(16, 32, 24), (16, 16, 12), (32, 8, 6), (64, 8, 6), (128, 8, 6)]
    """

    def __init__(
        self,
        in_channels: int = 3,
        name: BackboneName = "resnet50",
        *,
        output_stride: Literal[8, 16, 32] = 8,
        width: float = 1.0,
        stride_on_first: bool = False,
    ) -> None:
        _check(name, output_stride, stride_on_first)
        kind, blocks = _BLOCKS[name]
        super().__init__(
            kind,
            blocks,
            [64, 128, 256, 512],
            spatial_dims=2,
            n_input_channels=in_channels,
            conv1_t_size=7,
            conv1_t_stride=2,
            widen_factor=width,
            feed_forward=False,
            bias_downsample=False,
        )
        del self.avgpool
        self.name, self.output_stride, self.stride_on_first = name, output_stride, stride_on_first
        if stride_on_first:
            for stage in (self.layer2, self.layer3, self.layer4):
                block: Any = stage[0]
                block.conv1.stride, block.conv2.stride = (2, 2), (1, 1)
        if output_stride <= 16:
            before = 16 // output_stride
            if before == 2:
                _dilate(self.layer3, 1, 2, stride_on_first)
            _dilate(self.layer4, before, 2 * before, stride_on_first)
        widths = [int(n * width) for n in (64, 128, 256, 512)]
        factor = 4 if kind == "bottleneck" else 1
        self.channels = (widths[0], *(factor * n for n in widths))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:  # type: ignore[override]
        """Features of the stem (stride 2) and the four stages (4, 8, 8, 8) of an image `(B, C, H, W)`."""
        stem = self.act(self.bn1(self.conv1(x)))
        first = self.layer1(self.maxpool(stem))
        second = self.layer2(first)
        third = self.layer3(second)
        return stem, first, second, third, self.layer4(third)


def _dilate(stage: nn.Module, before: int, dilation: int, stride_on_first: bool) -> None:
    """Take the stride out of a stage.

    The features that its first 3 x 3 convolution reads are `before` pixels apart in the network with strides,
    those of the others `dilation`; so are those of the first one if the stride came before it.
    """
    blocks = list(stage.children())
    for i, block in enumerate(blocks):
        for name, layer in block.named_modules():
            if not isinstance(layer, nn.Conv2d):
                continue
            layer.stride = (1, 1)
            if layer.kernel_size == (3, 3):
                strides_here = i == 0 and not stride_on_first and _strides(block, name)
                d = before if strides_here else dilation
                layer.dilation = layer.padding = (d, d)


def _strides(block: nn.Module, name: str) -> bool:
    """Whether this 3 x 3 convolution is where torchvision strides."""
    return name == ("conv2" if hasattr(block, "conv3") else "conv1")


def _check(name: str, output_stride: int, stride_on_first: bool) -> None:
    if name not in get_args(BackboneName):
        raise ValueError(f"Unknown network {name!r}: choose one of {', '.join(get_args(BackboneName))}.")
    if output_stride not in (8, 16, 32):
        raise ValueError(f"`output_stride` must be 8, 16 or 32, got {output_stride}.")
    if stride_on_first and _BLOCKS[name][0] == "basic":
        raise ValueError(f"`stride_on_first` moves the stride to a 1 x 1 convolution, which {name} has not.")
