"""MetaImage headers (`.mhd`, `.mha`), read as the text they are."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from monai_levelset.data.errors import DataError
from monai_levelset.data.grids import Grid

__all__ = ["metaimage_grid", "metaimage_header", "metaimage_problems"]

_BYTES = {
    "CHAR": 1,
    "UCHAR": 1,
    "SHORT": 2,
    "USHORT": 2,
    "INT": 4,
    "UINT": 4,
    "FLOAT": 4,
    "LONG": 8,
    "ULONG": 8,
    "LONG_LONG": 8,
    "ULONG_LONG": 8,
    "DOUBLE": 8,
}
_HEADER_BYTES = 1 << 16


def metaimage_header(path: Path) -> dict[str, str]:
    """Read the header's lines `Key = value`, up to and including `ElementDataFile`.

    Args:
        path: an `.mhd` or `.mha` file.

    Returns:
        The values as text.

    Raises:
        DataError: where the file cannot be read or has no `DimSize` or `ElementDataFile`.
    """
    try:
        with path.open("rb") as file:
            lines = file.read(_HEADER_BYTES).decode("latin-1").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Unpack it again.") from error
    header: dict[str, str] = {}
    for line in lines:
        key, equals, value = line.partition("=")
        if equals:
            header[key.strip()] = value.strip()
        if key.strip() == "ElementDataFile":
            break
    missing = [key for key in ("DimSize", "ElementDataFile") if not header.get(key)]
    if missing:
        raise DataError(f"{path}: no MetaImage header, {' and '.join(missing)} missing. Unpack it again.")
    return header


def metaimage_grid(path: Path) -> Grid:
    """The grid a header states, as ITK reads it: a negative spacing turns the axis around.

    Args:
        path: an `.mhd` or `.mha` file.

    Returns:
        The grid, its affine to RAS.

    Raises:
        DataError: as `metaimage_header`, and where a number cannot be read.
    """
    header = metaimage_header(path)
    try:
        shape = tuple(int(n) for n in header["DimSize"].split())
        rank = len(shape)
        spacing = _numbers(header, ("ElementSpacing", "ElementSize"), [1.0] * rank)
        offset = _numbers(header, ("Offset", "Position", "Origin"), [0.0] * rank)
        axes = _numbers(header, ("TransformMatrix", "Rotation", "Orientation"), np.eye(rank).ravel().tolist())
        affine = np.eye(4)
        affine[:rank, :rank] = np.reshape(axes, (rank, rank)).T * spacing
        affine[:rank, 3] = offset
    except ValueError as error:
        raise DataError(f"{path}: broken MetaImage header ({error}). Unpack it again.") from error
    return Grid(shape, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)


def metaimage_problems(path: Path) -> list[str]:
    """Look whether the voxels that a header announces are there, by the file's size alone.

    Args:
        path: an `.mhd` or `.mha` file.

    Returns:
        One line where the data file is missing or too short, or the header broken; else nothing.
    """
    try:
        header = metaimage_header(path)
        voxels = math.prod(metaimage_grid(path).shape)
    except DataError as error:
        return [str(error)]
    name = header["ElementDataFile"]
    if name == "LOCAL" or name.startswith("LIST") or "%" in name:
        return []
    data = path.parent / name
    if not data.is_file():
        return [f"{data}: missing, {path.name} says that its voxels are there. Unpack it beside the header."]
    expected = voxels * _BYTES.get(header.get("ElementType", "").removeprefix("MET_"), 0)
    expected *= int(header.get("ElementNumberOfChannels", "1"))
    if header.get("CompressedData", "False").lower() != "true" and data.stat().st_size < expected:
        return [f"{data}: truncated, {data.stat().st_size} of {expected} bytes are there. Unpack it again."]
    return []


def _numbers(header: dict[str, str], keys: tuple[str, ...], default: list[float]) -> list[float]:
    text = next((header[key] for key in keys if key in header), None)
    return default if text is None else [float(n) for n in text.split()]
