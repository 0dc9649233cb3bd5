"""Contours drawn by hand, stored as text, and the masks they enclose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon

from monai_levelset.data.errors import DataError

__all__ = ["contour_to_mask", "read_contour"]


def read_contour(path: str | Path) -> NDArray[np.float64]:
    r"""Read a contour text file: one point `x y` per line, in pixels.

    Args:
        path: the text file.

    Returns:
        Points of shape `(n, 2)`, columns x (along a row) and y (down the rows).

    Raises:
        DataError: where the file is missing, holds anything but pairs of finite numbers, or fewer than 3
            points.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "IM-0001-0048-icontour-manual.txt"
        >>> _ = file.write_text("1.0 2.0\n4.0 2.0\n4.0 6.0\n")
        >>> read_contour(file).shape
        (3, 2)
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        points = np.array(
            [[float(v) for v in line.split()] for line in lines if line.strip()], dtype=np.float64
        )
    except FileNotFoundError as error:
        raise DataError(
            f"{path}: the contour file does not exist. Unpack the contours completely."
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a contour of `x y` lines ({error}). Unpack the file again.") from error
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3 or not np.isfinite(points).all():
        raise DataError(
            f"{path}: a contour needs at least 3 lines of two numbers `x y`. Unpack the file again."
        )
    return points


def contour_to_mask(points: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Fill a closed contour.

    Convention: the centre of the pixel in column `x` and row `y`, counted from 0, lies at `(x, y)`. A pixel
    belongs to the mask where its centre lies inside the polygon or on its border; the last point is joined to
    the first. Parts outside the image are cut off.

    Args:
        points: `(n, 2)`, columns x and y, in pixels.
        shape: `(rows, columns)` of the image.

    Returns:
        Mask of 0 and 1, shape `(rows, columns)`.

    Example:
        >>> contour_to_mask(np.array([[1.0, 0.5], [3.0, 0.5], [3.0, 2.5], [1.0, 2.5]]), (4, 5))
        array([[0, 0, 0, 0, 0],
               [0, 1, 1, 1, 0],
               [0, 1, 1, 1, 0],
               [0, 0, 0, 0, 0]], dtype=uint8)
    """
    mask = np.zeros(shape, dtype=np.uint8)
    rows, columns = polygon(points[:, 1], points[:, 0], shape)
    mask[rows, columns] = 1
    return mask
