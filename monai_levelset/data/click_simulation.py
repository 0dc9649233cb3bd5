"""Clicks on the objects of label files, as a user would make them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from monai_levelset.data.axes import check_axcodes
from monai_levelset.data.click_files import Clicks, image_name
from monai_levelset.data.errors import DataError
from monai_levelset.data.grids import Grid, read_array
from monai_levelset.data.slices import through_plane_axis
from monai_levelset.data.structures import Structures

if TYPE_CHECKING:
    import torch

__all__ = ["simulated_clicks"]


def simulated_clicks(
    labels: Mapping[str, str | Path] | Iterable[str | Path],
    structures: Structures,
    *,
    axcodes: str | None = None,
    jitter: float = 0.0,
    seed: int = 0,
    every: int = 1,
) -> dict[str, Clicks]:
    """The four extreme points of every structure in every slice of label files, as a user would click them.

    Args:
        labels: files by name, or files, which are then named by `image_name`.
        structures: structure -> its label values, such as `{"disc": [1, 2], "cup": [2]}`. To a single
            structure, and to one without values, everything but 0 belongs: masks of 0 and 255 are fine.
        axcodes: axes that the volumes are brought to before they are cut along the third, as by
            `AxialOrientationd`; None: slices are cut along the through-plane axis, see `ThroughPlaneLast`.
        jitter: largest displacement of a click along either axis, pixels; see `extreme_points`.
        seed: of the displacements; those of a file do not depend on the other files.
        every: click only each n-th slice of a volume that holds the structure, and the last, so that the
            slices between can be interpolated.

    Returns:
        Name -> structure -> positions in voxels of the file, as `click_items` reads them; without what is not
        there.

    Raises:
        DataError: a file cannot be read or has several channels; no file holds any structure.
        ValueError: `jitter` is negative, `every` below 1, or there is no structure.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> mask = np.zeros((30, 40), np.uint8)
        >>> mask[10:20, 5:12] = 1  # rows are y
        >>> file = Path(tempfile.mkdtemp()) / "a.png"
        >>> Image.fromarray(mask).save(file)
        >>> simulated_clicks([file], {"disc": [1]})
        {'a': {'disc': [[5, 14], [11, 14], [8, 10], [8, 19]]}}
    """
    if not structures or every < 1:
        raise ValueError(f"`structures` is empty, or `every` is below 1: {structures!r}, {every!r}.")
    if axcodes is not None:
        check_axcodes(axcodes)
    files = labels if isinstance(labels, Mapping) else {image_name(path): path for path in labels}
    clicks: dict[str, Clicks] = {}
    for name, path in files.items():
        values, grid = _read_label(Path(path))
        axis = None if len(grid.shape) == 2 else _across(grid, axcodes)
        random = _generator(seed, name)
        found = {
            structure: _extremes(_mask(values, wanted, len(structures)), axis, every, jitter, random)
            for structure, wanted in structures.items()
        }
        if any(found.values()):
            clicks[name] = {structure: points for structure, points in found.items() if points}
    if not clicks:
        wanted_values = sorted({int(v) for values in structures.values() for v in values})
        first = next(iter(files.values()), "no file")
        raise DataError(
            f"{first}: no label holds {' or '.join(structures)} (values {wanted_values}), so nothing can be "
            "clicked. Give the labels' values in `structures`, or a file with clicks."
        )
    return clicks


def _read_label(path: Path) -> tuple[NDArray[Any], Grid]:
    values, grid = read_array(path)
    if grid.channels > 1:
        raise DataError(
            f"{path}: {grid.channels} channels; a label map has one. Save it as a grey picture or volume."
        )
    return values.reshape(grid.shape), grid


def _mask(values: NDArray[Any], wanted: Sequence[int], structures: int) -> NDArray[np.bool_]:
    return values != 0 if structures == 1 or not wanted else np.isin(values, list(wanted))


def _across(grid: Grid, axcodes: str | None) -> int:
    """Array axis across the slices."""
    if axcodes is None or grid.affine is None:
        return through_plane_axis(grid)
    from nibabel.orientations import aff2axcodes

    codes = aff2axcodes(grid.affine)
    pair = next(pair for pair in ("LR", "PA", "IS") if axcodes[2] in pair)
    return next(axis for axis, code in enumerate(codes) if code in pair)


def _generator(seed: int, name: str) -> torch.Generator:
    import torch

    return torch.Generator().manual_seed(zlib.crc32(f"{seed} {name}".encode()))


def _extremes(
    mask: NDArray[np.bool_], axis: int | None, every: int, jitter: float, random: torch.Generator
) -> list[list[float]]:
    """Positions of the extreme points, slice by slice."""
    from monai_levelset.transforms.extreme_points import extreme_points  # slow to import

    planes = mask[None] if axis is None else np.moveaxis(mask, axis, 0)
    held = [int(k) for k in np.flatnonzero(planes.any((1, 2)))]
    clicks: list[list[float]] = []
    for k in held[::every] + (held[-1:] if held and (len(held) - 1) % every else []):
        points = extreme_points(planes[k], jitter=jitter, generator=random)
        for point in points.double().round(decimals=2).tolist():
            position = [int(n) if jitter == 0 else n for n in point]
            clicks.append(position if axis is None else [*position[:axis], k, *position[axis:]])
    return clicks
