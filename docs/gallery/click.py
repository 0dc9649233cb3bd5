"""Pictures of `docs/forces/click.md`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from matplotlib.figure import Figure

from monai_levelset.levelset import ClickForce, evolve, signed_distance
from monai_levelset.report.drawing import Panel

from .panels import overlay, row
from .scenes import Scene, disc, ventricle

Points = Sequence[tuple[float, float]]
CLICKS = {"contour": "#f5f5f5", "background": "#ff8c00"}


def force_click_corrections() -> Figure:
    """A contour that leaks and one that misses a part, corrected click by click, each where it is worst."""
    scene = ventricle()
    p = _wrong(scene)
    start, clicks = signed_distance(p > 0.5), []
    panels, phi = [overlay("probability map", p, truth=scene.truth)], start
    for number in range(4):
        if number:
            clicks.append(_farthest(phi, scene.truth))
            phi = evolve(start, [ClickForce(_tensor(clicks), radius=8.0)], steps=40).phi
        title = f"{number} click" + ("s" if number != 1 else "")
        panels.append(overlay(title, scene.image, phi, truth=scene.truth))
    return _marked(panels, [[]] + [clicks[:n] for n in range(4)])


def force_click_radius() -> Figure:
    """How far along the contour a click is felt."""
    start, click = disc(72, 20), [(35.5, 64.0)]
    panels = []
    for radius in (3.0, 8.0, 16.0):
        phi = evolve(start, [ClickForce(_tensor(click), radius=radius)], steps=40).phi
        panels.append(overlay(f"radius={radius:g}", torch.zeros_like(start), phi, start=start))
    return _marked(panels, [click] * 3)


def force_click_background() -> Figure:
    """A click on the background pushes the contour away until it is `margin` outside."""
    start, click = disc(72, 24), [(27.0, 50.0)]
    panels = []
    for margin in (1.0, 4.0, 8.0):
        force = ClickForce(None, _tensor(click), radius=8.0, margin=margin)
        phi = evolve(start, [force], steps=40).phi
        panels.append(overlay(f"margin={margin:g}", torch.zeros_like(start), phi, start=start))
    return _marked(panels, [click] * 3, kind="background")


def _wrong(scene: Scene) -> torch.Tensor:
    """A map with a leak and a bite."""
    truth = scene.truth
    clean = (0.5 * signed_distance(truth)).clamp(-2.5, 2.5)
    leak, bite = disc(72, 8, (-6, 13)), disc(72, 9, (13, -12))
    return torch.sigmoid(clean + 4 * (leak > 0) - 4 * (bite > 0))


def _farthest(phi: torch.Tensor, truth: torch.Tensor) -> tuple[float, float]:
    """The pixel of the true contour where phi is worst."""
    edge = signed_distance(truth).eq(0.5)
    off = signed_distance(phi > 0).abs().where(edge, torch.tensor(-1.0))
    row_, column = divmod(int(off.argmax()), truth.shape[-1])
    return float(row_), float(column)


def _tensor(points: Points) -> torch.Tensor:
    return torch.tensor(points).view(1, -1, 2)


def _marked(panels: Sequence[Panel], clicks: Sequence[Points], *, kind: str = "contour") -> Figure:
    """The panels in a row, with their clicks."""
    figure = row(panels)
    for axes, points in zip(figure.axes, clicks, strict=False):
        for y, x in points:
            style: dict[str, Any] = {
                "markerfacecolor": CLICKS[kind],
                "markeredgecolor": "black",
                "markeredgewidth": 0.8,
            }
            axes.plot(x, y, "o", markersize=4, **style)
    return figure
