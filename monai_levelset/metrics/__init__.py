"""Segmentation metrics in which a miss can never help a score."""

from __future__ import annotations

from monai_levelset.metrics.boundary import boundary_f
from monai_levelset.metrics.overlap import case_metrics
from monai_levelset.metrics.regions import (
    OptimalScale,
    optimal_dataset_scale,
    probabilistic_rand_index,
    region_covering,
    region_metrics,
    variation_of_information,
)
from monai_levelset.metrics.summary import Case, evaluate_arrays, summarize
from monai_levelset.metrics.volume import Volume, check_same_grid, load_volume

__all__ = [
    "Case",
    "OptimalScale",
    "Volume",
    "boundary_f",
    "case_metrics",
    "check_same_grid",
    "evaluate_arrays",
    "load_volume",
    "optimal_dataset_scale",
    "probabilistic_rand_index",
    "region_covering",
    "region_metrics",
    "summarize",
    "variation_of_information",
]
