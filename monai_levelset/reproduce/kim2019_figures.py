"""Accuracy against time, and left ventricles as each row segments them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_levelset.metrics import load_volume
from monai_levelset.report import ModelRow, model_figure, save_figure
from monai_levelset.report.drawing import INK, PALETTE, new_figure
from monai_levelset.reproduce.kim2019_choice import probability
from monai_levelset.reproduce.kim2019_lv import VentricleTask
from monai_levelset.reproduce.kim2019_rows import CE, CRF, LATTICE, LOSS, rows
from monai_levelset.reproduce.kim2019_task import Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_QUANTILES = (0.9, 0.5, 0.25, 0.1)


def write_figures(
    tasks: Sequence[Task], out: Path, summary: Mapping[str, Any], runs: Mapping[str, Any]
) -> None:
    """`time.png`, and `lv.png` if there is the left ventricle.

    Args:
        tasks: what was run.
        out: folder of the results.
        summary: its content.
        runs: task -> its choice and its scores by seed, with those of single images.
    """
    save_figure(time_figure([task.name for task in tasks], summary["models"]), out / "time.png", dpi=110)
    for task in tasks:
        if isinstance(task, VentricleTask):
            folder = out / "runs" / "lv" / "seed0"
            save_figure(_ventricles(task, folder, runs[task.name]), out / "lv.png", dpi=110)


def time_figure(tasks: Sequence[str], models: Mapping[str, Any]) -> Figure:
    """Boundary F over seconds per image, a panel per task; bars are deviations over seeds."""
    figure = new_figure(4.2 * len(tasks), 3.4)
    for axes, task in zip(figure.subplots(1, len(tasks), squeeze=False)[0], tasks, strict=True):
        own = {row: metrics for row, metrics in models.items() if _shown(task, row)}
        for colour, (row, metrics) in zip(PALETTE, own.items(), strict=False):
            time, boundary = metrics["seconds_per_image"], metrics["boundary_f"]
            style = {"fmt": "o", "color": colour, "capsize": 3, "label": row.removeprefix(f"{task} ")}
            axes.errorbar(time["mean"], boundary["mean"], yerr=boundary["sd"] or 0, **style)
        axes.set_xscale("log")
        axes.tick_params(axis="x", which="minor", labelbottom=False)
        axes.set_xlabel("seconds per image", color=INK)
        axes.set_ylabel("boundary F", color=INK)
        axes.set_title(task, fontsize=10, color=INK)
        axes.legend(fontsize=6, frameon=False)
    return figure


def _shown(task: str, row: str) -> bool:
    """All rows of a task but those of the weights that were not chosen."""
    return row in {f"{task} {name}" for name in (CE, LOSS, CRF, LATTICE)}


def _ventricles(task: VentricleTask, folder: Path, run: Mapping[str, Any]) -> Figure:
    """Images at four quantiles of the first row's Dice, in seed 0."""
    views, files = task.views("test"), task.files("test")
    order = np.argsort([case["dice"] for case in run["scores"][0]["cases"][CE]])
    how = {row: how for row, how in rows(run["choice"]).items() if row in (CE, LOSS, CRF)}
    networks = {training: task.network(folder / training) for training, _ in how.values()}
    panels = []
    for i in (int(order[round(q * (len(order) - 1))]) for q in _QUANTILES):
        image = views.images[i][None]
        masks = {}
        for row, (training, refine) in how.items():
            p = probability(networks[training], image)
            masks[row] = views.predict(i, (refine(p, image) if refine else p)[0]).T
        picture = np.asarray(load_volume(files[i]).array).T
        panels.append(ModelRow(views.ids[i].replace("-IM-0001-", "\n"), picture, views.truths[i].T, masks))
    return model_figure(panels)
