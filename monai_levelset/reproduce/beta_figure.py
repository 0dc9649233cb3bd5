"""Figure: Dice by the weight of the Mumford-Shah loss."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_levelset.report.drawing import new_figure, save_figure


def write_beta_figure(summary: Mapping[str, Any], path: Path) -> None:
    """Dice of every row as a dot per seed and a bar for the mean, the rows below each other.

    Args:
        summary: with `models`, row -> `dice` -> `mean` and `seeds`.
        path: the PNG.
    """
    rows = summary["models"]
    figure = new_figure(6.4, 0.42 * len(rows) + 0.9)
    axes = figure.subplots()
    for place, (row, metrics) in enumerate(rows.items()):
        dice = metrics["dice"]
        colour = "#1f77b4" if "supervised" in row else "#d62728"
        axes.barh(place, dice["mean"], color=colour, alpha=0.35, height=0.7)
        axes.plot(dice["seeds"], [place] * len(dice["seeds"]), "o", color=colour, markersize=4)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("Dice (dots: seeds)")
    axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)
