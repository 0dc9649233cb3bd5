"""Read an image file's grid from its header, and its values, whatever the format.

PNG, JPG and the like through Pillow, NIfTI through nibabel, everything else (MHA, NRRD, DICOM files and
folders) through ITK. Axes are always `(x, y[, z])`, affines map voxels to RAS world coordinates in mm:
the conventions of MONAI's readers, so what is checked here is what `LoadImaged` will see. In particular an
image of width W and height H has the shape `(W, H)`: MONAI's `PILReader` transposes, and image and label
both.
"""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_levelset.data.errors import DataError

__all__ = ["MAX_VOXELS", "Grid", "corner_distance", "read_array", "read_grid"]

MAX_VOXELS = 2**31
"""More voxels than this in one file are taken for a broken header."""

_DEFLATE_LIMIT = 1032  # no deflate stream expands by more than this factor
_PILLOW = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
_META_IMAGE = {".mha", ".mhd"}
_ITK_LOCK = Lock()
_READ_ERRORS = (OSError, EOFError, ValueError, RuntimeError, SyntaxError, MemoryError, zlib.error)


@dataclass(frozen=True)
class Grid:
    """The grid an image's values live on.

    Attributes:
        shape: spatial size, `(x, y)` or `(x, y, z)`.
        affine: 4x4, voxel to RAS world in mm; None where the format knows no position (PNG, JPG).
        channels: values per voxel.
    """

    shape: tuple[int, ...]
    affine: NDArray[np.float64] | None = None
    channels: int = 1

    @property
    def spacing(self) -> tuple[float, ...]:
        """Distance between neighbouring voxels per axis, mm; 1 where the format states none.

        Example:
            >>> Grid((4, 4), np.diag([1.5, 2.0, 8.0, 1.0])).spacing
            (1.5, 2.0)
        """
        if self.affine is None:
            return (1.0,) * len(self.shape)
        return tuple(float(s) for s in np.linalg.norm(self.affine[:3, : len(self.shape)], axis=0))


def corner_distance(a: Grid, b: Grid) -> float:
    """Largest distance in mm between the same corner of two grids of one shape; 0 where one has no affine.

    Example:
        >>> shifted = np.eye(4)
        >>> shifted[0, 3] = 2.0
        >>> corner_distance(Grid((3, 3, 3), np.eye(4)), Grid((3, 3, 3), shifted))
        2.0
    """
    if a.affine is None or b.affine is None:
        return 0.0
    corners = np.stack(np.meshgrid(*[(0, n - 1) for n in a.shape], indexing="ij"), -1).reshape(
        -1, len(a.shape)
    )
    difference = (a.affine - b.affine)[:3]
    moved = corners @ difference[:, : len(a.shape)].T + difference[:, 3]
    return float(np.linalg.norm(moved, axis=1).max())


def read_grid(path: str | Path) -> Grid:
    """Read the grid from the header alone; nothing of the image's size is allocated.

    Args:
        path: image file, or a folder of DICOM slices.

    Returns:
        The grid.

    Raises:
        DataError: where the file is missing, its header unreadable, its affine non-finite or singular, its
            sform and pixdim contradict each other, or its declared size implausible.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> file = Path(tempfile.mkdtemp()) / "a.png"
        >>> Image.new("L", (6, 4)).save(file)
        >>> read_grid(file).shape  # width, height
        (6, 4)
    """
    path = _existing(path)
    grid, _ = _guarded(path, _header)
    return grid


def read_array(path: str | Path) -> tuple[NDArray[Any], Grid]:
    """Read an image's values and grid.

    Args:
        path: image file, or a folder of DICOM slices.

    Returns:
        Values of shape `(*grid.shape,)`, with one more axis at the end where there are several channels, in
        the file's own type; and the grid.

    Raises:
        DataError: as `read_grid`, and where the values are truncated or corrupt.
    """
    path = _existing(path)
    grid, load = _guarded(path, _header)
    return _guarded(path, lambda _: load()), grid


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if path.exists():
        return path
    if not path.parent.is_dir():
        raise DataError(
            f"{path.parent}: the folder does not exist. Check the data list or the data folder's path."
        )
    if not any(path.parent.iterdir()):
        raise DataError(
            f"{path.parent}: the folder is empty. Put the data there or correct the data folder's path."
        )
    raise DataError(f"{path}: the file does not exist. Correct the data list or put the file there.")


def _guarded(path: Path, read: Any) -> Any:
    try:
        return read(path)
    except DataError:
        raise
    except _READ_ERRORS as error:
        lines = [line for line in str(error).strip().splitlines() if "could the file be damaged" not in line]
        reason = lines[-1] if lines else type(error).__name__
        if "No such file" in reason:  # ITK's words for a file that is there and has no proper header
            reason = "no header"
        raise DataError(
            f"{path}: cannot be read, the file is corrupt, truncated or of an unknown format ({reason}). "
            "Copy or convert it again."
        ) from error


def _header(path: Path) -> tuple[Grid, Any]:
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        return _nifti(path)
    if path.suffix.lower() in _PILLOW:
        return _pillow(path)
    return _itk(path)


def _pillow(path: Path) -> tuple[Grid, Any]:
    from PIL import Image

    with Image.open(path) as image:
        grid = Grid(tuple(image.size), channels=len(image.getbands()))
    _check_size(path, grid, item_bytes=1)

    def load() -> NDArray[Any]:
        with Image.open(path) as image:
            return np.asarray(image).swapaxes(0, 1)

    return grid, load


