"""What the pictures share: a row of panels with the true contour in blue and the result in red."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from monai_levelset.report.drawing import INITIAL, PREDICTION, TRUTH, Panel, draw_panel, legend, new_figure

SIDE = 1.95
"""Width and height of a panel in inches."""


def picture(x: torch.Tensor) -> NDArray[Any]:
    """The first item and channel of a tensor as an array.

    Args:
        x: `(B, C, rows, columns)`.

    Returns:
        `(rows, columns)`.
    """
    return x.detach()[0, 0].cpu().numpy()


def overlay(
    title: str,
    image: torch.Tensor,
    result: torch.Tensor | None = None,
    *,
    truth: torch.Tensor | None = None,
    start: torch.Tensor | None = None,
    note: str | None = None,
) -> Panel:
    """An image with the start in yellow, the truth in blue and the result in red.

    Args:
        title: the value of the parameter.
        image: `(1, 1, rows, columns)`.
        result: level set of that shape.
        truth: mask of that shape.
        start: level set of that shape.
        note: text in the corner; default the Dice of the result where there is a truth.

    Returns:
        The panel.
    """
    lines = {INITIAL: start, TRUTH: truth, PREDICTION: result}
    contours = {colour: picture(line) for colour, line in lines.items() if line is not None}
    if truth is not None and TRUTH in contours:
        contours[TRUTH] = contours[TRUTH] > 0
    if note is None:
        note = f"Dice {dice(result, truth):.3f}" if result is not None and truth is not None else ""
    return Panel(picture(image), contours, title=title, note=note)


def dice(result: torch.Tensor, truth: torch.Tensor) -> float:
    """Dice of the inside of a level set.

    Args:
        result: level set.
        truth: mask of the same shape.

    Returns:
        A number from 0 to 1.
    """
    a, b = result > 0, truth > 0
    return float(2 * (a & b).sum() / (a.sum() + b.sum()).clamp_min(1))


def row(panels: Sequence[Panel], *, columns: int | None = None) -> Figure:
    """Panels beside each other, in several rows if `columns` says so, with a legend of the colours in use.

    Args:
        panels: what to draw.
        columns: panels per row; default all.

    Returns:
        The figure.
    """
    columns = columns or len(panels)
    rows = -(-len(panels) // columns)
    shape = panels[0].image.shape if panels[0].image is not None else (1, 1)
    used = {colour for panel in panels for colour in panel.contours}
    below = 0.25 if used else 0.0
    figure = new_figure(SIDE * columns, (SIDE * shape[0] / shape[1] + 0.18) * rows + below)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, panel in zip(grid, panels, strict=False):
        draw_panel(axes, panel)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    names = {"start": INITIAL, "ground truth": TRUTH, "result": PREDICTION}
    if used:
        legend(figure, {name: colour for name, colour in names.items() if colour in used})
    return figure


def sweep(
    image: torch.Tensor,
    results: Mapping[str, torch.Tensor],
    *,
    truth: torch.Tensor | None = None,
    start: torch.Tensor | None = None,
) -> Figure:
    """One panel per value of a parameter.

    Args:
        image: `(1, 1, rows, columns)`.
        results: title -> level set of that shape.
        truth: mask of that shape.
        start: level set of that shape, drawn in every panel.

    Returns:
        The figure.
    """
    return row([overlay(t, image, phi, truth=truth, start=start) for t, phi in results.items()])


def save(figure: Figure, path: str | Path, *, dpi: int = 110, colours: int = 96) -> Path:
    """Write a figure as a small PNG with a palette.

    Args:
        figure: the figure.
        path: the file.
        dpi: dots per inch.
        colours: size of the palette; 96 do for grey pictures with lines, photographs and maps need 255.

    Returns:
        The path.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=dpi, format="png", metadata={"Software": None})
    pixels = np.asarray(Image.open(buffer).convert("RGB"))
    method = Image.Quantize.MAXCOVERAGE if colours <= 128 else Image.Quantize.MEDIANCUT
    small = Image.fromarray(pixels).quantize(colours, method, 2, dither=Image.Dither.NONE)
    small.save(path, optimize=True)
    return Path(path)
