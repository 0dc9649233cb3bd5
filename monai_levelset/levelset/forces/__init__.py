"""Forces that move a level set: small callables phi -> velocity."""

from __future__ import annotations

from .base import Force, StatefulForce
from .chan_vese import ChanVeseForce
from .click import ClickForce
from .curvature import CurvatureForce
from .edge import EdgeForce
from .motion import MotionForce
from .multiphase import MultiphaseChanVeseForce, phase_labels, phase_probabilities
from .region import RegionForce
from .regularization import DistanceRegularization
from .shape import ShapePriorForce

__all__ = [
    "ChanVeseForce",
    "ClickForce",
    "CurvatureForce",
    "DistanceRegularization",
    "EdgeForce",
    "Force",
    "MotionForce",
    "MultiphaseChanVeseForce",
    "RegionForce",
    "ShapePriorForce",
    "StatefulForce",
    "phase_labels",
    "phase_probabilities",
]
