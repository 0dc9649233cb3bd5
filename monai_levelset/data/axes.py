"""Turn a volume so that its axes point where they should, without resampling."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_levelset.data.grids import Grid

__all__ = ["check_axcodes", "turn_axes"]

_DIRECTIONS = ("LR", "PA", "IS")


def check_axcodes(axcodes: str) -> None:
    """Refuse codes that do not name three different axes.

    Args:
        axcodes: three letters, one of `L` and `R`, one of `P` and `A`, one of `I` and `S`, in any order.

    Raises:
        ValueError: where it is anything else.

    Example:
        >>> check_axcodes("PLS")
        >>> check_axcodes("RLS")
        Traceback (most recent call last):
        ...
        ValueError: axcodes must be three letters, one each of L/R, P/A and I/S, such as 'RAS', not 'RLS'
    """
    wanted = [[code in pair for code in axcodes] for pair in _DIRECTIONS]
    if len(axcodes) != 3 or any(sum(found) != 1 for found in wanted):
        raise ValueError(
            f"axcodes must be three letters, one each of L/R, P/A and I/S, such as 'RAS', not {axcodes!r}"
        )


def turn_axes(values: NDArray[Any], grid: Grid, axcodes: str) -> tuple[NDArray[Any], Grid]:
    """Swap and flip the axes of a volume as `monai.transforms.Orientation(axcodes)` does.

    Args:
        values: shape `(x, y, z)` or `(x, y, z, channels)`.
        grid: their grid. Without an affine the axes are taken to point to `RAS`.
        axcodes: where the axes shall point to; see `check_axcodes`. An oblique axis counts as the direction
            it is closest to.

    Returns:
        A view of the values, and its grid.

    Example:
        >>> values = np.arange(24).reshape(2, 3, 4)
        >>> turned, grid = turn_axes(values, Grid((2, 3, 4), np.diag([1.0, 2.0, 5.0, 1.0])), "PLS")
        >>> turned.shape, grid.spacing
        ((3, 2, 4), (2.0, 1.0, 5.0))
        >>> bool((turned == values[::-1, ::-1].transpose(1, 0, 2)).all())
        True
    """
    from nibabel import orientations

    affine = np.eye(4) if grid.affine is None else grid.affine
    turn = orientations.ornt_transform(
        orientations.io_orientation(affine), orientations.axcodes2ornt(tuple(axcodes))
    )
    turned = orientations.apply_orientation(values, turn)
    turned_affine = affine @ orientations.inv_ornt_aff(turn, grid.shape)
    shape = tuple(int(n) for n in turned.shape[:3])
    return turned, Grid(shape, np.asarray(turned_affine, dtype=np.float64), grid.channels)
