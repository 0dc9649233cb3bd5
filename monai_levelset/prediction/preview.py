"""A picture of one prediction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from monai_levelset.metrics.volume import load_label, load_volume
from monai_levelset.report.drawing import PREDICTION, draw_panel, new_figure, save_figure, zoom
from monai_levelset.report.overlay import middle_panel

__all__ = ["save_preview"]


def save_preview(image: str | Path, prediction: str | Path, path: str | Path) -> Path:
    """Draw the prediction's contour, whole and enlarged, on the slice where it is largest.

    Args:
        image: the image's file or DICOM folder; of several channels the first is shown.
        prediction: label map on the image's grid.
        path: the PNG to write.

    Returns:
        The path.
    """
    mask, volume = load_label(prediction), load_volume(image)
    values = volume.array[..., 0] if volume.array.ndim > 3 else volume.array
    spacing, affine = mask.spacing, mask.affine
    panel = middle_panel(values, np.zeros_like(mask.array), mask.array, spacing=spacing, affine=affine)
    panel = replace(panel, contours={PREDICTION: panel.contours[PREDICTION]})
    figure = new_figure(7.2, 3.7)
    whole, enlarged = figure.subplots(1, 2)
    empty = "" if mask.array.any() else "nothing found"
    draw_panel(whole, replace(panel, title=Path(path).stem.removesuffix("_preview"), note=empty))
    draw_panel(enlarged, replace(panel, title="enlarged"), zoom(list(panel.contours.values()), margin=0.2))
    return save_figure(figure, path, dpi=150)