def _nifti(path: Path) -> tuple[Grid, Any]:
    import nibabel as nib

    try:
        image: Any = nib.load(path)
    except nib.filebasedimages.ImageFileError as error:
        raise OSError(str(error)) from error
    shape = tuple(int(n) for n in image.shape)
    channels = math.prod(shape[3:])
    grid = Grid(shape[:3], np.asarray(image.affine, dtype=np.float64), channels)
    _check_size(path, grid, item_bytes=image.get_data_dtype().itemsize)
    _check_affine(path, grid)
    _check_forms(path, grid, image.header)

    def load() -> NDArray[Any]:
        values = (
            _unzipped(path, type(image)) if path.suffix.lower() == ".gz" else np.asanyarray(image.dataobj)
        )
        return values.reshape(*shape[:3], channels) if channels > 1 else values.reshape(shape[:3])

    return grid, load


def _unzipped(path: Path, kind: Any) -> NDArray[Any]:
    """The values of a compressed NIfTI file, read to its end: nibabel leaves out the checksum there."""
    from nibabel.fileholders import FileHolder

    with gzip.open(path, "rb") as stream:
        values = np.asanyarray(kind.from_file_map({"image": FileHolder(fileobj=stream)}).dataobj)
        try:
            while stream.read(1 << 20):
                pass
        except gzip.BadGzipFile as error:
            if "Not a gzipped file" not in str(error):  # whole, with something behind it
                raise
    return values


@lru_cache
def _load_itk() -> Any:
    with _ITK_LOCK:
        import itk

        itk.ImageIOFactory  # noqa: B018 (loads the lazy modules)
    return itk


def _itk(path: Path) -> tuple[Grid, Any]:
    itk = _load_itk()
    if path.is_file():
        declared = _itk_declared(itk, path)
        _check_size(path, declared, item_bytes=1)
        if declared.affine is not None:
            _check_affine(path, declared)
            return declared, lambda: _itk_read(path)[0]
    values, meta = _itk_read(path)
    shape = tuple(int(n) for n in meta["spatial_shape"])
    grid = Grid(shape, np.asarray(meta["affine"], dtype=np.float64), values.size // max(math.prod(shape), 1))
    _check_affine(path, grid)
    return grid, lambda: values


def _itk_read(path: Path) -> tuple[NDArray[Any], dict[str, Any]]:
    from monai.data import ITKReader

    reader = ITKReader()
    return reader.get_data(reader.read(str(path)))


def _itk_declared(itk: Any, path: Path) -> Grid:
    """What the header states; an affine for MetaImage volumes alone, whose headers need no interpretation."""
    io = itk.ImageIOFactory.CreateImageIO(str(path), itk.CommonEnums.IOFileMode_ReadMode)
    if io is None:
        raise OSError("no reader knows this format")
    io.SetFileName(str(path))
    io.ReadImageInformation()
    axes = range(io.GetNumberOfDimensions())
    shape = tuple(int(io.GetDimensions(axis)) for axis in axes)
    spacing = np.array([io.GetSpacing(axis) for axis in axes])
    affine = None
    if path.suffix.lower() in _META_IMAGE and len(shape) == 3 and (spacing > 0).all():
        lps = np.eye(4)
        lps[:3, :3] = np.stack([io.GetDirection(axis) for axis in axes], 1) * spacing
        lps[:3, 3] = [io.GetOrigin(axis) for axis in axes]
        affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps
    return Grid(shape, affine, int(io.GetNumberOfComponents()))


def _check_size(path: Path, grid: Grid, *, item_bytes: int) -> None:
    voxels = math.prod(grid.shape) * grid.channels
    size = path.stat().st_size if path.is_file() else None
    most = MAX_VOXELS * item_bytes
    name = path.name.lower()
    if size is not None and name.endswith(".nii"):
        most = size
    elif size is not None and name.endswith(".nii.gz"):
        most = size * _DEFLATE_LIMIT
    if min(grid.shape) < 1 or voxels > MAX_VOXELS or voxels * item_bytes > most:
        raise DataError(
            f"{path}: the header declares {'x'.join(map(str, grid.shape))} voxels with {grid.channels} "
            f"channel(s), "
            f"which the file cannot hold. It is truncated or its header is broken: copy or convert it again."
        )


def _check_affine(path: Path, grid: Grid) -> None:
    assert grid.affine is not None
    used = grid.affine[:3, : len(grid.shape)]
    fix = "Write the file again with a valid affine (e.g. nibabel.Nifti1Image(data, affine))."
    if not np.isfinite(grid.affine).all():
        raise DataError(f"{path}: the affine holds non-finite values. {fix}")
    if np.linalg.svd(used, compute_uv=False)[-1] < 1e-6:
        raise DataError(f"{path}: the affine is singular, voxels have no extent along some axis. {fix}")


def _check_forms(path: Path, grid: Grid, header: Any) -> None:
    zooms = np.asarray(header.get_zooms()[: len(grid.shape)], dtype=float)
    if int(header["sform_code"]) == 0 or not (zooms > 0).all():
        return
    if not np.allclose(grid.spacing, zooms, rtol=0.01, atol=1e-4):
        raise DataError(
            f"{path}: sform says spacing {np.round(grid.spacing, 4).tolist()}, pixdim says "
            f"{np.round(zooms, 4).tolist()} mm; programs will disagree on its size. Find out which is right "
            f"and set "
            "both (nibabel: image.set_sform and image.header.set_zooms)."
        )
