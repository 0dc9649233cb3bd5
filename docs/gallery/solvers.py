"""Pictures of `docs/solvers.md`."""

from __future__ import annotations

from functools import cache

import torch
from matplotlib.figure import Figure

from monai_levelset.levelset import chan_vese, drlse, geodesic_active_contour, multiphase_chan_vese

from .multiphase import painted
from .panels import overlay, row
from .scenes import Scene, disc, mesh, noise

SIZE = 72


@cache
def scenes() -> dict[str, Scene]:
    """The same object with noise, under uneven light, and with a side that fades into the background.

    Returns:
        Title -> scene.
    """
    shape = torch.maximum(disc(SIZE, 17, (-3, 3)), disc(SIZE, 10, (11, -11)))
    mask = (shape > 0).float()
    _, x = mesh(SIZE)
    soft = torch.sigmoid(3 * shape)
    fading = 1 - 0.85 * torch.sigmoid((x - 8) / 2)
    return {
        "noise": Scene(0.3 + 0.4 * mask + 0.2 * noise(SIZE, seed=10), mask),
        "uneven light": Scene(0.5 + 0.25 * soft + 0.012 * x + 0.03 * noise(SIZE, seed=11), mask),
        "fading side": Scene(0.3 + 0.4 * soft * fading + 0.03 * noise(SIZE, seed=12), mask),
    }


def solver_comparison() -> Figure:
    """Four solvers with their defaults, on three images."""
    seed = disc(SIZE, 8, (-2, 2))
    panels = []
    for title, (image, truth) in scenes().items():
        phases = painted(image, multiphase_chan_vese(image).phi)
        panels += [
            overlay(f"{title}: chan_vese", image, chan_vese(image).phi, truth=truth),
            overlay("multiphase_chan_vese", phases, truth=truth),
            overlay(
                "geodesic_active_contour, balloon=0.3",
                image,
                geodesic_active_contour(image, seed > 0, balloon=0.3).phi,
                truth=truth,
                start=seed,
            ),
            overlay(
                "drlse, balloon=1.5",
                image,
                drlse(image, seed > 0, balloon=1.5).phi,
                truth=truth,
                start=seed,
            ),
        ]
    return row(panels, columns=4)
