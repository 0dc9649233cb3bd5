"""Transforms: augmentation in batches, slices in and out of volumes, level-set refinement."""

from .batch_augmentation import BatchAugmentation
from .in_plane import FillLabeld, InPlaneCenterCrop, InPlaneCenterCropd, NormalizeSlices, NormalizeSlicesd
from .level_set_refinement import LevelSetRefinement, LevelSetRefinementd
from .save_label_map import SaveLabelMapd
from .shape_priors import SaveShapePriors, draw_shape_priors
from .through_plane import ThroughPlaneLast, ThroughPlaneLastd

__all__ = [
    "BatchAugmentation",
    "FillLabeld",
    "InPlaneCenterCrop",
    "InPlaneCenterCropd",
    "LevelSetRefinement",
    "LevelSetRefinementd",
    "NormalizeSlices",
    "NormalizeSlicesd",
    "SaveLabelMapd",
    "SaveShapePriors",
    "ThroughPlaneLast",
    "ThroughPlaneLastd",
    "draw_shape_priors",
]
