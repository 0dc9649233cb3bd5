"""Segment files with a bundle: the command `monai-levelset predict` and what it consists of."""

from monai_levelset.prediction.command import SomeFailed, predict

__all__ = ["SomeFailed", "predict"]
