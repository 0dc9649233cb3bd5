"""Networks of the five papers."""

from .dilated_resnet import DilatedResNet
from .liver_lesion_cascade import InsideScaled, LiverLesionCascade, LiverLesionInferer
from .resnet_weights import load_imagenet_weights
from .shallow_fcn import ShallowFCN
from .space_to_depth_unet import SpaceToDepthUNet

__all__ = [
    "DilatedResNet",
    "InsideScaled",
    "LiverLesionCascade",
    "LiverLesionInferer",
    "ShallowFCN",
    "SpaceToDepthUNet",
    "load_imagenet_weights",
]
