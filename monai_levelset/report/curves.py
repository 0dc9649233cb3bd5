"""Training curves."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from monai_levelset.report.drawing import INK, PALETTE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

History = Mapping[str, Sequence[float | None]]
"""Column -> one value per epoch or update; None or NaN where nothing was measured."""


def read_history(path: str | Path) -> dict[str, list[float]]:
    """Read a CSV file of training history: a header, a row per epoch, empty cells where nothing was measured.

    Args:
        path: the file.

    Returns:
        Column -> values, NaN for an empty cell.

    Raises:
        ValueError: if the file has no data row or a cell is not a number.
    """
    with Path(path).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise ValueError(f"{path}: holds no training history; a header and one row per epoch are expected")
    try:
        return {key: [float(row[key]) if row[key] else float("nan") for row in rows] for key in rows[0]}
    except ValueError as error:
        raise ValueError(f"{path}: {error}; every cell must be a number or empty") from error


def training_curves(history: History | str | Path) -> Figure:
    """Loss parts on the left, validation scores (Dice, IoU, …) on the right, the best marked.

    Args:
        history: columns, or a CSV file with them. ``update`` or ``epoch`` gives the x axis (default: epochs
            1, 2, …); columns with ``loss`` in the name go to the left, unless it starts with ``val_``; all
            others are scores, larger is better.

    Returns:
        The figure.

    Raises:
        ValueError: if there is no column besides the x axis or the columns differ in length.

    Example:
        >>> figure = training_curves({"epoch": [1, 2], "loss": [2.0, 1.0], "validation dice": [None, 0.7]})
        >>> [axes.get_ylabel() for axes in figure.axes]
        ['loss', 'score']
    """
    columns = read_history(history) if isinstance(history, str | Path) else history
    values = {
        key: np.array([np.nan if v is None else v for v in column], float) for key, column in columns.items()
    }
    lengths = {len(column) for column in values.values()}
    axis = "update" if "update" in values else "epoch"
    steps = values.pop(axis, np.arange(1, max(lengths, default=0) + 1, dtype=float))
    if not values or len(lengths) != 1:
        raise ValueError(
            f"history needs columns of one length besides {axis!r}, not {sorted(columns)}, {lengths}"
        )
    losses = {key: column for key, column in values.items() if _is_loss(key)}
    scores = {key: column for key, column in values.items() if key not in losses}
    groups = [(name, group) for name, group in (("loss", losses), ("score", scores)) if group]
    figure = new_figure(3.6 * len(groups), 2.8)
    for axes, (name, group) in zip(
        figure.subplots(1, len(groups), squeeze=False, sharex=True)[0], groups, strict=True
    ):
        _plot(axes, steps, group, name)
        axes.set_xlabel(axis, fontsize=8, color=INK)
    return figure


def _is_loss(key: str) -> bool:
    return "loss" in key.lower() and not key.startswith("val_")


def _plot(axes: Axes, steps: NDArray[Any], group: Mapping[str, NDArray[Any]], name: str) -> None:
    for index, (key, column) in enumerate(group.items()):
        measured = np.isfinite(column)
        x, y = steps[measured], column[measured]
        colour = PALETTE[index % len(PALETTE)]
        axes.plot(
            x, y, color=colour, linewidth=1.4, marker="." if len(x) < 30 else "", markersize=4, label=key
        )
        if name == "score" and len(y):
            best = int(y.argmax())
            axes.plot(x[best], y[best], "o", color=colour, markersize=6, markerfacecolor="white")
            place: dict[str, Any] = {
                "textcoords": "offset points",
                "xytext": (0, 7),
                "ha": "center",
                "fontsize": 7,
            }
            axes.annotate(f"{y[best]:.3f}", (x[best], y[best]), color=colour, **place)
    axes.set_ylabel(name, fontsize=8, color=INK)
    axes.tick_params(labelsize=7)
    axes.margins(y=0.12)
    axes.grid(alpha=0.25, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7, frameon=False)
