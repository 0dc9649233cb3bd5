"""Image and label files with their grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from monai.data.image_reader import ITKReader, NibabelReader, PILReader
from monai.data.utils import affine_to_spacing
from numpy.typing import NDArray

PHOTO_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
"""Formats read by Pillow; they carry no position and no voxel size in mm."""


@dataclass(frozen=True)
class Volume:
    """An image or label map as MONAI's readers give it: axes x, y[, z].

    Attributes:
        path: the file.
        array: values, shape ``(x, y)``, ``(x, y, z)``, ``(x, y, 3)`` for a colour picture, or ``(x, y, z,
            channels)``. Trailing axes of length 1 are dropped: a slice is 2D.
        spacing: voxel size in mm per spatial axis; 1 where the file has none.
        affine: 4 x 4 voxel-to-world matrix, or None where the file has none.
    """

    path: Path
    array: NDArray[Any]
    spacing: tuple[float, ...]
    affine: NDArray[np.float64] | None


def load_volume(path: str | Path) -> Volume:
    """Read a picture (PNG, JPEG, …) or a medical volume (NIfTI, NRRD, MHA, …).

    Args:
        path: the file.

    Returns:
        The values and their grid.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        array, affine = _read(path)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"{path}: cannot be read, replace or remove it ({reason})") from error
    while array.ndim > 2 and array.shape[-1] == 1:
        array = array[..., 0]
    dims = min(array.ndim, 3)
    size = (1.0, 1.0) if affine is None else tuple(affine_to_spacing(affine, r=dims).tolist())
    return Volume(path, array, size, affine)


def _read(path: Path) -> tuple[NDArray[Any], NDArray[np.float64] | None]:
    # The readers themselves and not LoadImage, which makes one of every kind and warns about missing codecs.
    if path.suffix.lower() in PHOTO_SUFFIXES:
        return PILReader().get_data(PILReader().read(path))[0], None
    reader = NibabelReader() if path.name.lower().endswith((".nii", ".nii.gz")) else ITKReader()
    array, meta = reader.get_data(reader.read(path))
    return array, np.asarray(meta["affine"], float)


def load_label(path: str | Path) -> Volume:
    """Read a label map and check that it is one: a single channel of finite whole numbers.

    Args:
        path: the file.

    Returns:
        The label map with an integer array.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read or is not a label map.
    """
    volume = load_volume(path)
    array = volume.array
    if array.ndim != len(volume.spacing):
        raise ValueError(
            f"{path}: {array.shape[-1]} channels; a label map has one, save it as a grey-scale picture"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{path}: holds NaN or infinity; a label map holds whole numbers")
    labels = np.rint(array).astype(np.int64)
    if not np.array_equal(labels, array):
        raise ValueError(
            f"{path}: holds fractions; a label map holds whole numbers, threshold probabilities first"
        )
    return Volume(volume.path, labels, volume.spacing, volume.affine)


def check_same_grid(first: Volume, second: Volume, *, tolerance: float = 1e-2) -> None:
    """Refuse two volumes that do not lie on the same grid.

    Args:
        first: a volume.
        second: the one it is compared with.
        tolerance: largest difference between the two affine matrices, in mm.

    Raises:
        ValueError: naming both files, if shape, or position where both files carry one, differ.
    """
    one, other = _grid_shape(first), _grid_shape(second)
    if one != other:
        raise ValueError(_mismatch(first, second, "shape", one, other))
    if first.affine is None or second.affine is None:
        return
    if not np.allclose(first.affine, second.affine, rtol=0, atol=tolerance):
        affines = first.affine.round(3).tolist(), second.affine.round(3).tolist()
        raise ValueError(_mismatch(first, second, "affine", *affines))


def _grid_shape(volume: Volume) -> tuple[int, ...]:
    return volume.array.shape[: len(volume.spacing)]


def _mismatch(first: Volume, second: Volume, what: str, one: Sequence[Any], other: Sequence[Any]) -> str:
    fix = "resample one onto the other's grid"
    return f"{first.path} and {second.path} differ in {what}: {one} and {other}; {fix}"
