"""Pictures of `docs/forces/edge.md`."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure

from monai_levelset.levelset import EdgeForce, Force, edge_indicator, evolve

from .panels import overlay, row
from .scenes import Scene, disc, noise, ventricle

SIZE = 72


def weak_side() -> Scene:
    """A disc whose right side fades into the background.

    Returns:
        Image and mask.
    """
    inside = disc(SIZE, 20)
    column = torch.arange(SIZE).float() - 35.5
    strength = 0.5 - 0.42 * torch.sigmoid((column - 12) / 2)
    image = 0.25 + strength * torch.sigmoid(2 * inside) + 0.02 * noise(SIZE, seed=6)
    return Scene(image, (inside > 0).float())


def force_edge_balloon() -> Figure:
    """The balloon carries a seed to the edge; too much of it breaks through the weak side."""
    scene = weak_side()
    start = disc(SIZE, 7)
    g = edge_indicator(scene.image, scale=1.5)
    panels = [overlay("edge indicator g", g)]
    for balloon in (0.0, 0.2, 0.4, 0.6):
        phi = evolve(start, [EdgeForce(g, balloon=balloon)], steps=1500, dt=0.12).phi
        panels.append(overlay(f"balloon={balloon:g}", scene.image, phi, truth=scene.truth, start=start))
    return row(panels)


def force_edge_weight() -> Figure:
    """The length's weight bridges gaps, and rounds corners."""
    scene = weak_side()
    start = disc(SIZE, 14)
    g = edge_indicator(scene.image, scale=1.5)
    panels = []
    for weight in (0.3, 1.0, 2.0, 4.0):
        forces: list[Force] = [EdgeForce(g, balloon=0.6, weight=weight)]
        dt = 0.9 / (4 * weight + 2 * (0.6 + 0.5 * weight))
        phi = evolve(start, forces, steps=round(150 / dt), dt=dt).phi
        panels.append(
            overlay(f"weight={weight:g}, balloon=0.6", scene.image, phi, truth=scene.truth, start=start)
        )
    return row(panels)


def force_edge_scale() -> Figure:
    """Smoothing before the gradient: less noise in g, a wider and blurred valley."""
    scene = ventricle()
    image = scene.image + 0.1 * noise(SIZE, seed=7)
    start = disc(SIZE, 9, (0, -3))
    panels, indicators = [], []
    for scale in (0.0, 0.8, 1.5, 4.0):
        g = edge_indicator(image, scale=scale)
        phi = evolve(start, [EdgeForce(g, balloon=0.3)], steps=1000, dt=0.16).phi
        indicators.append(overlay(f"g, scale={scale:g}", g))
        panels.append(overlay(f"scale={scale:g}", image, phi, truth=scene.truth, start=start))
    return row([*indicators, *panels], columns=4)
