"""Several models side by side on the same cases (Fig. 3 of Tang et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from monai_levelset.metrics.overlap import case_metrics
from monai_levelset.report.drawing import PREDICTION, TRUTH, Panel, draw_panel, legend, new_figure, zoom
from monai_levelset.report.overlay import row_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ModelRow:
    """One case and what each model makes of it.

    Attributes:
        name: of the case.
        image: ``(rows, columns)`` or ``(rows, columns, 3)``.
        truth: mask ``(rows, columns)``.
        predictions: model -> mask ``(rows, columns)``.
    """

    name: str
    image: NDArray[Any]
    truth: NDArray[Any]
    predictions: Mapping[str, NDArray[Any]]


def model_figure(rows: Sequence[ModelRow], *, crop: bool = True) -> Figure:
    """A row per case and a column per model: truth blue, prediction red, Dice in the corner.

    Args:
        rows: the cases; all with the same models in the same order.
        crop: whether to zoom in on the truth; the window is the same for all models of a case.

    Returns:
        The figure.

    Raises:
        ValueError: if there is no case, or the cases have different models.
    """
    if not rows or any(list(row.predictions) != list(rows[0].predictions) for row in rows):
        raise ValueError("model_figure needs at least one case, and the same models for every case")
    models = list(rows[0].predictions)
    figure = new_figure(1.8 * len(models) + 0.3, 1.9 * len(rows) + 0.5)
    grid = figure.subplots(len(rows), len(models), squeeze=False)
    for index, (row, axes_row) in enumerate(zip(rows, grid, strict=True)):
        truth = np.asarray(row.truth) > 0
        masks = [np.asarray(mask) > 0 for mask in row.predictions.values()]
        window = zoom([truth, *masks], margin=0.3) if crop else None
        for axes, model, mask in zip(axes_row, models, masks, strict=True):
            note = f"{case_metrics(mask, truth, distances=False)['dice']:.3f}"
            panel = Panel(row.image, {TRUTH: truth, PREDICTION: mask}, "" if index else model, note)
            draw_panel(axes, panel, window)
        row_label(axes_row[0], row.name)
    legend(figure, {"ground truth": TRUTH, "prediction": PREDICTION})
    return figure
