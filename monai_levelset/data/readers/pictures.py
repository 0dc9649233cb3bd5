"""Grey pictures: read them however they are stored, write them as PNG that MONAI reads with the same axes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_levelset.data.atomic import atomic_path
from monai_levelset.data.errors import DataError
from monai_levelset.data.grids import read_array

__all__ = ["read_grey", "save_label"]


def read_grey(path: Path, *, tolerance: int = 0) -> NDArray[np.uint8]:
    """Read an 8-bit grey picture, also where it is stored with a palette or as red = green = blue.

    Args:
        path: PNG, JPG, BMP or the like.
        tolerance: by how much the channels may differ; their mean is taken.

    Returns:
        `(width, height)`, as `read_array` returns 2D images.

    Raises:
        DataError: the file is missing, unreadable or coloured, or has more than 8 bits.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> file = Path(tempfile.mkdtemp()) / "a.png"
        >>> Image.new("RGB", (3, 2), (7, 7, 7)).save(file)
        >>> read_grey(file).tolist()
        [[7, 7], [7, 7], [7, 7]]
    """
    from PIL import Image

    values, _ = read_array(path)  # says what is wrong with an unreadable file
    with Image.open(path) as image:
        if image.mode == "P":
            values = np.asarray(image.convert("RGB")).swapaxes(0, 1)
    if values.dtype == bool:
        values = values.astype(np.uint8) * 255
    if values.dtype != np.uint8:
        raise DataError(f"{path}: it must be a grey picture of 8 bits. Convert it, or unpack it again.")
    if values.ndim == 3:
        colours = values[..., :3].astype(np.int16)
        if np.ptp(colours, axis=-1).max() > tolerance:
            raise DataError(f"{path}: it must be grey, but is coloured. Convert it, or unpack it again.")
        values = np.rint(colours.mean(axis=-1)).astype(np.uint8)
    return values


def save_label(path: Path, values: NDArray[Any]) -> Path:
    """Write whole numbers, or grey values, as a lossless grey PNG of 8 bits, or of 16 where 8 do not suffice.

    Args:
        path: the file, ending in `.png`; it appears whole or not at all.
        values: `(width, height)`, as `read_array` returns them, whole numbers in [0, 65535].

    Returns:
        `path`.

    Raises:
        ValueError: the values are not 2D or out of range.

    Example:
        >>> import tempfile
        >>> from monai_levelset.data.grids import read_array
        >>> file = save_label(Path(tempfile.mkdtemp()) / "a.png", np.array([[0, 1, 300]]))
        >>> read_array(file)[0].tolist()
        [[0, 1, 300]]
    """
    from PIL import Image

    values = np.asarray(values)
    if values.ndim != 2 or values.min() < 0 or values.max() > 65535:
        raise ValueError(f"{path}: values must be 2D and in [0, 65535] to be written as PNG")
    kind = np.uint8 if values.max() <= 255 else np.uint16
    with atomic_path(path) as temporary:
        Image.fromarray(np.ascontiguousarray(values.T.astype(kind))).save(temporary, optimize=False)
    return path
