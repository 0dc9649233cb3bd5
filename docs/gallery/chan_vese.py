"""Pictures of `docs/forces/chan_vese.md`."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure

from monai_levelset.levelset import ChanVeseForce, CurvatureForce, Force, HeavisideKind, evolve

from .panels import overlay, row, sweep
from .scenes import disc, noise

SIZE = 72


def spots(level: float = 0.12) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy discs of radius 14, 6, 3 and 1.5 and their mask.

    Args:
        level: standard deviation of the noise.

    Returns:
        Image in about [0, 1] and mask.
    """
    discs = [((4, -10), 14), ((-18, 18), 6), ((12, 22), 3), ((-24, -14), 3), ((28, 20), 1.5)]
    mask = torch.stack([disc(SIZE, radius, centre) for centre, radius in discs]).amax(0).gt(0).float()
    return 0.3 + 0.4 * mask + level * noise(SIZE, seed=3), mask


def force_chan_vese_length() -> Figure:
    """The length's weight decides which specks are noise."""
    image, mask = spots(0.2)
    start = disc(SIZE, 20).clamp(-1, 1)
    panels = [overlay("image and start", image, truth=mask, start=start)]
    for weight in (0.02, 0.1, 0.4):
        forces: list[Force] = [
            ChanVeseForce(image, regions="hard"),
            CurvatureForce(weight=weight, eps=1.0, kind="arctan"),
        ]
        phi = evolve(start, forces, steps=600, dt=1.0, reinitialize_every=0).phi
        panels.append(overlay(f"CurvatureForce(weight={weight:g})", image, phi, truth=mask))
    return row(panels)


def force_chan_vese_weights() -> Figure:
    """Three grey values: the weights decide to which side the middle one goes."""
    middle, core = disc(SIZE, 24), disc(SIZE, 13, (2, -2))
    image = 0.2 + 0.36 * (middle > 0) + 0.24 * (core > 0) + 0.05 * noise(SIZE, seed=4)
    results, start = {}, disc(SIZE, 10).clamp(-1, 1)
    for inside, outside, area in ((1.0, 1.0, 0.0), (2.0, 1.0, 0.0), (4.0, 1.0, 0.0), (1.0, 1.0, 0.1)):
        force = ChanVeseForce(
            image, inside_weight=inside, outside_weight=outside, area_weight=area, regions="hard"
        )
        title = f"inside {inside:g}, outside {outside:g}, area {area:g}"
        phi = evolve(
            start,
            [force, CurvatureForce(weight=0.05, eps=1.0, kind="arctan")],
            steps=600,
            dt=1.0,
            reinitialize_every=0,
        ).phi
        results[title] = phi
    return sweep(image, results, start=start)


def force_chan_vese_start() -> Figure:
    """How far from the contour new regions appear depends on phi there, and on the width of delta."""
    image, mask = spots(0.05)
    far = disc(SIZE, 8, (4, -10))
    variants: dict[str, tuple[HeavisideKind, torch.Tensor]] = {
        "arctan, phi cut at ±1": ("arctan", far.clamp(-1, 1)),
        "arctan, signed distance": ("arctan", far),
        "sine, signed distance": ("sine", far),
    }
    results = {}
    for title, (kind, start) in variants.items():
        data = ChanVeseForce(image, kind=kind, regions="hard")
        forces: list[Force] = [data, CurvatureForce(weight=0.02, eps=1.0, kind=kind)]
        results[title] = evolve(start, forces, steps=600, dt=2.0, reinitialize_every=0).phi
    return sweep(image, results, truth=mask, start=far)
