"""Pictures of `docs/forces/region.md`."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure

from monai_levelset.levelset import CurvatureForce, Force, RegionForce, evolve, signed_distance

from .panels import overlay, row
from .scenes import disc, probability, ventricle


def force_region_weight() -> Figure:
    """More weight: closer to the map, with its errors; less: the curvature decides."""
    scene = ventricle()
    p = probability(scene.truth)
    panels = [overlay("probability map, red: p = 1/2", p, p - 0.5, truth=scene.truth)]
    for weight in (1.0, 0.2, 0.05):
        forces: list[Force] = [RegionForce(p, weight=weight), CurvatureForce(weight=0.2)]
        phi = evolve(disc(72, 12), forces, steps=400).phi
        panels.append(overlay(f"weight={weight:g}", scene.image, phi, truth=scene.truth))
    return row(panels)


def force_region_clip() -> Figure:
    """A small patch of certainty, wrong: clip bounds what each pixel counts."""
    scene = ventricle()
    p = probability(scene.truth, noise_level=0.3)
    p = torch.where(disc(72, 4, (2, 14)) > 0, 1e-4, p)
    panels = [overlay("probability map", p, truth=scene.truth)]
    for clip in (9.0, 3.0, 0.5):
        forces: list[Force] = [RegionForce(p, weight=0.1, clip=clip), CurvatureForce(weight=0.4)]
        phi = evolve(signed_distance(p > 0.5), forces, steps=400).phi
        panels.append(overlay(f"clip={clip:g}", scene.image, phi, truth=scene.truth))
    return row(panels)


def force_region_start() -> Figure:
    """The force moves the contour it is given: what no contour touches is not found."""
    scene = ventricle()
    p = torch.sigmoid(20 * (scene.image - 0.5))
    panels = [overlay("probability map from grey values", p)]
    starts = {"start: small disc": disc(72, 6), "start: disc elsewhere": disc(72, 9, (-16, -20))}
    starts["start: p > 1/2"] = signed_distance(p > 0.5)
    for title, start in starts.items():
        forces: list[Force] = [RegionForce(p, weight=0.2), CurvatureForce(weight=0.4)]
        phi = evolve(start, forces, steps=300).phi
        shown = None if "1/2" in title else start
        panels.append(overlay(title, scene.image, phi, truth=scene.truth, start=shown))
    return row(panels)
