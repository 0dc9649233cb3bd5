"""Look at all the data before any training starts, and say everything that is wrong with it at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_levelset.data.archives import archive_advice
from monai_levelset.data.cache_folders import item_paths
from monai_levelset.data.checkpoints import check_checkpoint
from monai_levelset.data.errors import DataError, raise_problems
from monai_levelset.data.grids import Grid, corner_distance, read_array

__all__ = ["DataError", "check_checkpoint", "check_folder", "check_items", "check_splits", "check_writable"]

_GRID_TOLERANCE = 0.05  # voxels


def check_items(
    items: Iterable[Mapping[str, Any]],
    *,
    keys: Sequence[str] = ("image", "label"),
    label_values: Iterable[int] | None = None,
    require_labels: bool = True,
    max_problems: int = 20,
    progress: bool = False,
) -> None:
    """Read every file of a data list once and refuse data that training would stumble over later.

    Refused are: an empty list; a missing folder or file; a corrupt or truncated file; a declared size that
    the file cannot hold (found from the header, before anything is allocated); a non-finite or singular
    affine; an sform that contradicts pixdim; an image with NaN or infinite values or of one constant value; a
    label on another grid than its image (shape, or corners further apart than 0.05 voxels); unexpected label
    values; no labelled case at all; only empty labels.

    Args:
        items: data-list items. A value is one path or a list of paths (one file per channel). An item without
            `label` is an unlabelled case and is fine.
        keys: the image's key and, if any, the label's key.
        label_values: the values a label may hold, e.g. `(0, 1)`, or `(0, 255)` for binary PNGs. None: any
            whole numbers from 0 on.
        require_labels: whether at least one item must carry a label with a foreground.
        max_problems: how many problems the message lists.
        progress: whether to show a progress bar.

    Raises:
        DataError: lists all problems, each with its file and what to do.

    Example:
        >>> check_items([])
        Traceback (most recent call last):
        ...
        monai_levelset.data.errors.DataError: The data list holds no case. Check the data folder and the list.
    """
    items = list(items)
    if not items:
        raise DataError("The data list holds no case. Check the data folder and the list.")
    image_key, label_key = keys[0], (keys[1] if len(keys) > 1 else None)
    allowed = None if label_values is None else frozenset(int(v) for v in label_values)
    check = partial(_check_item, image_key=image_key, label_key=label_key, allowed=allowed)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        results = list(_bar(pool.map(check, items), len(items), progress))
    problems = [problem for found, _ in results for problem in found]
    if require_labels and label_key is not None:
        problems += _label_problems(items, label_key, any(has for _, has in results), bool(problems))
    raise_problems(problems, max_problems=max_problems)


def check_splits(sections: Mapping[str, Iterable[Mapping[str, Any]]], *, by: str = "patient") -> None:
    """Refuse a patient, or an image file, that is in two sections.

    Args:
        sections: items per section, e.g. `{"training": [...], "validation": [...]}`.
        by: the key that must not be shared; an item without it counts as its own patient.

    Raises:
        DataError: names each shared patient or file and its sections.

    Example:
        >>> check_splits({"training": [{"patient": "p1"}], "test": [{"patient": "p1"}]})
        Traceback (most recent call last):
        ...
        monai_levelset.data.errors.DataError: patient p1 is in the sections training and test. ...
    """
    problems = []
    for what in (by, "image"):
        seen: dict[str, dict[str, None]] = {}
        for section, items in sections.items():
            for item in items:
                if item.get(what) is not None:
                    seen.setdefault(str(item[what]), {})[section] = None
        problems += [
            f"{what} {name} is in the sections {' and '.join(where)}. Keep it in one only."
            for name, where in seen.items()
            if len(where) > 1
        ]
    raise_problems(problems)


def check_folder(path: str | Path) -> Path:
    """Refuse a data folder that is missing or empty.

    Args:
        path: the folder.

    Returns:
        The folder.

    Raises:
        DataError: where it does not exist, is a file, or holds nothing.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: the data folder does not exist. Correct its path or put the data there.")
    if not path.is_dir():
        advice = archive_advice(path) or "this is a file. Give the folder that holds the data."
        raise DataError(f"{path}: {advice}")
    if not any(path.iterdir()):
        raise DataError(f"{path}: the data folder is empty. Correct its path or put the data there.")
    return path


