"""The contour in motion, as an animated GIF."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from monai_levelset.metrics.overlap import case_metrics
from monai_levelset.report.atomic import atomic_path
from monai_levelset.report.deep_level_set_case import DeepLevelSetCase
from monai_levelset.report.drawing import INITIAL, PREDICTION, TRUTH, Panel, draw_panel

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 448
"""Longer side of a frame in pixels, about: a pixel of the image becomes a whole number of them."""
_FRAME, _FIRST, _LAST = 90, 700, 1800  # milliseconds
_LINES = 40  # colours kept for the contours


def evolution_animation(case: DeepLevelSetCase, path: str | Path, *, frames_per_step: int = 6) -> Path:
    """Write the evolution as a GIF: start yellow, truth blue, the moving contour red.

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
    frames = [_frame(case, time, phi) for time, phi in _interpolated(case.phis, frames_per_step)]
    palette = _palette(frames)
    first, *others = [frame.quantize(palette=palette, dither=palette_dither()) for frame in frames]
    durations = [_FIRST, *[_FRAME] * (len(frames) - 2), _LAST]
    with atomic_path(path) as temporary:
        first.save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=others,
            duration=durations,
            loop=0,
            disposal=1,
            optimize=False,
        )
    return Path(path)


def _interpolated(phis: NDArray[np.floating], frames_per_step: int) -> Iterator[tuple[float, NDArray[np.floating]]]:
    """Time in steps and level set of every frame."""
    for step, (before, after) in enumerate(zip(phis[:-1], phis[1:], strict=True)):
        for share in np.arange(frames_per_step) / frames_per_step:
            yield step + float(share), (1 - share) * before + share * after
    yield len(phis) - 1.0, phis[-1]


def _frame(case: DeepLevelSetCase, time: float, phi: NDArray[np.floating]) -> Image:
    """RGB picture of one moment; pixel (r, c) of the image covers `scale` times as many pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    rows, columns = case.truth.shape
    scale = frame_scale(case)
    figure = Figure(figsize=(columns * scale / 100, rows * scale / 100), dpi=100)
    canvas = FigureCanvasAgg(figure)
    dice = case_metrics(phi > 0, case.truth > 0, distances=False)["dice"]
    lines = {INITIAL: case.phis[0], TRUTH: case.truth > 0, PREDICTION: phi}
    panel = Panel(case.image, lines, note=f"step {int(time)}, Dice {dice:.3f}")
    draw_panel(figure.add_axes((0, 0, 1, 1)), panel)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
