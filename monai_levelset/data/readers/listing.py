"""Find files and folders of a source, without what archives and file managers leave behind."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from monai_levelset.data.checks import check_folder

__all__ = ["JUNK", "find_folders", "is_junk", "list_files", "visible_files"]

JUNK = frozenset({".DS_Store", "__MACOSX", "Thumbs.db", "desktop.ini"})
"""Names that are no data."""


def is_junk(name: str) -> bool:
    """Whether a file or folder of this name is no data: hidden, or left by an archive or a file manager.

    Example:
        >>> [name for name in ("._a.png", "a.png", "__MACOSX", "Thumbs.db") if not is_junk(name)]
        ['a.png']
    """
    return name.startswith(".") or name in JUNK


def list_files(folder: Path, *suffixes: str) -> list[Path]:
    """All files below a folder, at any depth, in a stable order.

    Linked folders are followed, each once.

    Args:
        folder: where to look; one that does not exist holds no file.
        suffixes: how names end, in lower case, e.g. `.nii.gz`; none: every file.

    Returns:
        Their paths, sorted by folder and name.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ("b.PNG", "a.png", "._a.png", "a.txt"):
        ...     (folder / name).touch()
        >>> [file.name for file in list_files(folder, ".png")]
        ['a.png', 'b.PNG']
    """
    found = []
    seen: set[str] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        folders[:] = [] if real in seen else [name for name in folders if not is_junk(name)]
        if real not in seen:
            wanted = (name for name in files if not suffixes or name.lower().endswith(suffixes))
            found += [Path(parent, name) for name in wanted if not is_junk(name)]
        seen.add(real)
    return sorted(found)


def visible_files(source: Path) -> list[Path]:
    """All files of a source, at any depth, without what archives and file managers leave behind.

    Raises:
        DataError: where `source` is missing, a file, or empty.
    """
    return list_files(check_folder(source))


def find_folders(source: Path, matches: Callable[[Path], bool], *, depth: int = 2) -> list[Path]:
    """The folders that hold a layout, in the source or a few folders deeper, as archives unpack.

    Args:
        source: the folder that the user gave.
        matches: tells whether a folder holds the layout; folders below one that does are not looked at.
        depth: how many folders deeper to look.

    Returns:
        The folders, nearest first.

    Raises:
        DataError: the source does not exist, is a file, or is empty.

    Example:
        >>> import tempfile
        >>> source = Path(tempfile.mkdtemp())
        >>> (source / "archive" / "images").mkdir(parents=True)
        >>> [f.name for f in find_folders(source, lambda folder: (folder / "images").is_dir())]
        ['archive']
    """
    return list(_levels([check_folder(source)], matches, depth))


def _levels(folders: list[Path], matches: Callable[[Path], bool], depth: int) -> Iterator[Path]:
    hits = [folder for folder in folders if matches(folder)]
    yield from hits
    if depth > 0:
        below = [child for folder in folders if folder not in hits for child in _subfolders(folder)]
        yield from _levels(below, matches, depth - 1) if below else ()


def _subfolders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not is_junk(child.name))
