"""Forces that move a level set: small callables phi -> velocity."""

from __future__ import annotations

from .base import Force, StatefulForce
from .curvature import CurvatureForce
from .motion import MotionForce
from .region import RegionForce
from .regularization import DistanceRegularization
from .shape import ShapePriorForce

__all__ = [
    "CurvatureForce",
    "DistanceRegularization",
    "Force",
    "MotionForce",
    "RegionForce",
    "ShapePriorForce",
    "StatefulForce",
]
