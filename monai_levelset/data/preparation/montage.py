"""Some cases of a data set with their labels drawn on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_levelset.data.grids import Grid, read_array
from monai_levelset.data.slices import through_plane_axis

__all__ = ["draw_montage"]

_MOST_STRUCTURES = 7  # with more label values, or none by name, the boundaries of all are drawn alike
_LOST_ON_PHOTOGRAPHS = ("#d55e00", "#e69f00")  # orange lines on the eye's background
_SOFT_TISSUE = (-160.0, 240.0)  # HU


def draw_montage(
    path: Path,
    cases: Sequence[tuple[str, Path, Path | None]],
    labels: Mapping[str, str],
    modality: str = "",
    *,
    count: int = 12,
) -> Path:
    """Draw cases spread over the data set, labelled ones if any; of a volume the slice with most label.

    CT in HU is shown in a soft tissue window, everything else from its darkest to its brightest values.

    Args:
        path: the PNG file.
        cases: name, first image and first label (None: unlabelled) of every case.
        labels: meaning of each label value.
        modality: as in the data list, `CT` and `RGB` make a difference.
        count: most pictures.

    Returns:
        `path`.
    """
    from monai_levelset.report.drawing import PALETTE, draw_panel, legend, new_figure, save_figure

    palette = [colour for colour in PALETTE if modality != "RGB" or colour not in _LOST_ON_PHOTOGRAPHS]
    values = [int(value) for value in labels if value != "0"]
    colours = dict(zip(values, palette, strict=False)) if len(values) <= _MOST_STRUCTURES else {}
    chosen = _spread([case for case in cases if case[2]] or list(cases), count)
    columns = min(4, len(chosen))
    rows = -(-len(chosen) // columns)
    figure = new_figure(2.2 * columns, 2.4 * rows + 0.3)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, (name, image, label) in zip(grid.flat, chosen, strict=False):
        draw_panel(axes, _panel(name, image, label, colours, modality))
    if colours:
        legend(figure, {labels[str(value)]: colour for value, colour in colours.items()})
    return save_figure(figure, path, dpi=120)


def _spread(cases: Sequence[Any], count: int) -> list[Any]:
    step = max(len(cases) / count, 1.0)
    return [cases[int(k * step)] for k in range(min(count, len(cases)))]


def _panel(name: str, image: Path, label: Path | None, colours: Mapping[int, str], modality: str = "") -> Any:
    from monai_levelset.report.drawing import TRUTH, Panel
    from monai_levelset.report.overlay import middle_panel

    values, grid = read_array(image)
    if grid.channels > 1 and (len(grid.shape) == 3 or grid.channels not in (3, 4)):
        values = values[..., 0]
    elif grid.channels == 4:
        values = values[..., :3]
    if modality == "CT" and values.min() < _SOFT_TISSUE[0]:
        values = values.clip(*_SOFT_TISSUE)
    truth = _middle(grid) if label is None else read_array(label)[0]
    values, truth, grid = _cut_last(values, truth, grid)
    panel = middle_panel(
        values, truth, np.zeros_like(truth), spacing=grid.spacing, affine=grid.affine, title=name
    )
    contours = {} if label is None else _structures(panel.contours[TRUTH], colours)
    return Panel(panel.image, contours, title=name, note="" if label else "no label", aspect=panel.aspect)


def _middle(grid: Grid) -> NDArray[np.uint8]:
    truth = np.zeros(grid.shape, np.uint8)
    axis = through_plane_axis(grid) if len(grid.shape) == 3 else 0
    np.moveaxis(truth, axis, 0)[grid.shape[axis] // 2] = 1
    return truth


def _cut_last(
    values: NDArray[Any], truth: NDArray[Any], grid: Grid
) -> tuple[NDArray[Any], NDArray[Any], Grid]:
    """With the axis across the slices last."""
    if len(grid.shape) == 2:
        return values, truth, grid
    axis = through_plane_axis(grid)
    order = [*(a for a in range(3) if a != axis), axis]
    affine = None if grid.affine is None else grid.affine[:, [*order, 3]]
    return values.transpose(order), truth.transpose(order), Grid(tuple(grid.shape[a] for a in order), affine)


def _structures(label: NDArray[Any], colours: Mapping[int, str]) -> dict[str, NDArray[Any]]:
    from monai_levelset.report.drawing import PALETTE

    if len(colours) == 1:  # 1, or 255 in pictures
        return {colour: label > 0 for colour in colours.values()}
    found = set(np.unique(label).tolist()) - {0}
    if not found <= colours.keys():
        return {PALETTE[0]: _boundaries(label)}
    return {colour: label == value for value, colour in colours.items() if value in found}


def _boundaries(label: NDArray[Any]) -> NDArray[np.bool_]:
    edges = np.zeros(label.shape, bool)
    edges[1:] |= label[1:] != label[:-1]
    edges[:, 1:] |= label[:, 1:] != label[:, :-1]
    return edges
