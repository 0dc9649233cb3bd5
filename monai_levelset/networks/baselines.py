"""The networks that the deep level set is compared with: PSPNet, DeepLabv3+ and U-Net."""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from monai.networks.blocks import Convolution
from monai.networks.nets.basic_unet import BasicUNet, UpCat
from torch import Tensor, nn

from monai_levelset.levelset.precision import plain, wide
from monai_levelset.networks.dilated_resnet import BackboneName, DilatedResNet
from monai_levelset.networks.pyramid_pooling import PyramidPoolingHead

BaselineName = Literal["pspnet", "deeplabv3plus", "unet"]


def baseline_network(
    name: BaselineName,
    in_channels: int,
    out_channels: int,
    *,
    encoder: BackboneName = "resnet34",
    output_stride: Literal[8, 16, 32] | None = None,
    width: float = 1.0,
    stride_on_first: bool = False,
) -> nn.Module:
    """One of the networks in Table 2 of Zheng et al., by name: images `(B, in_channels, H, W)` to scores.

    Scores are logits `(B, out_channels, H, W)` of an image of any size. PSPNet and DeepLabv3+ stand on the
    same `DilatedResNet` as `DeepLevelSetNetwork`, so that a comparison changes nothing but what follows it,
    and start from the same weights, see `load_imagenet_weights`. The U-Net is MONAI's `BasicUNet` with the
    channels of Ronneberger et al. (2015), 64 to 1024, batch norm and ReLU. All can be traced (`ckpt_export`
    with `use_trace`; another size of image needs no other trace), but not scripted.

    Args:
        name: `pspnet`, `deeplabv3plus` or `unet`.
        in_channels: channels of the image, maps of clicks included.
        out_channels: classes.
        encoder: depth of the ResNet; the U-Net has none and heeds neither this nor its strides.
        output_stride: of the ResNet; None for the paper's, 8 in PSPNet and 16 in DeepLabv3+.
        width: factor of all numbers of channels, below 1 for smaller networks without known weights.
        stride_on_first: see `DilatedResNet`; True for the weights of Keras' ResNet-50.

    Raises:
        ValueError: an unknown name, encoder or stride.

    Example:
        >>> network = baseline_network("unet", 5, 2, width=0.125)
        >>> network(torch.rand(1, 5, 61, 50)).shape
        torch.Size([1, 2, 61, 50])
    """
    if name not in get_args(BaselineName):
        raise ValueError(f"Unknown network {name!r}: choose one of {', '.join(get_args(BaselineName))}.")
    if name == "unet":
        return _UNet(in_channels, out_channels, [int(n * width) for n in (64, 128, 256, 512, 1024, 64)])
    if output_stride is None:
        output_stride = 8 if name == "pspnet" else 16
    kind, head = (PSPNet, 512) if name == "pspnet" else (DeepLabV3Plus, 256)
    return kind(
        in_channels,
        out_channels,
        encoder,
        output_stride=output_stride,
        width=width,
        head_channels=int(head * width),
        stride_on_first=stride_on_first,
    )


