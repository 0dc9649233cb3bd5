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

    Maps that the network does not have are left out; numbers in a corner are the ends of the colour scale.
    In the panel of the motion field the colour is |V| and the arrows are -V: they point where the contour
    moves, since phi_t = <V, grad phi> carries it against V; the longest are as long as they are apart. The
    steps show the start in yellow, the truth in blue and phi_t in red, with the Dice of phi_t > 0. Without
    evolution the last panel is the mask.

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
        ['image, clicks and truth', 'φ₀, signed distance', 'φ₁', 'φ₂, the result']
    """
    drawings = _drawings(case)
    columns = _columns(len(drawings))
    rows = -(-len(drawings) // columns)
    height = SIDE * min(case.truth.shape[0] / case.truth.shape[1], 1.6)
    figure = new_figure(SIDE * columns, (height + 0.17) * rows + 0.25)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, draw in zip(grid, drawings, strict=False):
        draw(axes)
    for axes in grid[len(drawings) :]:
        axes.remove()
    start = {"start": INITIAL} if case.steps else {}
    legend(figure, start | {"ground truth": TRUTH, "result": PREDICTION})
    return figure


def _columns(panels: int) -> int:
    """Up to six beside each other, with as few empty places as possible."""
    return panels if panels <= 6 else min((6, 5, 4), key=lambda columns: -panels % columns)


def _drawings(case: DeepLevelSetCase) -> list[Drawing]:
    """The panels in order."""
    clicks = [name for name in ("heatmap", "confidence") if name in case.maps]
    return [
        lambda axes: _draw_clicks(axes, case),
        *(_map(case, name) for name in clicks),
        lambda axes: _draw_start(axes, case),
        *([] if case.motion is None else [_motion(case, case.motion)]),
        *(_map(case, name) for name in case.maps if name not in clicks),
        *(_step(case, step) for step in range(min(1, case.steps), case.steps + 1)),
    ]


def _map(case: DeepLevelSetCase, name: str) -> Drawing:
    values, title = case.maps[name], _TITLES.get(name, name)
    if name == "modulation" or name not in _TITLES:
        low, high = min(0.0, float(values.min())), float(values.max())
    else:
        low, high = 0.0, 1.0
    return lambda axes: _draw_map(axes, values, title, "magma", low, high)


def _step(case: DeepLevelSetCase, step: int) -> Drawing:
    name = "φ" + str(step).translate(_SUBSCRIPTS) if _is_level_set(case) else "mask"
    panel = Panel(
        case.image,
        ({INITIAL: case.phis[0]} if step else {}) | {TRUTH: case.truth > 0, PREDICTION: case.phis[step]},
        title=f"{name}, the result" if step == case.steps else name,
        note=f"Dice {case.dice(case.phis[step]):.3f}",
    )
    return lambda axes: draw_panel(axes, panel)


def _is_level_set(case: DeepLevelSetCase) -> bool:
    return case.motion is not None or case.steps > 0


def _draw_clicks(axes: Axes, case: DeepLevelSetCase) -> None:
    there = case.points[np.isfinite(case.points).all(1)]
    clicks = "clicks" if len(there) == 4 else f"{len(there)} of 4 clicks"
    draw_panel(axes, Panel(case.image, {TRUTH: case.truth > 0}, title=f"image, {clicks} and truth"))
    style: dict[str, Any] = {"s": 26, "color": CLICK, "edgecolors": INK, "linewidths": 0.8, "zorder": 5}
    axes.scatter(there[:, 1], there[:, 0], clip_on=False, **style)


def _draw_start(axes: Axes, case: DeepLevelSetCase) -> None:
    phi = case.phis[0]
    limit = max(float(np.abs(phi).max()), 1e-6)
    title = "φ₀, signed distance" if _is_level_set(case) else "logit of the mask"
    _draw_map(axes, phi, title, "PuOr", -limit, limit)
    _draw_line(axes, phi, INITIAL if case.steps else PREDICTION)


def _motion(case: DeepLevelSetCase, motion: NDArray[Any]) -> Drawing:
    size = np.hypot(*motion)
    high = max(float(np.percentile(size, 99)), 1e-6)

    def draw(axes: Axes) -> None:
        _draw_map(axes, size, "motion of the contour, −V", "viridis", 0.0, high)
        _draw_arrows(axes, -motion * (high / np.maximum(size, high)), high)
        _draw_line(axes, case.phis[0], INITIAL if case.steps else PREDICTION)
        _draw_line(axes, case.truth > 0, TRUTH)

    return draw


def _draw_arrows(axes: Axes, field: NDArray[Any], longest: float) -> None:
    """Some arrows of a field `(2, rows, columns)`; one of length `longest` reaches to its neighbour."""
    stride = max(round(max(field.shape) / _ARROWS), 1)
    y, x = (np.arange(stride // 2, length, stride) for length in field.shape[1:])
    rows, columns = field[:, y[:, None], x]
    style: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "scale": longest / stride, "pivot": "mid"}
    style |= {"width": 0.008, "headwidth": 3.5, "headlength": 4.0, "headaxislength": 3.6}
    axes.quiver(x, y, columns, rows, color="white", **style)


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
    bar.spines[:].set(color="white", linewidth=0.7)
    for value, place in ((low, "left"), (high, "right")):
        style: dict[str, Any] = {"fontsize": 6.5, "color": "white", "ha": place, "va": "bottom"}
        text = axes.text(
            0.56 if place == "left" else 0.96, 0.1, _short(value), transform=axes.transAxes, **style
        )
        text.set_path_effects([withStroke(linewidth=1.4, foreground="black")])


def _short(value: float) -> str:
    return f"{value:.{2 if abs(value) >= 0.01 else 1}g}".replace("-", "−")
