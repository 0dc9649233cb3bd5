"""Level-set mathematics in plain PyTorch: batched, 2D and 3D, differentiable, spacing aware.

Conventions: phi > 0 inside; tensors `(B, C, *spatial)`, one level set per item (C = 1); spacing in mm, one
value per spatial axis in tensor order.
"""

from __future__ import annotations

from .classical import chan_vese, drlse, geodesic_active_contour, multiphase_chan_vese, scale_intensity
from .components import largest_components, touching_components
from .deep import deep_level_set
from .distance import reinitialize, signed_distance
from .evolve import EvolutionDivergedError, EvolutionResult, ResultCode, evolve
from .forces import (
    ChanVeseForce,
    ClickForce,
    CurvatureForce,
    DistanceRegularization,
    EdgeForce,
    Force,
    MotionForce,
    MultiphaseChanVeseForce,
    RegionForce,
    ShapePriorForce,
    StatefulForce,
    phase_labels,
    phase_probabilities,
)
from .geometry import (
    curvature,
    curvature_times_gradient,
    edge_indicator,
    gradient,
    gradient_magnitude,
)
from .heaviside import HeavisideKind, dirac, dirac_derivative, heaviside
from .region_competition import region_competition
from .shape_prior import PoseGradient, canonical_prior, moments_pose, pose_gradient
from .similarity import Similarity, rotation_matrix
from .starts import checkerboard, intensity_start

__all__ = [
    "ChanVeseForce",
    "ClickForce",
    "CurvatureForce",
    "DistanceRegularization",
    "EdgeForce",
    "EvolutionDivergedError",
    "EvolutionResult",
    "Force",
    "HeavisideKind",
    "MotionForce",
    "MultiphaseChanVeseForce",
    "PoseGradient",
    "RegionForce",
    "ResultCode",
    "ShapePriorForce",
    "Similarity",
    "StatefulForce",
    "canonical_prior",
    "chan_vese",
    "checkerboard",
    "curvature",
    "curvature_times_gradient",
    "deep_level_set",
    "dirac",
    "dirac_derivative",
    "drlse",
    "edge_indicator",
    "evolve",
    "geodesic_active_contour",
    "gradient",
    "gradient_magnitude",
    "heaviside",
    "intensity_start",
    "largest_components",
    "moments_pose",
    "multiphase_chan_vese",
    "phase_labels",
    "phase_probabilities",
    "pose_gradient",
    "region_competition",
    "reinitialize",
    "rotation_matrix",
    "scale_intensity",
    "signed_distance",
    "touching_components",
]
