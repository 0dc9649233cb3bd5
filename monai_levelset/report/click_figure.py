"""The whole system in one picture: clicks, the network's maps, and the contour at every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from monai_levelset.report.deep_level_set_case import DeepLevelSetCase
from monai_levelset.report.drawing import (
    INITIAL,
    INK,
    PREDICTION,
    TRUTH,
    Panel,
    draw_contour,
    draw_panel,
    legend,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE = 1.75
"""Width of a panel in inches."""
CLICK = "#00e5a0"
_ARROWS = 15
_TITLES = {
    "heatmap": "heat map of the clicks",
    "confidence": "confidence map",
    "modulation": "modulation g",
    "probability": "probability P of the object",
}
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")

Drawing = Callable[["Axes"], None]


def click_figure(case: DeepLevelSetCase) -> Figure:
    """Image with clicks, heat map, confidence map, phi_0, motion, modulation, probability, phi_1 ... phi_T.

    Maps that the network does not have are left out. In the panel of the motion field, the colour is |V| and
    the arrows are -V: they point where the contour moves, since phi_t = <V, grad phi> carries it against V;
    the longest are as long as their distance. The steps show the start in yellow, the truth in blue and phi_t
    in red, with the Dice of phi_t > 0. Without steps there is one such panel, of phi_0 itself.

    Args:
        case: what to draw.

    Returns:
        The figure; write it with `save_figure`.

    Example:
        >>> y, x = np.mgrid[:32, :32] - 15.5
        >>> r = np.hypot(x, y)
        >>> points = np.array([[7.5, 15.5], [23.5, 15.5], [15.5, 7.5], [15.5, 23.5]])
        >>> figure = click_figure(DeepLevelSetCase(r, r < 8, points, np.stack([12 - r, 10 - r, 8 - r])))
        >>> [axes.get_title() for axes in figure.axes]
        ['image, clicks and truth', 'start φ₀', 'φ₁', 'φ₂, the result']
    """
    drawings = _drawings(case)
    columns = _columns(len(drawings))
    rows = -(-len(drawings) // columns)
    height, width = case.truth.shape
    figure = new_figure(SIDE * columns, (SIDE * height / width + 0.2) * rows + 0.3)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, draw in zip(grid, drawings, strict=False):
        draw(axes)
    for axes in grid[len(drawings) :]:
        axes.remove()
    legend(figure, {"start": INITIAL, "ground truth": TRUTH, "result": PREDICTION})
    return figure


def _columns(panels: int) -> int:
    """Up to six beside each other, with as few empty places as possible."""
    return panels if panels <= 6 else min((6, 5, 4), key=lambda columns: -panels % columns)


def _drawings(case: DeepLevelSetCase) -> list[Drawing]:
    """The panels in order."""
    order = ("heatmap", "confidence", "phi", "motion", "modulation", "probability")
    found: dict[str, Drawing] = {name: _map(case, name) for name in case.maps}
    found["phi"] = lambda axes: _draw_start(axes, case)
    if case.motion is not None:
        motion = case.motion
        found["motion"] = lambda axes: _draw_motion(axes, case, motion)
    names = [name for name in order if name in found] + [name for name in found if name not in order]
    steps = range(1, case.steps + 1) if case.steps else (0,)
    return [
        lambda axes: _draw_clicks(axes, case),
        *(found[name] for name in names),
        *(_step(case, step) for step in steps),
    ]


def _map(case: DeepLevelSetCase, name: str) -> Drawing:
    values, title = case.maps[name], _TITLES.get(name, name)
    if name == "modulation" or name not in _TITLES:
        low, high = min(0.0, float(values.min())), float(values.max())
    else:
        low, high = 0.0, 1.0
    return lambda axes: _draw_map(axes, values, title, "magma", low, high)


def _step(case: DeepLevelSetCase, step: int) -> Drawing:
    name = phi_name(step) if case.motion is not None or case.steps else "mask"
    panel = Panel(
        case.image,
        {INITIAL: case.phis[0], TRUTH: case.truth > 0, PREDICTION: case.phis[step]},
        title=f"{name}, the result" if step == case.steps else name,
        note=f"Dice {case.dice(step):.3f}",
    )
    return lambda axes: draw_panel(axes, panel)


def phi_name(step: int) -> str:
    """Name of a level set.

    Args:
        step: its number.

    Returns:
        Text with a subscript.

    Example:
        >>> phi_name(12)
        'φ₁₂'
    """
    return "φ" + str(step).translate(_SUBSCRIPTS)


def _draw_clicks(axes: Axes, case: DeepLevelSetCase) -> None:
    there = case.points[np.isfinite(case.points).all(1)]
    clicks = "clicks" if len(there) == 4 else f"{len(there)} of 4 clicks"
    draw_panel(axes, Panel(case.image, {TRUTH: case.truth > 0}, title=f"image, {clicks} and truth"))
    style: dict[str, Any] = {"s": 26, "color": CLICK, "edgecolors": INK, "linewidths": 0.8, "zorder": 5}
    axes.scatter(there[:, 1], there[:, 0], clip_on=False, **style)


def _draw_start(axes: Axes, case: DeepLevelSetCase) -> None:
    phi = case.phis[0]
    limit = max(float(np.abs(phi).max()), 1e-6)
    title = "start φ₀" if case.motion is not None or case.steps else "logit of the mask"
    _draw_map(axes, phi, title, "PuOr", -limit, limit)
    _draw_line(axes, phi, INITIAL)


def _draw_motion(axes: Axes, case: DeepLevelSetCase, motion: NDArray[Any]) -> None:
    size = np.hypot(*motion)
    high = max(float(np.percentile(size, 99)), 1e-6)
    _draw_map(axes, size, "|V|; arrows −V: the contour's way", "viridis", 0.0, high)
    stride = max(round(max(size.shape) / _ARROWS), 1)
    rows, columns = (np.arange(stride // 2, length, stride) for length in size.shape)
    v = -motion[:, rows[:, None], columns] * np.minimum(1, high / np.maximum(size, 1e-9))[rows[:, None], columns]
    style: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "scale": high / stride, "pivot": "mid"}
    style |= {"width": 0.008, "headwidth": 3.5, "headlength": 4.0, "headaxislength": 3.6}
    axes.quiver(columns, rows, v[1], v[0], color="white", **style)
    _draw_line(axes, case.phis[0], INITIAL)
    _draw_line(axes, (case.truth > 0).astype(int), TRUTH)


def _draw_line(axes: Axes, values: NDArray[Any], colour: str) -> None:
    """A contour with a dark edge, to be seen on any colour."""
    draw_contour(axes, values, INK, 2.0)
    draw_contour(axes, values, colour, 1.2)


def _draw_map(axes: Axes, values: NDArray[Any], title: str, colours: str, low: float, high: float) -> None:
    """Values in colours with their scale in the lower right corner."""
    from matplotlib.patheffects import withStroke

    drawn = axes.imshow(values, cmap=colours, vmin=low, vmax=high)
    axes.set_axis_off()
    axes.set_title(title, fontsize=7, color=INK, pad=3)
    bar = axes.inset_axes((0.56, 0.05, 0.4, 0.04))
    bar.imshow(np.linspace(0, 1, 64)[None], cmap=drawn.get_cmap(), aspect="auto")
    bar.set(xticks=[], yticks=[])
    for value, place in ((low, "left"), (high, "right")):
        style: dict[str, Any] = {"fontsize": 6.5, "color": "white", "ha": place, "va": "bottom"}
        text = axes.text(0.56 if place == "left" else 0.96, 0.1, _short(value), transform=axes.transAxes, **style)
        text.set_path_effects([withStroke(linewidth=1.4, foreground="black")])


def _short(value: float) -> str:
    return f"{value:.2g}".replace("-", "−")
