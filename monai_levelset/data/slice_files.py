"""The folders of slices that `slice_items` keeps: one per image, one per label file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_levelset.data.axes import turn_axes
from monai_levelset.data.cache_folders import cache_folder
from monai_levelset.data.errors import DataError
from monai_levelset.data.grids import Grid, read_array

__all__ = ["Cut", "image_slices", "label_slices"]

_VERSION = 1  # part of the keys: raise it whenever folders written before can no longer be used


@dataclass(frozen=True)
class Cut:
    """How volumes are cut.

    Attributes:
        axis: array axis to cut along; without meaning where there are `axcodes`.
        axcodes: axes that a volume is brought to, to be cut along the third; None: the file's own axes.
    """

    axis: int
    axcodes: str | None = None

    def order(self, values: NDArray[Any], grid: Grid) -> tuple[NDArray[Any], Grid]:
        """Values with the cut axis first; grid with the cut axis last."""
        axis = self.axis
        if self.axcodes is not None:
            axis = 2
            values, grid = turn_axes(values, grid, self.axcodes)
        order = [*(a for a in range(3) if a != axis), axis]
        shape = tuple(grid.shape[a] for a in order)
        spacing = [grid.spacing[a] for a in order]
        return np.moveaxis(values, axis, 0), Grid(shape, np.diag([*spacing, 1.0]), grid.channels)

    def shape(self, grid: Grid) -> tuple[int, ...]:
        """Size of a volume of this grid, the cut axis last.

        Example:
            >>> Cut(0).shape(Grid((20, 256, 250)))
            (256, 250, 20)
        """
        return self.order(np.broadcast_to(np.uint8(0), grid.shape), grid)[1].shape

    @property
    def key(self) -> list[Any]:
        """What a cache key has to hold of it."""
        return [self.axis] if self.axcodes is None else [2, self.axcodes]


def image_slices(
    cache_dir: Path, name: str, paths: Sequence[Path], cut: Cut
) -> list[tuple[list[str], list[float]]]:
    """Cut the files of one image, unless it was done before.

    Returns:
        For each slice its files, one per channel, and its spacing in mm.

    Raises:
        DataError: where a file is missing or corrupt, or the files differ in size.
    """

    def write(folder: Path) -> Any:
        volumes = [_read(path, cut) for path in paths]
        shape = volumes[0][1].shape
        for path, (_, grid) in zip(paths, volumes, strict=True):
            if grid.shape != shape:
                raise DataError(
                    f"{path}: its size differs from that of {paths[0]}. Resample it onto that grid."
                )
        return [_write_image(folder, k, volumes) for k in range(shape[2])]

    folder, index = cache_folder(cache_dir, name, paths, [_VERSION, *cut.key], write)
    return [([str(folder / file) for file in entry["image"]], entry["spacing"]) for entry in index]


def label_slices(
    cache_dir: Path, name: str, path: Path, cut: Cut
) -> tuple[tuple[int, ...], list[tuple[str, bool]]]:
    """Cut one label, unless it was done before. Its image is not read.

    Returns:
        The label's size, the cut axis last; for each slice its file, and whether it is empty.

    Raises:
        DataError: where the file is missing or corrupt, or 2D.
    """

    def write(folder: Path) -> Any:
        values, grid = _read(path, cut)
        entries = [{"label": f"label_{k:03d}.nii", "empty": not np.any(v)} for k, v in enumerate(values)]
        for entry, plane in zip(entries, values, strict=True):
            _save(folder / str(entry["label"]), plane, grid.spacing)
        return {"shape": grid.shape, "slices": entries}

    folder, index = cache_folder(cache_dir, f"{name}-label", [path], [_VERSION, *cut.key], write)
    return tuple(index["shape"]), [(str(folder / e["label"]), e["empty"]) for e in index["slices"]]


def _read(path: Path, cut: Cut) -> tuple[NDArray[Any], Grid]:
    values, grid = read_array(path)
    if len(grid.shape) != 3:
        raise DataError(f"{path}: it is 2D while its image is a volume. Give the file of the whole volume.")
    return cut.order(values, grid)


def _write_image(folder: Path, k: int, volumes: Sequence[tuple[NDArray[Any], Grid]]) -> dict[str, Any]:
    spacing = volumes[0][1].spacing
    channels = [plane for values, _ in volumes for plane in _channels(values[k])]
    ends = [""] if len(channels) == 1 else [f"_{c}" for c in range(len(channels))]
    names = [f"image_{k:03d}{end}.nii" for end in ends]
    for name, plane in zip(names, channels, strict=True):
        _save(folder / name, plane, spacing)
    return {"slice": k, "image": names, "spacing": list(spacing[:2])}


def _channels(plane: NDArray[Any]) -> list[NDArray[Any]]:
    return [plane] if plane.ndim == 2 else [plane[..., c] for c in range(plane.shape[-1])]


def _save(path: Path, plane: NDArray[Any], spacing: Sequence[float]) -> None:
    import nibabel as nib

    values = np.ascontiguousarray(plane)
    if values.dtype.kind == "b":
        values = values.astype(np.uint8)
    elif values.dtype.itemsize == 8:
        values = values.astype(np.float32 if values.dtype.kind == "f" else np.int32)
    image = nib.Nifti1Image(values, np.diag([*spacing, 1.0]))
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
