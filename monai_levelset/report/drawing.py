"""What all pictures share: colours, panels with contours, saving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from monai_levelset.report.atomic import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRUTH = "#1e90ff"
PREDICTION = "#ff2d20"
INITIAL = "#ffd400"
INK = "#222222"
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's colours, told apart with any kind of colour vision."""


@dataclass(frozen=True)
class Panel:
    """One picture: a grey or colour image with contours.

    Attributes:
        image: ``(rows, columns)`` or ``(rows, columns, 3)``, any value range; None draws on black.
        contours: colour -> mask or label map ``(rows, columns)``, or level set (floating point, > 0 inside);
            drawn in this order.
        title: text above the picture.
        note: text in its lower left corner, such as the Dice.
        aspect: height of a pixel divided by its width.
    """

    image: NDArray[Any] | None
    contours: Mapping[str, NDArray[Any]]
    title: str = ""
    note: str = ""
    aspect: float = 1.0


def draw_panel(axes: Axes, panel: Panel, window: tuple[slice, slice] | None = None) -> None:
    """Draw a panel.

    Args:
        axes: where.
        panel: what.
        window: rows and columns to show; default all.
    """
    from matplotlib.patheffects import withStroke

    shape = next(iter(panel.contours.values())).shape if panel.image is None else panel.image.shape[:2]
    rows, columns = window or (slice(0, shape[0]), slice(0, shape[1]))
    image = np.zeros(shape) if panel.image is None else panel.image
    low, high = _contrast(image[rows, columns])
    shown = np.clip((image.astype(float) - low) / (high - low), 0, 1)
    axes.imshow(shown, cmap="gray", vmin=0, vmax=1, aspect=panel.aspect, interpolation="lanczos")
    for colour, mask in panel.contours.items():
        draw_contour(axes, mask, colour)
    axes.set(xlim=(columns.start - 0.5, columns.stop - 0.5), ylim=(rows.stop - 0.5, rows.start - 0.5))
    axes.set_axis_off()
    axes.set_title(panel.title, fontsize=7, color=INK, pad=3)
    text = axes.text(0.03, 0.04, panel.note, transform=axes.transAxes, fontsize=8, color="white", va="bottom")
    text.set_path_effects([withStroke(linewidth=1.6, foreground="black")])


def draw_contour(axes: Axes, mask: NDArray[Any], colour: str, width: float = 1.2) -> None:
    """Draw the boundary of a mask, of every structure of a label map, or of a level set (its zero contour).

    Args:
        axes: where.
        mask: ``(rows, columns)``; boolean or integer for a mask or label map, floating point for a level set,
            > 0 inside.
        colour: of the line.
        width: of the line in points.
    """
    if np.issubdtype(mask.dtype, np.floating):
        _draw_zero_contour(axes, mask, colour, width)
        return
    for value in np.unique(mask[mask > 0]):
        _draw_zero_contour(axes, (mask == value).astype(float) - 0.5, colour, width)


def _draw_zero_contour(axes: Axes, values: NDArray[Any], colour: str, width: float) -> None:
    if not (values > 0).any():
        return
    padded = np.pad(values, 1, constant_values=float(min(values.min(), -0.5)))
    y, x = np.arange(padded.shape[0]) - 1, np.arange(padded.shape[1]) - 1
    axes.contour(x, y, padded, levels=[0.0], colors=[colour], linewidths=width, linestyles="solid")


def _contrast(image: NDArray[Any]) -> tuple[float, float]:
    if image.ndim == 3:
        return 0.0, 255.0 if image.max() > 1 else 1.0
    low, high = np.percentile(image, (0.5, 99.5))
    return (float(low), float(high)) if high > low else (float(low), float(low) + 1.0)


def zoom(masks: Sequence[NDArray[Any]], margin: float = 0.8, least: int = 64) -> tuple[slice, slice]:
    """A square window around all masks.

    Args:
        masks: masks or level sets ``(rows, columns)`` of one shape; where all are empty the window is
            everything.
        margin: free space on each side as a fraction of the object's longer side.
        least: smallest side of the window in pixels.

    Returns:
        Rows and columns, inside the image.

    Example:
        >>> mask = np.zeros((100, 200), dtype=bool)
        >>> mask[40:60, 0:10] = True
        >>> zoom([mask], margin=0.5, least=10)
        (slice(30, 70, None), slice(0, 40, None))
    """
    shape = masks[0].shape
    covered = np.any([mask > 0 for mask in masks], axis=0)
    if not covered.any():
        return slice(0, shape[0]), slice(0, shape[1])
    spans = [np.flatnonzero(covered.any(axis=other)) for other in (1, 0)]
    longest = max(int(span[-1] - span[0] + 1) for span in spans)
    side = max(round(longest * (1 + 2 * margin)), least)
    return _interval(spans[0], side, shape[0]), _interval(spans[1], side, shape[1])


def _interval(span: NDArray[Any], side: int, length: int) -> slice:
    side = min(side, length)
    start = round((int(span[0]) + int(span[-1]) + 1) / 2 - side / 2)
    start = min(max(start, 0), length - side)
    return slice(start, start + side)


def legend(figure: Figure, entries: Mapping[str, str]) -> None:
    """A legend below the pictures.

    Args:
        figure: the figure.
        entries: text -> colour.
    """
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=colour, linewidth=2, label=text) for text, colour in entries.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=8, frameon=False)


def new_figure(width: float, height: float) -> Figure:
    """An empty white figure without pyplot's global state.

    Args:
        width: in inches.
        height: in inches.

    Returns:
        The figure, with constrained layout.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    layout: Any = figure.get_layout_engine()
    layout.set(w_pad=0.03, h_pad=0.03, wspace=0.02, hspace=0.02)
    return figure


def save_figure(figure: Figure, path: str | Path, *, dpi: int = 200) -> Path:
    """Write a figure as PNG, atomically and without a date.

    Args:
        figure: the figure.
        path: the file.
        dpi: dots per inch.

    Returns:
        The path.
    """
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=dpi, format="png", metadata={"Software": None})
    return Path(path)
