"""Transforms: augmentation in batches, slices in and out of volumes, level-set refinement."""

from .batch_augmentation import BatchAugmentation
from .in_plane import FillLabeld, InPlaneCenterCrop, InPlaneCenterCropd, NormalizeSlices, NormalizeSlicesd
from .level_set_refinement import LevelSetRefinement, LevelSetRefinementd
from .shape_priors import SaveShapePriors, draw_shape_priors

__all__ = [
    "BatchAugmentation",
    "FillLabeld",
    "InPlaneCenterCrop",
    "InPlaneCenterCropd",
    "LevelSetRefinement",
    "LevelSetRefinementd",
    "NormalizeSlices",
    "NormalizeSlicesd",
    "SaveShapePriors",
    "draw_shape_priors",
]
