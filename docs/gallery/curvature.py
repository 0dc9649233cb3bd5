"""Pictures of `docs/forces/curvature.md`."""

from __future__ import annotations

from matplotlib.figure import Figure

from monai_levelset.levelset import (
    CurvatureForce,
    Force,
    RegionForce,
    edge_indicator,
    evolve,
    signed_distance,
)

from .panels import overlay, row, sweep
from .scenes import disc, noise, notched, probability, ventricle


def force_curvature_weight() -> Figure:
    """Details narrower than weight divided by log odds disappear."""
    mask = notched()
    p = 0.27 + 0.46 * mask
    image = (p + 0.06 * noise(72, seed=1)).clamp(0, 1)
    results = {}
    for weight in (0.0, 1.0, 4.0, 10.0):
        forces: list[Force] = [RegionForce(p), CurvatureForce(weight=weight)]
        results[f"weight={weight:g}"] = evolve(signed_distance(mask), forces, steps=1000, dt=0.03).phi
    return sweep(image, results, truth=mask)


def force_curvature_measure() -> Figure:
    """No other force: `gradient` moves the contour faster by the factor 1/delta(0) than `dirac`."""
    mask = notched()
    image = 0.3 + 0.4 * mask + 0.06 * noise(72, seed=1)
    start = signed_distance(mask)
    results = {}
    for measure in ("dirac", "gradient"):
        for steps in (40, 200):
            force = CurvatureForce(weight=0.4, measure=measure)
            results[f"measure={measure}, steps={steps}"] = evolve(start, [force], steps=steps).phi
    return sweep(image, results, start=start)


def force_curvature_edge() -> Figure:
    """With edge= the contour is not shortened where the image has an edge."""
    scene = ventricle()
    p = probability(scene.truth)
    b = edge_indicator(scene.image, scale=1.0)
    panels = [overlay("edge_indicator(image, scale=1)", b)]
    for title, edge in (("edge=None", None), ("edge=edge_indicator(...)", b)):
        forces: list[Force] = [RegionForce(p, weight=0.05), CurvatureForce(weight=0.4, edge=edge)]
        phi = evolve(disc(72, 16), forces, steps=400).phi
        panels.append(overlay(title, scene.image, phi, truth=scene.truth))
    return row(panels)
