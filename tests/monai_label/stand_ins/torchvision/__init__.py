"""In place of torchvision, which MONAI Label imports for two functions that draw debugging pictures."""

from torchvision import utils

__all__ = ["utils"]
__version__ = "0"
