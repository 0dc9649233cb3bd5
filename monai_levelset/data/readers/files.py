"""Names of files as keys of cases, and the options of readers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from monai_levelset.data.errors import DataError

__all__ = ["by_key", "check_options", "plain_name", "strip_suffix"]


def strip_suffix(path: Path) -> str:
    """A file's name without its type.

    Example:
        >>> strip_suffix(Path("volume-0.nii.gz")), strip_suffix(Path("Case00.mhd"))
        ('volume-0', 'Case00')
    """
    name = path.name[:-3] if path.name.lower().endswith(".gz") else path.name
    return Path(name).stem


def plain_name(text: str) -> str:
    """A name that every file system takes: letters, digits, `_`, `.` and `-`.

    Example:
        >>> plain_name("Löwe 1/abdomen")
        'Löwe_1_abdomen'
    """
    return re.sub(r"[^\w.-]+", "_", text).strip("_.") or "case"


def by_key(found: Iterable[tuple[str, Path]], problems: list[str]) -> dict[str, Path]:
    """Make a table of files by key, and note keys that two files claim.

    Args:
        found: keys and files.
        problems: one line per further file of a key is appended.

    Returns:
        The first file of each key, in the order found.

    Example:
        >>> problems = []
        >>> by_key([("1", Path("a/1.nii")), ("1", Path("b/1.nii"))], problems) == {"1": Path("a/1.nii")}
        True
        >>> print(problems[0])
        b/1.nii: the same case as a/1.nii. Keep one of the two.
    """
    table: dict[str, Path] = {}
    for key, path in found:
        if table.setdefault(key, path) != path:
            problems.append(f"{path}: the same case as {table[key]}. Keep one of the two.")
    return table


def check_options(dataset: str, options: Mapping[str, str], known: Sequence[str] = ()) -> None:
    """Refuse an option that a reader does not have.

    Example:
        >>> check_options("lits", {"contour": "epicardium"})
        Traceback (most recent call last):
        ...
        monai_levelset.data.errors.DataError: lits has no option contour. It takes none.
    """
    unknown = sorted(set(options) - set(known))
    if unknown:
        taken = f"only {', '.join(known)}" if known else "none"
        raise DataError(f"{dataset} has no option {', '.join(unknown)}. It takes {taken}.")
