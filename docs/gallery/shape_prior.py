"""Pictures of `docs/forces/shape_prior.md`."""

from __future__ import annotations

import math
from functools import cache

import torch
from matplotlib.figure import Figure

from monai_levelset.levelset import (
    CurvatureForce,
    Force,
    RegionForce,
    ShapePriorForce,
    StatefulForce,
    canonical_prior,
    evolve,
    signed_distance,
)

from .panels import overlay, row
from .scenes import Scene, batch, mesh, noise

SIZE = 72


def ellipse(a: float, b: float, angle: float = 0.0) -> torch.Tensor:
    """Mask of a centred ellipse.

    Args:
        a: half axis along the rows before turning, in pixels.
        b: half axis along the columns.
        angle: radians.

    Returns:
        `(1, 1, SIZE, SIZE)`.
    """
    y, x = mesh(SIZE)
    c, s = math.cos(angle), math.sin(angle)
    u, v = c * y + s * x, c * x - s * y
    return batch((u / a) ** 2 + (v / b) ** 2 < 1)


@cache
def bitten() -> tuple[Scene, torch.Tensor]:
    """A turned ellipse; its image and probability map lack a bite and have a leak.

    Returns:
        The scene and the map.
    """
    truth = ellipse(15, 24, 0.5)
    y, x = mesh(SIZE)
    bite, leak = torch.hypot(y + 14, x - 8) < 9, torch.hypot(y - 21, x + 8) < 8
    seen = torch.where(bite, 0.0, torch.where(leak, 1.0, truth))
    image = 0.3 + 0.4 * seen + 0.05 * noise(SIZE, seed=2)
    return Scene(image, truth), 0.1 + 0.8 * seen


def run(**options: object) -> torch.Tensor:
    """The level set of the bitten scene under region, curvature and the shape force with these options."""
    _, p = bitten()
    prior = canonical_prior(ellipse(10, 16))
    forces: list[Force | StatefulForce] = [
        RegionForce(p, weight=0.2),
        CurvatureForce(weight=0.1),
        ShapePriorForce(prior, **options),  # type: ignore[arg-type]
    ]
    return evolve(signed_distance(p > 0.5), forces, steps=200).phi


def force_shape_prior_weight() -> Figure:
    """More weight: the contour leaves the data where they contradict the prior."""
    scene, _ = bitten()
    panels = [overlay("prior", ellipse(10, 16))]
    for weight in (0.0, 0.05, 0.2, 0.6):
        panels.append(overlay(f"weight={weight:g}", scene.image, run(weight=weight), truth=scene.truth))
    return row(panels)


def force_shape_prior_limits() -> Figure:
    """residual_limit caps the pull; pose_residual_limit=None lets bite and leak drag the pose along."""
    scene, _ = bitten()
    variants: dict[str, dict[str, object]] = {
        "defaults": {},
        "residual_limit=2": {"residual_limit": 2.0},
        "residual_limit=0.5": {"residual_limit": 0.5},
        "pose_residual_limit=None": {"pose_residual_limit": None},
    }
    return row(
        [
            overlay(title, scene.image, run(weight=0.2, **options), truth=scene.truth)
            for title, options in variants.items()
        ]
    )
