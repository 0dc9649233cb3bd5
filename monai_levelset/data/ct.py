"""CT in Hounsfield units told from everything else, before a network that knows nothing else sees it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_levelset.data.dicom_folders import check_series
from monai_levelset.data.errors import DataError, raise_problems
from monai_levelset.data.grids import Grid, read_array
from monai_levelset.metrics.volume import PHOTO_SUFFIXES

__all__ = ["GREY_VALUES", "check_ct"]

GREY_VALUES = (0.0, 255.0)
"""The window of pictures that were windowed to 8 bits before."""

_MARGIN = 50.0  # below the window, in its unit: a resampled image without HU also rings below 0
_SHARE = 0.005


def check_ct(paths: Iterable[str | Path], *, window: Sequence[float], must_be_hu: bool = True) -> None:
    """Refuse images that are not what an intensity window is meant for, and slices that are not axial.

    With a window in HU an image must have fat or air: at least 0.5 % of its voxels 50 HU or more below the
    window. So pictures, MR images, masks, and CT that was windowed before or saved without its rescaling are
    found. With `GREY_VALUES` as the window all values must lie in it, so CT in HU is found.

    Args:
        paths: image files or DICOM folders.
        window: lower and upper end, in HU, or `GREY_VALUES`.
        must_be_hu: False lets images without fat or air, and pictures, pass for HU.

    Raises:
        DataError: lists all images that do not fit, with what to do; see also `check_series`.

    Example:
        >>> check_ct(["scan.png"], window=(0, 280))
        Traceback (most recent call last):
        ...
        monai_levelset.data.errors.DataError: scan.png: a picture holds no Hounsfield units. ...
    """
    low, high = (float(end) for end in window)
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda path: _problems(Path(path), low, high, must_be_hu), paths)
        raise_problems([problem for problems in found for problem in problems])


def _problems(path: Path, low: float, high: float, must_be_hu: bool) -> list[str]:
    grey = (low, high) == GREY_VALUES
    must_be_hu = must_be_hu and not grey
    if path.suffix.lower() in PHOTO_SUFFIXES and must_be_hu:
        return [
            f"{path}: a picture holds no Hounsfield units. Give CT in HU (NIfTI, MHA, NRRD, DICOM), or, for "
            "slices windowed to 0-255, the bundle's slices.json as a second configuration, which is "
            "`--overrides slices` of predict."
        ]
    try:
        if path.is_dir():
            check_series(path)
        values, grid = read_array(path)
    except DataError as error:
        return [str(error)]
    wrong = _grey_problem(values) if grey else _hounsfield_problem(values, low) if must_be_hu else ""
    return [f"{path}: {text}" for text in (wrong, _axial_problem(grid)) if text]


def _grey_problem(values: NDArray[Any]) -> str:
    low, high = values.min(), values.max()
    if GREY_VALUES[0] <= low and high <= GREY_VALUES[1]:
        return ""
    return (
        f"values from {low:g} to {high:g}, but the window is that of pictures of 0 to 255. For CT in HU "
        "leave slices.json out."
    )


def _hounsfield_problem(values: NDArray[Any], low: float) -> str:
    below = np.count_nonzero(values < low - _MARGIN) / values.size
    if below >= _SHARE:
        return ""
    return (
        f"no CT in HU: its values go from {values.min():g} to {values.max():g}, {100 * below:.2g} % of them "
        f"below {low - _MARGIN:g}, where CT has fat and air. Save it with its rescaling (slope, intercept), "
        "or set `window` to the values' own, or `must_be_hu` to False if they are HU nevertheless."
    )


def _axial_problem(grid: Grid) -> str:
    """A volume can be cut axially whatever its axes; a slice cannot."""
    if len(grid.shape) != 2 or grid.affine is None or len(grid.affine) != 4:
        return ""
    through_plane = np.cross(grid.affine[:3, 0], grid.affine[:3, 1])
    if np.abs(through_plane).argmax() == 2:
        return ""
    return "this slice is not axial, which the network was trained on. Give the volume it was cut from."
