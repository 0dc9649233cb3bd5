"""Pictures of `docs/forces/distance_regularization.md`."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure

from monai_levelset.levelset import (
    CurvatureForce,
    DistanceRegularization,
    Force,
    RegionForce,
    evolve,
    gradient_magnitude,
)
from monai_levelset.report.drawing import INK, PALETTE, draw_panel, legend, new_figure

from .panels import SIDE, overlay, picture
from .scenes import disc, probability, ventricle


def force_distance_regularization_weight() -> Figure:
    """Level lines of phi after an evolution without re-initialisation."""
    scene = ventricle()
    p = probability(scene.truth, noise_level=0.8)
    figure = new_figure(4 * SIDE, SIDE + 0.45)
    grid = figure.subplots(1, 4)
    for axes, weight in zip(grid, (0.0, 0.01, 0.1, 0.4), strict=True):
        forces: list[Force] = [
            RegionForce(p, weight=0.5, kind="arctan"),
            CurvatureForce(weight=0.2, kind="arctan"),
            DistanceRegularization(weight=weight),
        ]
        phi = evolve(disc(72, 12), forces, steps=600, reinitialize_every=0).phi
        slope = gradient_magnitude(phi)[phi.abs() < 1.5].median()
        panel = overlay(f"weight={weight:g}", scene.image, phi, note=f"|grad phi| {float(slope):.2f}")
        draw_panel(axes, panel)
        levels = [-9, -6, -3, 3, 6, 9]
        axes.contour(picture(phi), levels=levels, colors=[PALETTE[5]], linewidths=0.6, linestyles="solid")
    legend(figure, {"phi = 0": "#ff2d20", "phi = ±3, ±6, ±9": PALETTE[5]})
    return figure


def force_distance_regularization_potential() -> Figure:
    """A profile through phi, started as a step, under the two potentials."""
    start = 4 * disc(72, 16).sign()
    figure = new_figure(3.4 * SIDE, SIDE + 0.5)
    grid = figure.subplots(1, 2, sharey=True)
    for axes, potential in zip(grid, ("double-well", "single-well"), strict=True):
        for steps, colour in ((0, INK), (50, PALETTE[5]), (400, PALETTE[0]), (2000, PALETTE[1])):
            force = DistanceRegularization(weight=0.2, potential=potential)  # type: ignore[arg-type]
            phi = evolve(start, [force], steps=steps, dt=1.0, reinitialize_every=0).phi
            axes.plot(torch.arange(72) - 35.5, picture(phi)[36], color=colour, label=f"{steps} steps", lw=1.2)
        axes.set_title(f"potential={potential}", fontsize=7, color=INK)
        axes.tick_params(labelsize=6)
        axes.grid(alpha=0.3)
        axes.set_xlabel("column in pixels", fontsize=7)
    grid[0].set_ylabel("phi in the middle row", fontsize=7)
    grid[1].legend(fontsize=6, frameon=False)
    return figure
