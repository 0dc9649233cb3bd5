"""Transforms: augmentation in batches, maps of clicks, slices in and out of volumes, level-set refinement."""

from .axial_orientation import AxialOrientation, AxialOrientationd
from .batch_augmentation import BatchAugmentation
from .click_box import ClickBoxCrop, ClickBoxCropd, click_box
from .click_maps import ClickMapsd, click_maps
from .click_points import (
    ClickPointsd,
    arrange_clicks,
    clicks_by_slice,
    contour_clicks,
    interpolate_clicks,
    map_clicks,
)
from .click_refinement import ClickRefinement, ClickRefinementd
from .click_slices import ClickSlices, ClickSlicesd
from .confidence_map import confidence_map, extreme_point_heatmap
from .copy_paste import CopyPaste
from .extreme_points import ExtremePointsd, RandExtremePointsd, extreme_points
from .in_plane import FillLabeld, InPlaneCenterCrop, InPlaneCenterCropd, NormalizeSlices, NormalizeSlicesd
from .in_plane_spacing import InPlaneSpacing, InPlaneSpacingd
from .level_set_refinement import LevelSetRefinement, LevelSetRefinementd
from .multiphase_refinement import MultiphaseRefinement
from .photograph import Photograph, Photographd
from .predicted_mask import InsideRegion, MaskedAugmentation, PredictedMaskd, main_region
from .region_competition import RegionCompetitiond
from .region_map import RegionMap, RegionMapd, connected_regions, merge_small_regions
from .save_label_map import SaveLabelMapd
from .save_probabilities import SaveProbabilitiesd
from .shape_priors import SaveShapePriors, draw_shape_priors
from .simulated_clicks import SimulatedClicks, batch_extreme_points
from .single_channel import SingleChannel, SingleChanneld
from .slice_stack import CentreSlice, stack_slices
from .structure_label_map import StructureLabelMapd
from .structure_mask import StructureMaskd
from .through_plane import ThroughPlaneLast, ThroughPlaneLastd
from .touching_components import TouchingComponentsd

__all__ = [
    "AxialOrientation",
    "AxialOrientationd",
    "BatchAugmentation",
    "CentreSlice",
    "ClickBoxCrop",
    "ClickBoxCropd",
    "ClickMapsd",
    "ClickPointsd",
    "ClickRefinement",
    "ClickRefinementd",
    "ClickSlices",
    "ClickSlicesd",
    "CopyPaste",
    "ExtremePointsd",
    "FillLabeld",
    "InPlaneCenterCrop",
    "InPlaneCenterCropd",
    "InPlaneSpacing",
    "InPlaneSpacingd",
    "InsideRegion",
    "LevelSetRefinement",
    "LevelSetRefinementd",
    "MaskedAugmentation",
    "MultiphaseRefinement",
    "NormalizeSlices",
    "NormalizeSlicesd",
    "Photograph",
    "Photographd",
    "PredictedMaskd",
    "RandExtremePointsd",
    "RegionCompetitiond",
    "RegionMap",
    "RegionMapd",
    "SaveLabelMapd",
    "SaveProbabilitiesd",
    "SaveShapePriors",
    "SimulatedClicks",
    "SingleChannel",
    "SingleChanneld",
    "StructureLabelMapd",
    "StructureMaskd",
    "ThroughPlaneLast",
    "ThroughPlaneLastd",
    "TouchingComponentsd",
    "arrange_clicks",
    "batch_extreme_points",
    "click_box",
    "click_maps",
    "clicks_by_slice",
    "confidence_map",
    "connected_regions",
    "contour_clicks",
    "draw_shape_priors",
    "extreme_point_heatmap",
    "extreme_points",
    "interpolate_clicks",
    "main_region",
    "map_clicks",
    "merge_small_regions",
    "stack_slices",
]
