"""Cut volumes into 2D slices once, so that training on slices never reads a volume again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from monai_levelset.data.atomic import atomic_path
from monai_levelset.data.axes import check_axcodes, turn_axes
from monai_levelset.data.datalist import Item
from monai_levelset.data.errors import DataError
from monai_levelset.data.grids import Grid, read_array, read_grid

__all__ = ["slice_items", "through_plane_axis"]

_VERSION = 1  # part of the cache key: raise it whenever the written files change
_INDEX = "index.json"


def slice_items(
    items: Iterable[Mapping[str, Any]],
    cache_dir: str | Path,
    *,
    axis: int | Literal["through-plane"] = "through-plane",
    axcodes: str | None = None,
    keep_empty: bool = True,
    workers: int | None = None,
) -> list[Item]:
    """Cut every volume of a data list into slices and list these instead.

    Slices are uncompressed 2D NIfTI files that `LoadImaged` reads without copying a volume; their affine is a
    diagonal that holds the in-plane spacing, so that `pixdim` is right. Axes keep the volume's order. A
    folder per volume is made whole or not at all, and its name holds a hash of the files' paths, sizes and
    times: an interrupted run continues, a changed volume is cut anew. 2D inputs (PNG, JPG, 2D NIfTI) pass
    through unchanged.

    Args:
        items: data-list items with `image` (a path, or a list with one file per channel) and perhaps `label`.
        cache_dir: folder for the slices.
        axis: array axis to cut along, or `through-plane`: the axis whose spacing differs most from the
            others, the last one where all are equal.
        axcodes: where the three axes shall point, such as `PLS`: posterior, left, superior. Every volume is
            brought to these axes first, by the affine of its grid as MONAI's `Orientationd` does it (axes are
            swapped and flipped, nothing is resampled), and is then cut along the third of them. Use it where
            a network has learnt how a body lies. None: axes stay as they are in the file. 2D inputs are not
            turned.
        keep_empty: whether to list slices whose label is empty. Slices of unlabelled volumes are always
            listed: choosing among them would need their labels.
        workers: threads; None: as many as there are processors, at most 8.

    Returns:
        One item per slice in order: `image`, `label` (absent where the volume has none), `labeled`,
        `patient`, `id` (the volume's with `-s012`), `slice` (index along the axis, after `axcodes`),
        `spacing` (in-plane, mm), and the other entries of the volume's item.

    Raises:
        DataError: where a file is missing or corrupt, or image and label differ in shape.
        ValueError: where `axis` is neither `through-plane` nor 0, 1 or 2, where `axcodes` does not name three
            different axes, or where both are given.

    Example:
        >>> import tempfile, nibabel
        >>> folder = Path(tempfile.mkdtemp())
        >>> volume = nibabel.Nifti1Image(np.zeros((4, 5, 3), np.float32), np.diag([1.0, 1.0, 8.0, 1.0]))
        >>> nibabel.save(volume, folder / "a.nii.gz")
        >>> slices = slice_items([{"image": str(folder / "a.nii.gz"), "id": "a"}], folder / "cache")
        >>> [(s["id"], s["spacing"]) for s in slices]
        [('a-s000', [1.0, 1.0]), ('a-s001', [1.0, 1.0]), ('a-s002', [1.0, 1.0])]
    """
    if axis not in ("through-plane", 0, 1, 2):
        raise ValueError(f"axis must be 'through-plane', 0, 1 or 2, not {axis!r}")
    if axcodes is not None:
        check_axcodes(axcodes)
        if axis not in ("through-plane", 2):
            raise ValueError(
                f"axis={axis!r} and axcodes={axcodes!r}: axcodes are cut along the third. Drop axis."
            )
    folder = Path(cache_dir).absolute()
    cut = partial(_cut_item, cache_dir=folder, axis=axis, axcodes=axcodes, keep_empty=keep_empty)
    with ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1)) as pool:
        return [item for cut_items in pool.map(cut, items) for item in cut_items]


def through_plane_axis(grid: Grid) -> int:
    """The axis a volume was acquired along: the one whose spacing differs most from the other two.

    Args:
        grid: grid of a volume.

    Returns:
        The array axis; one of a single voxel if there is just one such; the last where all spacings are
        equal.

    Example:
        >>> through_plane_axis(Grid((20, 256, 256), np.diag([8.0, 1.4, 1.4, 1.0])))
        0
        >>> through_plane_axis(Grid((256, 256, 200), np.diag([1.0, 1.0, 0.8, 1.0])))
        2
    """
    single = [axis for axis, size in enumerate(grid.shape) if size == 1]
    if len(single) == 1:
        return single[0]
    logs = np.log(np.asarray(grid.spacing))
    oddness = np.abs(logs - np.median(logs))
    return int(max(range(3), key=lambda axis: (round(float(oddness[axis]), 3), axis)))


def _cut_item(
    item: Mapping[str, Any],
    *,
    cache_dir: Path,
    axis: int | Literal["through-plane"],
    axcodes: str | None,
    keep_empty: bool,
) -> list[Item]:
    images = _paths(item["image"])
    label = Path(item["label"]) if item.get("label") else None
    grid = read_grid(images[0])
    if len(grid.shape) == 2:
        return [dict(item)]
    cut_axis = 2 if axcodes else through_plane_axis(grid) if axis == "through-plane" else int(axis)
    name = str(item.get("id") or images[0].name.split(".")[0])
    folder = cache_dir / f"{_safe(name)}-{_key(images, label, cut_axis, axcodes)}"
    if not (folder / _INDEX).is_file():
        _write_slices(folder, images, label, cut_axis, axcodes)
    index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
    kept = [entry for entry in index if keep_empty or label is None or not entry["empty"]]
    return [_slice_item(item, name, folder, entry, label is not None) for entry in kept]


def _slice_item(
    item: Mapping[str, Any], name: str, folder: Path, entry: Mapping[str, Any], labeled: bool
) -> Item:
    files = [str(folder / file) for file in entry["image"]]
    rest = {key: value for key, value in item.items() if key not in ("image", "label")}
    return {
        **rest,
        "image": files[0] if len(files) == 1 else files,
        **({"label": str(folder / entry["label"])} if labeled else {}),
        "labeled": int(labeled),
        "patient": item.get("patient", name),
        "id": f"{name}-s{entry['slice']:03d}",
        "slice": entry["slice"],
        "spacing": entry["spacing"],
    }


def _write_slices(
    folder: Path, images: Sequence[Path], label: Path | None, axis: int, axcodes: str | None = None
) -> None:
    volumes = [_moved(path, axis, axcodes) for path in images]
    mask = _moved(label, axis, axcodes) if label is not None else None
    shape = volumes[0][0].shape[:3]
    for path, (values, _) in zip(
        [*images, *([label] if label else [])], [*volumes, *([mask] if mask else [])], strict=True
    ):
        if values.shape[:3] != shape:
            raise DataError(f"{path}: its size differs from that of {images[0]}. Resample it onto that grid.")
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        index = [_write_slice(temporary, k, volumes, mask) for k in range(shape[0])]
        (temporary / _INDEX).write_text(json.dumps(index), encoding="utf-8")


def _write_slice(
    folder: Path, k: int, volumes: Sequence[tuple[NDArray[Any], Grid]], mask: Any
) -> dict[str, Any]:
    spacing, thickness = volumes[0][1].spacing[:2], volumes[0][1].spacing[2]
    channels = [plane for values, _ in volumes for plane in _channels(values[k])]
    names = [
        f"image_{k:03d}.nii" if len(channels) == 1 else f"image_{k:03d}_{c}.nii" for c in range(len(channels))
    ]
    for name, plane in zip(names, channels, strict=True):
        _save(folder / name, plane, spacing, thickness)
    entry: dict[str, Any] = {"slice": k, "image": names, "spacing": list(spacing), "empty": False}
    if mask is not None:
        entry.update(label=f"label_{k:03d}.nii", empty=not bool(np.any(mask[0][k])))
        _save(folder / entry["label"], mask[0][k], spacing, thickness)
    return entry


def _moved(path: Path, axis: int, axcodes: str | None) -> tuple[NDArray[Any], Grid]:
    """Values with the cut axis first; grid with the cut axis last."""
    values, grid = read_array(path)
    if len(grid.shape) != 3:
        raise DataError(f"{path}: it is 2D while its image is a volume. Give the label of the whole volume.")
    if axcodes is not None:
        values, grid = turn_axes(values, grid, axcodes)
    order = [a for a in range(3) if a != axis]
    spacing = [grid.spacing[a] for a in (*order, axis)]
    shape = tuple(grid.shape[a] for a in (*order, axis))
    return np.moveaxis(values, axis, 0), Grid(shape, np.diag([*spacing, 1.0]), grid.channels)


def _channels(plane: NDArray[Any]) -> list[NDArray[Any]]:
    return [plane] if plane.ndim == 2 else [plane[..., c] for c in range(plane.shape[-1])]


def _save(path: Path, plane: NDArray[Any], spacing: Sequence[float], thickness: float) -> None:
    import nibabel as nib

    values = np.ascontiguousarray(plane)
    if values.dtype.kind == "b":
        values = values.astype(np.uint8)
    elif values.dtype.itemsize == 8:
        values = values.astype(np.float32 if values.dtype.kind == "f" else np.int32)
    image = nib.Nifti1Image(values, np.diag([*spacing, thickness, 1.0]))
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


def _key(images: Sequence[Path], label: Path | None, axis: int, axcodes: str | None) -> str:
    parts: list[Any] = [_VERSION, axis, *([axcodes] if axcodes else [])]
    for path in [*images, *([label] if label else [])]:
        if not path.exists():
            raise DataError(f"{path}: the file does not exist. Correct the data list or put the file there.")
        state = path.stat()
        parts.append([str(path.resolve()), state.st_size, state.st_mtime_ns])
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _paths(value: Any) -> list[Path]:
    return [Path(v) for v in value] if isinstance(value, (list, tuple)) else [Path(value)]


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name)[:80]
