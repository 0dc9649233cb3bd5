"""The rows of the few-label table on some of the scored volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_levelset.data.datalist import Item
from monai_levelset.metrics import load_volume
from monai_levelset.metrics.volume import load_label
from monai_levelset.report import Panel, save_figure
from monai_levelset.report.drawing import PALETTE, draw_panel, legend, new_figure, zoom
from monai_levelset.report.overlay import row_label, upright

_COLOURS = {"right ventricle": PALETTE[4], "myocardium": PALETTE[5], "left ventricle": PALETTE[3]}


def write_figure(
    out: Path,
    items: Sequence[Item],
    cases: Mapping[str, Sequence[Mapping[str, Any]]],
    files: Mapping[str, Path],
) -> None:
    """Draw label and rows side by side, with the Dice of the volume in the corner.

    The volumes are those at the 90th, 50th, 25th and 10th percentile of the second row's Dice, each with the
    slice in which its smallest structure is largest.

    Args:
        out: the picture's file.
        items: of the scored section.
        cases: row -> scores of the items, see `scores`.
        files: row -> folder of its label maps.
    """
    dice = [case["dice"] for case in list(cases.values())[1]]
    order = np.argsort(dice)
    chosen = dict.fromkeys(int(order[round(q * (len(order) - 1))]) for q in (0.9, 0.5, 0.25, 0.1))
    columns = ["label", *cases]
    figure = new_figure(1.7 * len(columns) + 0.3, 1.8 * len(chosen) + 0.5)
    grid = figure.subplots(len(chosen), len(columns), squeeze=False)
    for place, (index, line) in enumerate(zip(chosen, grid, strict=True)):
        item = items[index]
        image, truth = load_volume(item["image"]).array, load_label(Path(item["label"])).array
        k = fullest_slice(truth)
        maps = {"label": truth} | {
            row: load_label(folder / Path(item["image"]).name).array for row, folder in files.items()
        }
        shown = {row: upright(array[..., k], None) for row, array in maps.items()}
        window = zoom([label > 0 for label in shown.values()], margin=0.4)
        for axes, row in zip(line, columns, strict=True):
            contours = {
                colour: shown[row] == value for value, colour in enumerate(_COLOURS.values(), start=1)
            }
            note = "" if row == "label" else f"{cases[row][index]['dice']:.3f}"
            title = "" if place else row.replace(" + ", "\n+ ")
            draw_panel(axes, Panel(upright(image[..., k], None), contours, title, note), window)
        row_label(line[0], str(item["id"]).replace("_", "\n"))
    legend(figure, _COLOURS)
    save_figure(figure, out, dpi=110)


def fullest_slice(label: NDArray[Any]) -> int:
    """The slice in which the smallest structure is largest.

    Example:
        >>> label = np.zeros((4, 4, 3), int)
        >>> label[0, :, 0], label[1, :, 1], label[2, :2, 1], label[3, 0, 1] = 1, 1, 2, 3
        >>> fullest_slice(label)
        1
    """
    areas = [[int((label[..., k] == value).sum()) for value in (1, 2, 3)] for k in range(label.shape[-1])]
    return max(range(len(areas)), key=lambda k: (min(areas[k]), sum(areas[k])))