def check_writable(path: str | Path) -> Path:
    """Make an output folder and prove that files can be written into it.

    Args:
        path: the output folder; created where it does not exist.

    Returns:
        The folder.

    Raises:
        DataError: where it cannot be made or written.

    Example:
        >>> import tempfile
        >>> check_writable(Path(tempfile.mkdtemp()) / "out").is_dir()
        True
    """
    path = Path(path)
    probe = path / f".write-test-{os.getpid()}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(
            f"{path}: the output folder cannot be written ({reason}). Choose another folder or change its "
            f"permissions."
        ) from error
    return path


def _bar(results: Iterator[Any], total: int, progress: bool) -> Iterable[Any]:
    if not progress:
        return results
    from tqdm import tqdm

    return tqdm(results, total=total, desc="checking data", unit="case")


def _label_problems(
    items: Sequence[Mapping[str, Any]], label_key: str, any_foreground: bool, already: bool
) -> list[str]:
    if not any(item.get(label_key) for item in items):
        return ["No case has a label. Add `label` to at least one item of the data list."]
    if not any_foreground and not already:
        return ["Every label is empty. Check that the labels belong to these images and hold the structure."]
    return []


def _check_item(
    item: Mapping[str, Any], *, image_key: str, label_key: str | None, allowed: frozenset[int] | None
) -> tuple[list[str], bool]:
    problems: list[str] = []
    foreground = False
    if not item.get(image_key):
        return [f"item {item.get('id', dict(item))}: it has no `{image_key}`. Add the image's path."], False
    reference: tuple[Path, Grid] | None = None
    labels = item_paths(item[label_key]) if label_key is not None and item.get(label_key) else []
    for path in [*item_paths(item[image_key]), *labels]:
        is_label = path in labels
        try:
            values, grid = read_array(path)
        except DataError as error:
            problems.append(str(error))
            continue
        problems += _label_values(path, values, allowed) if is_label else _image_values(path, values)
        foreground |= is_label and bool(np.any(values))
        if reference is not None:
            problems += _grid_problems(path, grid, *reference)
        reference = reference or (path, grid)
    return problems, foreground


def _grid_problems(path: Path, grid: Grid, image: Path, expected: Grid) -> list[str]:
    fix = f"Resample it onto the grid of {image}."
    if grid.shape != expected.shape:
        return [f"{path}: its size {grid.shape} differs from {expected.shape} of its image. {fix}"]
    distance = corner_distance(grid, expected)
    if distance > _GRID_TOLERANCE * min(expected.spacing):
        return [
            f"{path}: its affine differs from its image's, corners lie up to {distance:.3g} mm apart. {fix} "
            "If both show the same voxels, copy the image's affine into it."
        ]
    return []


def _image_values(path: Path, values: NDArray[Any]) -> list[str]:
    if np.issubdtype(values.dtype, np.inexact):
        finite = np.isfinite(values)
        if not finite.any():
            return [f"{path}: all its values are NaN or infinite. Convert the image again."]
        if not finite.all():
            count = int(finite.size - np.count_nonzero(finite))
            return [
                f"{path}: {count} of its values are NaN or infinite. Replace them or convert the image again."
            ]
    if values.min() == values.max():
        return [
            f"{path}: every voxel has the value {values.min()}. Remove the case or convert the image again."
        ]
    return []


def _label_values(path: Path, values: NDArray[Any], allowed: frozenset[int] | None) -> list[str]:
    found = _unique(values)
    if allowed is None:
        odd = [v for v in found if not (np.isfinite(v) and v >= 0 and v == int(v))]
        expected = "whole numbers from 0 on"
    else:
        odd = [v for v in found if v not in allowed]
        expected = f"only {sorted(allowed)}"
    if not odd:
        return []
    shown = ", ".join(f"{v:g}" for v in odd[:5]) + (", ..." if len(odd) > 5 else "")
    return [f"{path}: unexpected label values {shown}; {expected} may occur. Map the label to these values."]


def _unique(values: NDArray[Any]) -> list[float]:
    if values.dtype.kind == "b" or values.dtype == np.uint8:
        return [float(v) for v in np.flatnonzero(np.bincount(values.ravel().astype(np.uint8), minlength=256))]
    return [float(v) for v in np.unique(values)]
