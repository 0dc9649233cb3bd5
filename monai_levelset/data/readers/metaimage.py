"""MetaImage files (`.mhd`, `.mha`): the header as the text it is, and voxels of every type.

The Python packages of ITK, and so MONAI's `ITKReader`, refuse signed bytes (`MET_CHAR`), in which several
challenges store their labels.
"""

from __future__ import annotations

import math
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_levelset.data.errors import DataError
from monai_levelset.data.grids import Grid

__all__ = ["is_signed_bytes", "metaimage_grid", "metaimage_header", "metaimage_problems", "read_metaimage"]

_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_FLOAT": "f4",
    "MET_LONG": "i8",
    "MET_ULONG": "u8",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_DOUBLE": "f8",
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
    kind = _TYPES.get(header.get("ElementType", ""))
    if kind is None:
        return [f"{path}: its ElementType {header.get('ElementType', '')!r} is unknown. Unpack it again."]
    expected = voxels * np.dtype(kind).itemsize * int(header.get("ElementNumberOfChannels", "1"))
    if not _is_true(header, "CompressedData") and data.stat().st_size < expected:
        return [f"{data}: truncated, {data.stat().st_size} of {expected} bytes are there. Unpack it again."]
    return []


def read_metaimage(path: Path) -> NDArray[Any]:
    """Read the voxels of a file with one channel, in one data file or after the header.

    Args:
        path: an `.mhd` or `.mha` file, compressed or not.

    Returns:
        Values of shape `(x, y[, z])` in the file's type.

    Raises:
        DataError: where the header is broken, or the voxels are missing, truncated or corrupt.
    """
    problems = metaimage_problems(path)
    if problems:
        raise DataError(problems[0])
    header, shape = metaimage_header(path), metaimage_grid(path).shape
    try:
        if header["ElementDataFile"] == "LOCAL":
            content = re.split(rb"ElementDataFile *= *LOCAL\r?\n", path.read_bytes(), maxsplit=1)[1]
        else:
            content = (path.parent / header["ElementDataFile"]).read_bytes()
        content = zlib.decompress(content) if _is_true(header, "CompressedData") else content
        order = ">" if _is_true(header, "BinaryDataByteOrderMSB", "ElementByteOrderMSB") else "<"
        kind = np.dtype(order + _TYPES[header["ElementType"]])
        values = np.frombuffer(content, kind, count=math.prod(shape)).reshape(shape, order="F")
    except (OSError, ValueError, IndexError, KeyError, zlib.error) as error:
        raise DataError(f"{path}: its voxels cannot be read ({error}). Unpack it again.") from error
    return values.astype(kind.newbyteorder("="))


def is_signed_bytes(path: Path) -> bool:
    """Whether the voxels are signed bytes, which ITK's Python packages do not read.

    Raises:
        DataError: as `metaimage_header`.
    """
    return metaimage_header(path).get("ElementType") == "MET_CHAR"


def _is_true(header: dict[str, str], *keys: str) -> bool:
    return any(header.get(key, "").lower() == "true" for key in keys)


def _numbers(header: dict[str, str], keys: tuple[str, ...], default: list[float]) -> list[float]:
    text = next((header[key] for key in keys if key in header), None)
    return default if text is None else [float(n) for n in text.split()]
