"""Pictures of `docs/forces/motion.md`."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure

from monai_levelset.levelset import deep_level_set, gradient, signed_distance
from monai_levelset.report.drawing import INITIAL, PREDICTION, TRUTH, draw_panel, legend, new_figure

from .panels import SIDE, overlay, row
from .scenes import batch, disc, mesh, noise

SIZE = 72


def force_motion_field() -> Figure:
    """V points away from the true contour; a first guess moves against it."""
    mask = (torch.maximum(disc(SIZE, 21, (-4, 4)), disc(SIZE, 13, (14, -14))) > 0).float()
    distance = signed_distance(mask)
    field = gradient(distance.abs())[:, 0]
    image = 0.3 + 0.4 * mask + 0.05 * noise(SIZE, seed=8)
    start = torch.maximum(disc(SIZE, 18, (0, 9)), disc(SIZE, 12, (16, -6)))
    still = torch.zeros_like(start)
    figure = new_figure(4 * SIDE, SIDE + 0.45)
    grid = figure.subplots(1, 4)
    draw_panel(grid[0], overlay("field V, every third pixel", image, truth=mask, start=start))
    y, x = torch.meshgrid(torch.arange(1, SIZE, 3), torch.arange(1, SIZE, 3), indexing="ij")
    v = field[0, :, 1::3, 1::3].numpy()
    grid[0].quiver(x, y, v[1], v[0], angles="xy", scale=24, width=0.005, color="white")
    for axes, steps in zip(grid[1:], (2, 5, 10), strict=True):
        phi = deep_level_set(start, field, still, steps=steps, dt=1.0).phi
        draw_panel(axes, overlay(f"dt=1, steps={steps}", image, phi, truth=mask, start=start))
    legend(figure, {"start": INITIAL, "ground truth": TRUTH, "result": PREDICTION})
    return figure


def force_motion_modulation() -> Figure:
    """The modulation g smooths: 0 keeps the corners of the start, 1 rounds them."""
    y, x = mesh(SIZE)
    teeth = batch((y.abs() < 20 + 3 * (x / 4).sin().sign()) & (x.abs() < 24))
    image = 0.3 + 0.4 * teeth + 0.05 * noise(SIZE, seed=9)
    start = signed_distance(teeth)
    field = torch.zeros(1, 2, SIZE, SIZE)
    maps = {
        "g = 0": torch.zeros_like(start),
        "g = 1": torch.ones_like(start),
        "g = 1 right, 0 left": batch(x > 0),
    }
    panels = []
    for title, g in maps.items():
        phi = deep_level_set(start, field, g, steps=100, dt=0.2).phi
        panels.append(overlay(title, image, phi, start=start))
    return row(panels)
