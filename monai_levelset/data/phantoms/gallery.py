"""A picture of all phantom tasks with their labels.

``python -m monai_levelset.data.phantoms.gallery docs/figures/phantoms.png`` makes the figure of the
documentation.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from monai_levelset.data.atomic import atomic_path
from monai_levelset.data.phantoms.case import PhantomCase
from monai_levelset.data.phantoms.generate import draw_cases
from monai_levelset.data.phantoms.shapes import Array
from monai_levelset.data.phantoms.tasks import TASKS, get_task

CT_WINDOW = (-120.0, 240.0)
COLOURS = ("#00e5ff", "#ffff00", "#b2ff59", "#ff40ff", "#ff5252", "#ffffff")


def section(task: str, case: PhantomCase, channel: int = 0) -> tuple[Array, Array]:
    """The middle slice of the highest label value as a picture in [0, 1], rows from front to back.

    Args:
        task: name of the task (CT is windowed, MRI scaled by its 99.5th percentile).
        case: the case to show.
        channel: channel to show where there are several.

    Returns:
        Picture ``(row, column)`` or ``(row, column, 3)`` and label ``(row, column)``.
    """
    if case.affine is None:
        return case.image / np.float32(255), case.label
    rare = case.label == case.label.max()
    k = int(np.median(rare.nonzero()[2]))
    volume = case.image[..., channel] if case.image.ndim == 4 else case.image
    low, high = CT_WINDOW if get_task(task).modality == "CT" else (0.0, float(np.percentile(volume, 99.5)))
    picture = np.clip((volume[:, :, k].astype(np.float32) - low) / (high - low), 0, 1)
    return picture.T, case.label[:, :, k].T


def gallery(path: str | Path, *, columns: int = 4, seed: int = 0) -> Path:
    """Draw one row per task: the first patient plain, then one patient per column with label contours.

    Args:
        path: PNG file to write; parent folders are created.
        columns: patients per task, at least 2.
        seed: seed of the phantoms.

    Returns:
        The path.

    Raises:
        ValueError: if ``columns`` is below 2.
    """
    if columns < 2:
        raise ValueError(f"columns must be at least 2, got {columns}")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.3 * columns, 2.1 * len(TASKS)), facecolor="black")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(TASKS), columns)
    for row, task in zip(axes, TASKS, strict=True):
        for column, axis in enumerate(row):
            patient = max(column - 1, 0)
            show(axis, *section(task, draw_cases(task, patient, seed)[0]), contours=column > 0)
        row[0].set_title(task, color="white", fontsize=9, loc="left", pad=2)
    figure.subplots_adjust(0.005, 0.005, 0.995, 0.98, wspace=0.02, hspace=0.1)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=80, facecolor="black", metadata={"Software": None})
    return Path(path)


def show(axis: Any, picture: Array, label: Array, *, contours: bool) -> None:
    """Draw one picture, with one contour per label value if wanted."""
    axis.set_axis_off()
    axis.imshow(picture, cmap="gray", vmin=0, vmax=1)
    for value in np.unique(label[label > 0]) if contours else ():
        if (label != value).any():
            axis.contour(label == value, [0.5], colors=COLOURS[(value - 1) % len(COLOURS)], linewidths=0.8)


def main() -> None:
    """Parse the command line and draw."""
    parser = argparse.ArgumentParser(description="picture of all phantom tasks")
    parser.add_argument("path")
    parser.add_argument("--columns", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(gallery(options.path, columns=options.columns, seed=options.seed))


if __name__ == "__main__":
    main()