class PSPNet(nn.Module):
    """Pyramid scene parsing network (Zhao et al. 2017, figure 3) in 2D.

    The last features of a dilated ResNet go through one `PyramidPoolingHead`. Without the paper's auxiliary
    loss and dropout.

    Args:
        in_channels: channels of the image.
        out_channels: classes.
        backbone: depth of the ResNet; the paper's are `resnet50` and `resnet101`.
        output_stride: of the ResNet, 8 as in the paper; 16 and 32 are faster on a CPU.
        width: factor of the ResNet's number of channels.
        head_channels: within the head.
        stride_on_first: see `DilatedResNet`; True for the weights of Keras' ResNet-50.

    Raises:
        ValueError: an unknown backbone or stride.

    Example:
        >>> network = PSPNet(3, 2, "resnet18", width=0.125, head_channels=8)
        >>> network(torch.rand(2, 3, 50, 60)).shape
        torch.Size([2, 2, 50, 60])
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 2,
        backbone: BackboneName = "resnet50",
        *,
        output_stride: Literal[8, 16, 32] = 8,
        width: float = 1.0,
        head_channels: int = 512,
        stride_on_first: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = DilatedResNet(
            in_channels, backbone, output_stride=output_stride, width=width, stride_on_first=stride_on_first
        )
        self.head = PyramidPoolingHead(self.backbone.channels[-1], out_channels, mid_channels=head_channels)

    def forward(self, image: Tensor) -> Tensor:
        """Logits `(B, out_channels, H, W)`, float32, of images `(B, in_channels, H, W)`."""
        x = _padded(plain(image), self.backbone.output_stride, 1)
        return _resized(wide(self.head(self.backbone(x)[-1])), x)[..., : image.shape[-2], : image.shape[-1]]


class DeepLabV3Plus(nn.Module):
    """DeepLabv3+ (Chen et al. 2018, figure 2) in 2D, with a ResNet.

    Convolutions of several dilations and the average of the whole image look at the last features (ASPP);
    the decoder refines them with the features of stride 4. As in the paper's code, maps are resized with
    their corners kept. Convolutions are not separable, as in its ResNet, and there is no dropout. Unlike in
    the paper the average has no norm, so that a batch may hold a single image in training. MONAI's
    `SimpleASPP` has neither the average nor a norm and ReLU for each dilation.

    Args:
        in_channels: channels of the image.
        out_channels: classes.
        backbone: depth of the ResNet; the paper's is `resnet101`.
        output_stride: of the ResNet, 16 or 8 as in the paper; the dilations, 6, 12 and 18 at 16, follow.
        width: factor of the ResNet's number of channels.
        head_channels: after the ASPP and within the decoder.
        stride_on_first: see `DilatedResNet`; True for the weights of Keras' ResNet-50.

    Raises:
        ValueError: an unknown backbone or stride.

    Example:
        >>> network = DeepLabV3Plus(3, 2, "resnet18", width=0.125, head_channels=8)
        >>> network(torch.rand(2, 3, 50, 60)).shape
        torch.Size([2, 2, 50, 60])
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 2,
        backbone: BackboneName = "resnet50",
        *,
        output_stride: Literal[8, 16, 32] = 16,
        width: float = 1.0,
        head_channels: int = 256,
        stride_on_first: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = DilatedResNet(
            in_channels, backbone, output_stride=output_stride, width=width, stride_on_first=stride_on_first
        )
        _, early, _, _, late = self.backbone.channels
        n, few = head_channels, max(1, 48 * head_channels // 256)
        rates = [rate * 16 // output_stride for rate in (6, 12, 18)]
        self.aspp = nn.ModuleList([_conv(late, n, 1), *(_conv(late, n, 3, rate) for rate in rates)])
        self.average = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(late, n, 1), nn.ReLU(inplace=True))
        self.project = _conv(5 * n, n, 1)
        self.early = _conv(early, few, 1)
        self.decoder = nn.Sequential(_conv(n + few, n, 3), _conv(n, n, 3), nn.Conv2d(n, out_channels, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Logits `(B, out_channels, H, W)`, float32, of images `(B, in_channels, H, W)`."""
        x = _padded(plain(image), self.backbone.output_stride, 1)
        _, early, _, _, late = self.backbone(x)
        parts = [branch(late) for branch in self.aspp] + [self.average(late).expand(-1, -1, *late.shape[2:])]
        joined = torch.cat([_resized(self.project(torch.cat(parts, 1)), early), self.early(early)], 1)
        return _resized(wide(self.decoder(joined)), x)[..., : image.shape[-2], : image.shape[-1]]


class _UNet(BasicUNet):
    """MONAI's U-Net, its images padded before it halves them four times: also traced, it takes any size."""

    def __init__(self, in_channels: int, out_channels: int, features: list[int]) -> None:
        super().__init__(2, in_channels, out_channels, features, act="relu", norm="batch")
        for module in self.modules():
            if isinstance(module, UpCat):
                module.is_pad = False

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = super().forward(_padded(plain(image), 16, 0))
        return wide(logits)[..., : image.shape[-2], : image.shape[-1]]


def _conv(in_channels: int, out_channels: int, size: int, dilation: int = 1) -> nn.Module:
    conv: nn.Module = Convolution(
        2,
        in_channels,
        out_channels,
        kernel_size=size,
        dilation=dilation,
        norm="batch",
        act="relu",
        bias=False,
    )
    return conv


def _padded(image: Tensor, unit: int, more: int) -> Tensor:
    """The border repeated at the bottom and right, up to `unit * k + more` pixels."""
    height, width = image.shape[-2], image.shape[-1]
    return F.pad(image, [0, (more - width) % unit, 0, (more - height) % unit], mode="replicate")


def _resized(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=True)
