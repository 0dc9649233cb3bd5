"""Networks of the five papers."""

from .shallow_fcn import ShallowFCN
from .space_to_depth_unet import SpaceToDepthUNet

__all__ = ["ShallowFCN", "SpaceToDepthUNet"]
