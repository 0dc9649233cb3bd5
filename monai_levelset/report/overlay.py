"""Truth in blue, prediction in red, on the image (as in Fig. 3 of Tang et al. 2017)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from monai_levelset.report.drawing import (
    INK,
    PREDICTION,
    TRUTH,
    Panel,
    draw_panel,
    legend,
    new_figure,
    zoom,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def choose_cases(scores: Mapping[str, float], count: int = 4) -> dict[str, list[str]]:
    """The best, the median and the worst cases.

    Args:
        scores: case id -> score, higher is better.
        count: cases per group.

    Returns:
        Group -> ids by falling score. With too few cases for three groups, all of them under ``"all"``.

    Example:
        >>> choose_cases({"a": 0.9, "b": 0.1, "c": 0.5, "d": 0.6}, count=1)
        {'best': ['a'], 'median': ['d'], 'worst': ['b']}
        >>> choose_cases({"a": 0.1, "b": 0.9}, count=1)
        {'all': ['b', 'a']}
    """
    ranked = sorted(scores, key=lambda case: (-scores[case], case))
    if len(ranked) < 3 * count:
        return {"all": ranked}
    middle = (len(ranked) - count) // 2
    return {"best": ranked[:count], "median": ranked[middle : middle + count], "worst": ranked[-count:]}


def middle_panel(
    image: NDArray[Any] | None,
    truth: NDArray[Any],
    prediction: NDArray[Any],
    *,
    spacing: Sequence[float] | None = None,
    affine: NDArray[Any] | None = None,
    title: str = "",
    note: str = "",
) -> Panel:
    """A panel of one case; of a volume, the slice (last axis) with the largest truth.

    Where the truth is empty, the slice with the largest prediction is shown.

    Args:
        image: axes x, y[, z] as MONAI loads files, ``(x, y, 3)`` for a colour picture, or None.
        truth: label map ``(x, y[, z])``.
        prediction: label map, same shape.
        spacing: voxel size per axis, default 1.
        affine: voxel-to-world matrix (RAS), used to show the patient's right on the left and front on top.
        title: text above.
        note: text in the corner.

    Returns:
        The panel, with rows from y and columns from x.
    """
    size = tuple(spacing or (1.0,) * truth.ndim)
    if truth.ndim == 3:
        area = (truth if (truth > 0).any() else prediction) > 0
        index = int(area.sum(axis=(0, 1)).argmax())
        truth, prediction = truth[:, :, index], prediction[:, :, index]
        image = None if image is None else image[:, :, index]
    shown = None if image is None else upright(image, affine)
    contours = {TRUTH: upright(truth, affine), PREDICTION: upright(prediction, affine)}
    return Panel(shown, contours, title=title, note=note, aspect=size[1] / size[0])


def upright(array: NDArray[Any], affine: NDArray[Any] | None) -> NDArray[Any]:
    """Rows and columns as a viewer shows them: the patient's right on the left, front on top.

    Args:
        array: a slice with axes x, y, ...
        affine: voxel-to-world matrix (RAS); None: x to the right, y down.

    Returns:
        The slice with axes row, column, ...
    """
    array = np.swapaxes(array, 0, 1)
    if affine is None:
        return array
    from nibabel.orientations import aff2axcodes

    codes = aff2axcodes(affine)
    array = array[:, ::-1] if codes[0] in ("R", "S") else array
    return array[::-1] if codes[1] in ("A", "S") else array


def overlay_figure(rows: Mapping[str, Sequence[Panel]], *, crop: bool = True, columns: int = 4) -> Figure:
    """A montage of cases.

    Args:
        rows: group, such as "best", -> its panels. A group longer than ``columns`` is
            spread evenly over several rows.
        crop: whether to zoom in on the contours.
        columns: most panels per row.

    Returns:
        The figure; write it with :func:`~monai_levelset.report.drawing.save_figure`.

    Raises:
        ValueError: if there is no panel.
    """
    lines = [line for name, panels in rows.items() for line in _wrap(name, panels, columns)]
    if not lines:
        raise ValueError("there is no panel to draw")
    widest = max(len(panels) for _, panels in lines)
    figure = new_figure(1.8 * widest + 0.3, 2.0 * len(lines) + 0.3)
    grid = figure.subplots(len(lines), widest, squeeze=False)
    for (name, panels), axes_row in zip(lines, grid, strict=True):
        for index, axes in enumerate(axes_row):
            axes.set_axis_off()
            if index < len(panels):
                draw_panel(axes, panels[index], zoom(list(panels[index].contours.values())) if crop else None)
        row_label(axes_row[0], name)
    legend(figure, {"ground truth": TRUTH, "prediction": PREDICTION})
    return figure


def _wrap(name: str, panels: Sequence[Panel], columns: int) -> list[tuple[str, list[Panel]]]:
    count = math.ceil(len(panels) / columns)
    length = math.ceil(len(panels) / max(count, 1))
    parts = [list(panels[row * length : (row + 1) * length]) for row in range(count)]
    return [("" if row else name, part) for row, part in enumerate(parts)]


def row_label(axes: Any, text: str) -> None:
    """Text to the left of a row of panels, read upwards.

    Args:
        axes: the first panel of the row.
        text: the text.
    """
    style: dict[str, Any] = {"rotation": 90, "ha": "right", "va": "center", "fontsize": 9, "color": INK}
    axes.text(-0.04, 0.5, text, transform=axes.transAxes, **style)
