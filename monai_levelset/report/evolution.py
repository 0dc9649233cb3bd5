"""The convergence picture: what the starting contour does to a level set (Fig. 2 of Tang et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from monai_levelset.metrics.overlap import case_metrics
from monai_levelset.report.drawing import (
    INITIAL,
    INK,
    PALETTE,
    PREDICTION,
    TRUTH,
    Panel,
    draw_panel,
    legend,
    new_figure,
    zoom,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def convergence_figure(
    image: NDArray[Any],
    truth: NDArray[Any],
    evolutions: Mapping[str, Sequence[NDArray[Any]]],
    *,
    steps: Sequence[int] | None = None,
    crop: bool = True,
) -> Figure:
    """One picture per evolution (start yellow, end red, truth blue) and the Dice of every iteration.

    Args:
        image: ``(rows, columns)``.
        truth: mask, same shape.
        evolutions: name, such as "circle" and "probability map", -> its level sets phi in order, each
            ``(rows, columns)`` and > 0 inside; the first is the initialisation.
        steps: iteration number of each phi, default 0, 1, 2, …
        crop: whether to zoom in on the contours.

    Returns:
        The figure.

    Raises:
        ValueError: if there is no evolution, or one is empty or of another shape.

    Example:
        >>> y, x = np.mgrid[:32, :32] - 15.5
        >>> r = np.hypot(x, y)
        >>> figure = convergence_figure(r, r < 8, {"circle": [12 - r, 10 - r, 8 - r]})
        >>> len(figure.axes)
        2
    """
    contours = {name: [np.asarray(phi, float) for phi in phis] for name, phis in evolutions.items()}
    _check(truth, contours)
    figure = new_figure(2.4 * len(contours) + 3.4, 2.8)
    grid = figure.subplots(1, len(contours) + 1, width_ratios=[1.0] * len(contours) + [1.3], squeeze=False)[0]
    mask = np.asarray(truth) > 0
    window = zoom([mask, *(phi for phis in contours.values() for phi in (phis[0], phis[-1]))], margin=0.25)
    for axes, (name, phis) in zip(grid, contours.items(), strict=False):
        lines = {INITIAL: phis[0], TRUTH: mask, PREDICTION: phis[-1]}
        note = f"Dice {_dice(phis[0], mask):.3f} → {_dice(phis[-1], mask):.3f}"
        draw_panel(axes, Panel(image, lines, title=name, note=note), window if crop else None)
    _dice_curves(grid[-1], mask, contours, steps)
    legend(figure, {"ground truth": TRUTH, "initial contour": INITIAL, "final contour": PREDICTION})
    return figure


def _check(truth: NDArray[Any], evolutions: Mapping[str, Sequence[NDArray[Any]]]) -> None:
    if not evolutions:
        raise ValueError("there is no evolution to draw")
    for name, phis in evolutions.items():
        if not phis:
            raise ValueError(f"evolution {name!r} holds no level set")
        wrong = next((phi.shape for phi in phis if phi.shape != truth.shape), None)
        if wrong is not None:
            raise ValueError(
                f"evolution {name!r} holds a level set of shape {wrong}, the truth has {truth.shape}"
            )


def _dice(phi: NDArray[Any], truth: NDArray[Any]) -> float:
    return case_metrics(phi > 0, truth, distances=False)["dice"]


def _dice_curves(
    axes: Axes,
    truth: NDArray[Any],
    evolutions: Mapping[str, Sequence[NDArray[Any]]],
    steps: Sequence[int] | None,
) -> None:
    styles = ("--", "-", "-.", ":")
    lowest = 1.0
    for index, (name, phis) in enumerate(evolutions.items()):
        x = list(steps) if steps is not None else list(range(len(phis)))
        y = [_dice(phi, truth) for phi in phis]
        lowest = min(lowest, *y)
        colour, style = PALETTE[index % len(PALETTE)], styles[index % len(styles)]
        axes.plot(x, y, style, color=colour, label=name, linewidth=1.6)
    axes.set_xlabel("iteration", fontsize=8, color=INK)
    axes.set_ylabel("Dice", fontsize=8, color=INK)
    axes.set_ylim(max(0.0, lowest - 0.1), 1.01)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.25, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7, frameon=False, loc="lower right")
