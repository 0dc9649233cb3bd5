"""Networks of the five papers."""

from .liver_lesion_cascade import InsideScaled, LiverLesionCascade, LiverLesionInferer
from .shallow_fcn import ShallowFCN
from .space_to_depth_unet import SpaceToDepthUNet

__all__ = ["InsideScaled", "LiverLesionCascade", "LiverLesionInferer", "ShallowFCN", "SpaceToDepthUNet"]
