"""Networks of the five papers, and those that they are compared with."""

from .baselines import DeepLabV3Plus, PSPNet, baseline_network
from .deep_level_set_network import DeepLevelSetNetwork
from .dilated_resnet import DilatedResNet
from .liver_lesion_cascade import InsideScaled, LesionStage, LiverLesionCascade, LiverLesionInferer
from .pyramid_pooling import PyramidPoolingHead
from .resnet_weights import load_imagenet_weights
from .shallow_fcn import ShallowFCN
from .signed_distance_head import SignedDistanceHead
from .space_to_depth_unet import SpaceToDepthUNet

__all__ = [
    "DeepLabV3Plus",
    "DeepLevelSetNetwork",
    "DilatedResNet",
    "InsideScaled",
    "LesionStage",
    "LiverLesionCascade",
    "LiverLesionInferer",
    "PSPNet",
    "PyramidPoolingHead",
    "ShallowFCN",
    "SignedDistanceHead",
    "SpaceToDepthUNet",
    "baseline_network",
    "load_imagenet_weights",
]
