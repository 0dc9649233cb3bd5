"""Networks of the five papers."""

from .dilated_resnet import DilatedResNet
from .liver_lesion_cascade import InsideScaled, LiverLesionCascade, LiverLesionInferer
from .shallow_fcn import ShallowFCN
from .space_to_depth_unet import SpaceToDepthUNet

__all__ = [
    "DilatedResNet",
    "InsideScaled",
    "LiverLesionCascade",
    "LiverLesionInferer",
    "ShallowFCN",
    "SpaceToDepthUNet",
]
