"""Cut volumes into 2D slices once, so that training on slices never reads a volume again."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from monai_levelset.data.axes import check_axcodes
from monai_levelset.data.cache_folders import item_paths
from monai_levelset.data.datalist import Item
from monai_levelset.data.errors import DataError
from monai_levelset.data.grids import Grid, read_grid
from monai_levelset.data.slice_files import Cut, image_slices, label_slices

__all__ = ["slice_items", "through_plane_axis"]


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
    folder per image and one per label are made whole or not at all, and their names hold a hash of the files'
    paths, sizes and times: an interrupted run continues, a changed volume is cut anew, and a case that gains
    or loses its label keeps the slices of its image. 2D inputs (PNG, JPG, 2D NIfTI) pass through unchanged.

    Args:
        items: data-list items with `image` (a path, or a list with one file per channel) and perhaps `label`
            (a path, or a list with one file per annotator, which stays a list).
        cache_dir: folder for the slices.
        axis: array axis to cut along, or `through-plane`: the axis whose spacing differs most from the
            others, the last one where all are equal.
        axcodes: where the three axes shall point, such as `PLS`: posterior, left, superior. Every volume is
            brought to these axes first, by the affine of its grid as MONAI's `Orientationd` does it (axes are
            swapped and flipped, nothing is resampled), and is then cut along the third of them. Use it where
            a network has learnt how a body lies. None: axes stay as they are in the file. 2D inputs are not
            turned.
        keep_empty: whether to list slices whose labels are all empty. Slices of unlabelled volumes are always
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
    images, labels = item_paths(item["image"]), item_paths(item.get("label"))
    grid = read_grid(images[0])
    if len(grid.shape) == 2:
        return [dict(item)]
    cut = Cut(through_plane_axis(grid) if axis == "through-plane" else int(axis), axcodes)
    name = str(item.get("id") or images[0].name.split(".")[0])
    slices = image_slices(cache_dir, name, images, cut)
    annotations = [label_slices(cache_dir, name, path, cut) for path in labels]
    for path, (shape, _) in zip(labels, annotations, strict=True):
        if shape != cut.shape(grid):
            raise DataError(f"{path}: its size differs from that of {images[0]}. Resample it onto that grid.")
    listed = []
    for k, (files, spacing) in enumerate(slices):
        of_slice = [entries[k] for _, entries in annotations]
        if keep_empty or not labels or not all(empty for _, empty in of_slice):
            described = {"patient": item.get("patient", name), "id": f"{name}-s{k:03d}", "slice": k}
            label = [file for file, _ in of_slice]
            listed.append({**_files(item, files, label), **described, "spacing": spacing})
    return listed


def _files(item: Mapping[str, Any], images: list[str], labels: list[str]) -> Item:
    """The item with the files of one slice; several annotators stay a list, as the volume's are."""
    rest = {key: value for key, value in item.items() if key not in ("image", "label")}
    image: Item = {"image": images[0] if len(images) == 1 else images}
    if labels:
        image["label"] = labels[0] if isinstance(item["label"], (str, os.PathLike)) else labels
    return {**rest, **image, "labeled": int(bool(labels))}
