"""`splits.json`: which patients a repackaged data set puts into which section."""

from __future__ import annotations

import json
from pathlib import Path

from monai_levelset.data.errors import DataError, raise_problems

__all__ = ["SECTION_NAMES", "read_splits"]

SECTION_NAMES = {"train": "training", "val": "validation", "test": "test"}
"""What the sections are called in such files and folders, and in a data list."""


def read_splits(folder: Path) -> dict[str, str]:
    """Section of every patient, from `{"train": [...], "val": [...], "test": [...]}`.

    Args:
        folder: where `splits.json` may lie.

    Returns:
        `training`, `validation` or `test` per name; empty where there is no such file.

    Raises:
        DataError: the file is broken or has other keys, or a name is in two lists.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "splits.json").write_text('{"train": ["p1", "p2"], "val": ["p3"]}')
        >>> read_splits(folder)
        {'p1': 'training', 'p2': 'training', 'p3': 'validation'}
    """
    file = folder / "splits.json"
    if not file.is_file():
        return {}
    lists = _lists(file)
    section_of: dict[str, str] = {}
    problems = []
    for key, names in lists.items():
        for name in names:
            if section_of.setdefault(name, SECTION_NAMES[key]) != SECTION_NAMES[key]:
                problems.append(f"{file}: {name} is in {key} and in {section_of[name]}. Keep it in one.")
    raise_problems(problems)
    return section_of


def _lists(file: Path) -> dict[str, list[str]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{file}: it cannot be read ({error}). Correct it, or remove it to draw sections."
        ) from error
    if not isinstance(content, dict) or not all(
        key in SECTION_NAMES and isinstance(names, list) for key, names in content.items()
    ):
        raise DataError(f"{file}: it must hold lists of names under train, val and test, and nothing else.")
    return {key: [str(name) for name in names] for key, names in content.items()}
