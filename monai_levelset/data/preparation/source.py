"""Read a source, and look at the names in it before any file is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from monai_levelset.data.archives import ARCHIVES
from monai_levelset.data.errors import DataError
from monai_levelset.data.readers.base import Reader, SourceListing
from monai_levelset.data.readers.listing import list_files

__all__ = ["as_text", "name_problems", "read_source"]


def read_source(reader: Reader, source: Path, options: Mapping[str, str]) -> SourceListing:
    """What the reader finds; archives that are still packed are named, with or without anything missing.

    Raises:
        DataError: what the reader raises, with the archives' names.
    """
    packed = list_files(source, *ARCHIVES)
    try:
        found = reader(source, **options)
    except DataError as error:
        if not packed:
            raise
        listed = "".join(f"\n- {path}" for path in packed)
        raise DataError(
            f"{error}\nThese archives are not unpacked; unpack them where they hold what is missing:{listed}"
        ) from error
    told = "an archive, not read; unpack it unless its files are here already"
    new = [path for path in packed if not any(str(path) in line for line in found.skipped)]
    skipped = [*found.skipped, *(f"{path}: {told}" for path in new)]
    return replace(found, skipped=list(map(as_text, skipped)))


def name_problems(found: SourceListing) -> list[str]:
    """One line per case without a name of its own, in two sections, or with a path that cannot be written."""
    if not found.cases:
        return ["the source holds no case. Unpack the data set there, or correct --source."]
    paths = [path for case in found.cases for path in (*case.image, *case.label)]
    unwritable = [name for path in paths if (name := as_text(str(path))) != str(path)]
    if unwritable:
        return [
            f"{name}: a name with bytes that are no UTF-8. Rename the file or folder." for name in unwritable
        ]
    files: dict[str, list[str]] = {}
    places: dict[str, dict[str, list[str]]] = {}
    for case in found.cases:
        files.setdefault(case.id, []).append(str(case.image[0]) if case.image else "no image")
        if case.section:
            places.setdefault(case.patient, {}).setdefault(case.section, []).append(files[case.id][-1])
    problems = [
        f"{', '.join(found)}: all are case {name}. Keep one."
        for name, found in files.items()
        if len(found) > 1
    ]
    for patient, where in places.items():
        if len(where) > 1:
            listed = "; ".join(f"{name}: {', '.join(paths)}" for name, paths in where.items())
            problems.append(
                f"patient {patient} is in the sections {' and '.join(where)} ({listed}). Keep it in one only."
            )
    return problems


def as_text(name: str) -> str:
    r"""A name that can be written, even one with bytes that are no text, as old archives bring them.

    Example:
        >>> print(as_text("L\udcf6we"), as_text("Löwe"))
        L\xf6we Löwe
    """
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
