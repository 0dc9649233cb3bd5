"""The contour in motion, as an animated GIF."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from monai_levelset.report.atomic import atomic_path
from monai_levelset.report.deep_level_set_case import DeepLevelSetCase
from monai_levelset.report.drawing import INITIAL, PREDICTION, TRUTH, Panel, draw_contour, draw_panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from PIL.Image import Image

SIDE = 448
"""Longer side of a frame in pixels, about: a pixel of the image becomes a whole number of them."""
_DPI = 128  # a power of two, so that sizes in inches are exact
_FRAME, _FIRST, _LAST = 90, 700, 1800  # milliseconds
_COLOURS, _LINES = 190, 60  # of the palette, for the image and the lines; a few are left for transparency
_FINAL = "#ff9d96"


def evolution_animation(case: DeepLevelSetCase, path: str | Path, *, frames_per_step: int = 6) -> Path:
    """Write the evolution as a GIF: start yellow, truth blue, the moving contour red, its end light red.

    Between two steps phi is interpolated linearly, so that the contour glides; 11 frames a second, the first
    and the last held, repeated for ever. Written whole or not at all.

    Args:
        case: what to draw.
        path: the file.
        frames_per_step: frames from one step to the next.

    Returns:
        The path.

    Raises:
        ValueError: a case without evolution, `frames_per_step` below 1.

    Example:
        >>> import tempfile
        >>> y, x = np.mgrid[:32, :32] - 15.5
        >>> r = np.hypot(x, y)
        >>> case = DeepLevelSetCase(r, r < 8, np.full((4, 2), np.nan), np.stack([12 - r, 10 - r, 8 - r]))
        >>> evolution_animation(case, tempfile.mkdtemp() + "/a.gif", frames_per_step=2).stat().st_size < 2e5
        True
    """
    if case.steps == 0:
        raise ValueError("`case` has one level set only; there is no evolution to animate.")
    if frames_per_step < 1:
        raise ValueError(f"`frames_per_step` must be at least 1, got {frames_per_step}.")
    scenes = _interpolated(case.phis, frames_per_step)
    frames = [_picture(case, phi, f"step {int(time)}") for time, phi in scenes]
    first, *others = _reduced(_picture(case), frames)
    timing = {"duration": [_FIRST, *[_FRAME] * (len(others) - 1), _LAST], "loop": 0}
    with atomic_path(path) as temporary:
        first.save(temporary, format="GIF", save_all=True, append_images=others, **timing)
    return Path(path)


def _interpolated(phis: NDArray[Any], frames_per_step: int) -> Iterator[tuple[float, NDArray[Any]]]:
    """Time in steps and level set of every frame."""
    for step, (before, after) in enumerate(itertools.pairwise(phis)):
        for share in np.arange(frames_per_step) / frames_per_step:
            yield step + float(share), (1 - share) * before + share * after
    yield len(phis) - 1.0, phis[-1]


def _picture(case: DeepLevelSetCase, phi: NDArray[Any] | None = None, caption: str = "") -> NDArray[np.uint8]:
    """RGB picture of one moment, or of the image alone; a pixel of the case covers a whole number of its."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows, columns = case.truth.shape
    scale = max(round(SIDE / max(rows, columns)), 1)
    figure = Figure(figsize=(columns * scale / _DPI, rows * scale / _DPI), dpi=_DPI)
    axes, canvas = figure.add_axes((0, 0, 1, 1)), FigureCanvasAgg(figure)
    note = "" if phi is None else f"{caption}, Dice {case.dice(phi):.3f}"
    draw_panel(axes, Panel(case.image, {}, note=note))
    axes.texts[0].set_fontsize(11)
    if phi is not None:
        _draw_contours(axes, case, phi)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _draw_contours(axes: Axes, case: DeepLevelSetCase, phi: NDArray[Any]) -> None:
    """The start is broad, to be seen beside a contour that has not moved yet."""
    draw_contour(axes, case.phis[0], INITIAL, 2.2)
    draw_contour(axes, case.phis[-1], _FINAL, 0.6)
    draw_contour(axes, case.truth > 0, TRUTH, 1.4)
    draw_contour(axes, phi, PREDICTION, 1.4)


def _reduced(bare: NDArray[np.uint8], frames: Sequence[NDArray[np.uint8]]) -> list[Image]:
    """The frames with one palette, so that only what moves is stored again.

    Contours are few pixels: their colours are chosen by themselves, or they would get none of their own.
    """
    from PIL.Image import Dither, fromarray, new

    lines = np.concatenate([frame[(frame != bare).any(-1)] for frame in (frames[0], frames[-1])])
    colours = [fromarray(bare).quantize(_COLOURS), fromarray(lines[None]).quantize(_LINES)]
    palette = new("P", (1, 1))
    palette.putpalette([value for part in colours for value in part.getpalette() or ()])
    return [fromarray(frame).quantize(palette=palette, dither=Dither.NONE) for frame in frames]
