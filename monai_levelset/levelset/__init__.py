"""Level-set mathematics in plain PyTorch: batched, 2D and 3D, differentiable, spacing aware.

Conventions: phi > 0 inside; tensors `(B, C, *spatial)`, one level set per item (C = 1); spacing in mm, one
value per spatial axis in tensor order.
"""

from __future__ import annotations

from .deep import deep_level_set
from .distance import reinitialize, signed_distance
from .evolve import EvolutionDivergedError, EvolutionResult, ResultCode, evolve
from .forces import (
    CurvatureForce,
    DistanceRegularization,
    Force,
    MotionForce,
    RegionForce,
    ShapePriorForce,
    StatefulForce,
)
from .geometry import (
    curvature,
    curvature_times_gradient,
    edge_indicator,
    gradient,
    gradient_magnitude,
)
from .heaviside import HeavisideKind, dirac, dirac_derivative, heaviside
from .shape_prior import PoseGradient, canonical_prior, moments_pose, pose_gradient
from .similarity import Similarity, rotation_matrix

__all__ = [
    "CurvatureForce",
    "DistanceRegularization",
    "EvolutionDivergedError",
    "EvolutionResult",
    "Force",
    "HeavisideKind",
    "MotionForce",
    "PoseGradient",
    "RegionForce",
    "ResultCode",
    "ShapePriorForce",
    "Similarity",
    "StatefulForce",
    "canonical_prior",
    "curvature",
    "curvature_times_gradient",
    "deep_level_set",
    "dirac",
    "dirac_derivative",
    "edge_indicator",
    "evolve",
    "gradient",
    "gradient_magnitude",
    "heaviside",
    "moments_pose",
    "pose_gradient",
    "reinitialize",
    "rotation_matrix",
    "signed_distance",
]
