"""Folders that hold what was made of files: made once, whole, and anew when the files change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from monai_levelset.data.atomic import atomic_path
from monai_levelset.data.errors import DataError

__all__ = ["cache_folder", "describe", "item_paths"]

_INDEX = "index.json"


def item_paths(value: Any) -> list[Path]:
    """The files of a data-list entry: one path, or a list of them; none for None.

    Example:
        >>> [path.name for path in item_paths(["a/t1.nii", "a/flair.nii"])]
        ['t1.nii', 'flair.nii']
    """
    if value is None:
        return []
    return [Path(v) for v in value] if isinstance(value, (list, tuple)) else [Path(value)]


def cache_folder(
    cache_dir: Path, name: str, paths: Sequence[Path], made_how: Sequence[Any], write: Callable[[Path], Any]
) -> tuple[Path, Any]:
    """The folder of what is made of some files, and its index.

    Its name holds a hash of the files' paths, sizes and times and of `made_how`, so a changed file or another
    way of making gets another folder.

    Args:
        cache_dir: the folder of all such folders.
        name: start of the folder's name.
        paths: the files.
        made_how: what else the content depends on; JSON values.
        write: fills a new folder and returns the index, a JSON value; called only if there is no such folder.

    Returns:
        The folder, and its index.

    Raises:
        DataError: a file does not exist; and whatever `write` raises, which leaves nothing behind.
    """
    safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)[:80]
    folder = cache_dir / f"{safe}-{_key(paths, made_how)}"
    if not (folder / _INDEX).is_file():
        with atomic_path(folder) as temporary:
            temporary.mkdir()
            (temporary / _INDEX).write_text(json.dumps(write(temporary)), encoding="utf-8")
    return folder, json.loads((folder / _INDEX).read_text(encoding="utf-8"))


def _key(paths: Sequence[Path], made_how: Sequence[Any]) -> str:
    parts: list[Any] = list(made_how)
    for path in paths:
        if not path.exists():
            raise DataError(f"{path}: the file does not exist. Correct the data list or put the file there.")
        state = path.stat()
        parts.append([str(path.resolve()), state.st_size, state.st_mtime_ns])
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def describe(value: Any) -> Any:
    """A JSON value that tells one transform from another: its class and settings, without random state.

    MONAI's `pickle_hashing` differs from process to process, as it takes the state of the random generators
    in, too. Functions are told apart by their names alone.

    Example:
        >>> from monai.transforms import Compose, Flip
        >>> describe(Flip(0)) == describe(Flip(0)), describe(Flip(0)) == describe(Flip(1))
        (True, False)
        >>> describe(Compose([Flip(0)])) == describe(Compose([Flip(0), Flip(0)]))
        False
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [describe(v) for v in value]
    if isinstance(value, Mapping):
        return {str(key): describe(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, (np.ndarray, torch.Tensor)):
        return np.asarray(value).tolist()
    if hasattr(value, "__qualname__"):  # a class or a function
        return value.__qualname__
    return [type(value).__qualname__, describe(getattr(value, "__dict__", {}))]
