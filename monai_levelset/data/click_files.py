"""Clicks of many images in one JSON file, and data lists with them."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from monai_levelset.data.atomic import atomic_path
from monai_levelset.data.datalist import Item
from monai_levelset.data.dicom_folders import series_name
from monai_levelset.data.errors import DataError, raise_problems
from monai_levelset.data.grids import read_grid

__all__ = ["Clicks", "check_clicks", "click_items", "image_name", "write_clicks"]

Clicks: TypeAlias = list[list[float]] | dict[str, list[list[float]]]
"""Positions of the clicks in an image, or of each structure in it and of the `background`."""

_BACKGROUND = "background"


def click_items(
    images: Iterable[str | Path],
    clicks: str | Path | None,
    *,
    root: str | Path | None = None,
    structures: Iterable[str] | None = None,
    absent: Collection[str] = (),
) -> list[Item]:
    """Data-list items of images with their clicks, from a file of all clicks.

    The file is JSON. For each image's name without ending it holds a list of positions, `[[x, y], ...]` in a
    picture or slice and `[[x, y, z], ...]` in a volume, or such a list for each structure,
    `{"disc": [...], "cup": [...]}`. Beside the structures, `background` holds clicks outside all of them.
    Positions are voxels of the file, or mm where the bundle is told so (`space`). Images that are not named
    have no clicks.

    Args:
        images: paths of image files or folders of DICOM slices.
        clicks: the file; None: no clicks.
        root: folder of all images; a DICOM folder is named by its path below it, see `image_name`.
        structures: those that can be clicked, beside the background; None: any.
        absent: names that may be clicked without being among the images, such as those of broken files.

    Returns:
        Items with `image` (the path), `foreground` (the clicks) and, where there are such, `background`
        (those outside), which `ClickPointsd` reads.

    Raises:
        DataError: the file is missing or no such JSON, names an image or a structure that is not there, holds
            positions of another number of axes, or no click at all; two images have one name.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> folder = Path(tempfile.mkdtemp())
        >>> Image.new("L", (64, 48)).save(folder / "a.png")
        >>> write_clicks({"a": [[12, 20], [40, 22], [25, 8], [26, 33]]}, folder / "clicks.json")
        >>> click_items([folder / "a.png"], folder / "clicks.json")[0]["foreground"]
        [[12, 20], [40, 22], [25, 8], [26, 33]]
    """
    named = _named([Path(path) for path in images], root)
    given = {} if clicks is None else _read(Path(clicks))
    given = {name: value for name, value in given.items() if name not in absent}
    raise_problems(_problems(named, given, str(clicks), structures))
    items: list[Item] = [{"image": str(path), **_parts(given.get(name) or [])} for name, path in named]
    if clicks is not None:
        check_clicks(items, name=str(clicks))
    return items


def check_clicks(items: Iterable[Mapping[str, Any]], *, name: str = "clicks") -> None:
    """Refuse images of which none has a click: every result would be empty.

    Args:
        items: as `click_items` gives them.
        name: what the message names: the file with the clicks, or the setting that names it.

    Raises:
        DataError: no item has a click.

    Example:
        >>> check_clicks([{"image": "a.png", "foreground": [[3, 4]]}])
        >>> check_clicks([{"image": "a.png", "foreground": []}])
        Traceback (most recent call last):
        ...
        monai_levelset.data.errors.DataError: clicks: no image has a click, and only what was clicked ...
    """
    if not any(_lists(item["foreground"]) for item in items):
        raise DataError(
            f"{name}: no image has a click, and only what was clicked is segmented. Give a JSON file with "
            'the four extreme points of each object: {"image name": [[x, y], ...]}, or [x, y, z] in a volume.'
        )


def image_name(path: str | Path, root: str | Path | None = None) -> str:
    """Name of an image without its ending; of a DICOM folder, its path below the root, with `_` for `/`.

    Example:
        >>> image_name("scans/a.b.nii.gz"), image_name("scans/a.PNG")
        ('a.b', 'a')
    """
    path = Path(path)
    if path.is_dir():
        return series_name(path, root)
    return path.name[:-7] if path.name.lower().endswith(".nii.gz") else path.stem


def write_clicks(clicks: Mapping[str, Clicks], path: str | Path) -> None:
    """Write clicks as `click_items` reads them, a line per image, whole or not at all.

    Args:
        clicks: name -> positions, or structure -> positions.
        path: the JSON file.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "clicks.json"
        >>> write_clicks({"a": {"cup": [[3, 4]]}}, file)
        >>> json.loads(file.read_text())
        {'a': {'cup': [[3, 4]]}}
    """
    lines = [f"  {json.dumps(name)}: {json.dumps(value, allow_nan=False)}" for name, value in clicks.items()]
    with atomic_path(path) as temporary:
        temporary.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _parts(value: Any) -> dict[str, Any]:
    """The clicks on structures and those outside all of them."""
    if not isinstance(value, Mapping):
        return {"foreground": value}
    structures = {name: clicks for name, clicks in value.items() if name != _BACKGROUND}
    outside = {_BACKGROUND: value[_BACKGROUND]} if value.get(_BACKGROUND) else {}
    return {"foreground": structures, **outside}


def _named(images: Sequence[Path], root: str | Path | None) -> list[tuple[str, Path]]:
    named = [(image_name(path, root), path) for path in images]
    first: dict[str, Path] = {}
    for name, path in named:
        if first.setdefault(name, path) is not path:
            raise DataError(f"{path}: {first[name]} is called {name!r}, too. Rename one, or leave it out.")
    return named


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DataError(f"{path}: the file with the clicks does not exist. Correct its path.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: this is no JSON ({error}). Correct it or write it again.") from error
    if not isinstance(content, dict):
        raise DataError(f'{path}: it must hold {{"image name": [[x, y], ...]}}, but is no such mapping.')
    return content


def _problems(
    named: Sequence[tuple[str, Path]], given: Mapping[str, Any], file: str, structures: Iterable[str] | None
) -> list[str]:
    paths, known = dict(named), None if structures is None else list(structures)
    problems = []
    for name, value in given.items():
        if name not in paths:
            shown = ", ".join(list(paths)[:3]) + (", ..." if len(paths) > 3 else "")
            problems.append(f"{file}: there is no image {name!r}; there are {shown or 'none'}. Rename it.")
        elif not isinstance(value, list | dict):
            problems.append(f"{file}: {name!r} has no list of clicks. Write [[x, y], ...], or [x, y, z].")
        elif _lists(value):
            problems += _odd_structures(file, name, value, known)
            problems += _odd_clicks(file, name, value, len(read_grid(paths[name]).shape))
    return problems


def _odd_structures(file: str, name: str, value: Any, known: Sequence[str] | None) -> list[str]:
    if known is None or not isinstance(value, dict):
        return []
    unknown = [structure for structure in value if structure not in (*known, _BACKGROUND)]
    told = f"structures are {', '.join(known)}. What lies outside is {_BACKGROUND!r}."
    return [f"{file}: {name!r} has clicks of {s!r}; {told}" for s in unknown]


def _odd_clicks(file: str, name: str, value: Any, axes: int) -> list[str]:
    allowed = (3,) if axes == 3 else (2, 3)  # a slice has a place in space, too
    wanted = "three numbers, [x, y, z], in this volume" if axes == 3 else "two numbers, [x, y], in this image"
    odd = [click for clicks in _lists(value) for click in _points(clicks) if not _is_point(click, allowed)]
    return [f"{file}: {name!r} has the click {odd[0]}, but a click is {wanted}."] if odd else []


def _lists(value: Any) -> list[Any]:
    """What is clicked, structure by structure, without those that are not."""
    return [clicks for clicks in (value.values() if isinstance(value, Mapping) else [value]) if clicks]


def _points(clicks: Any) -> Sequence[Any]:
    return clicks if isinstance(clicks, list) else [clicks]


def _is_point(click: Any, allowed: Sequence[int]) -> bool:
    if not isinstance(click, list) or len(click) not in allowed:
        return False
    numbers = [n for n in click if isinstance(n, int | float) and not isinstance(n, bool)]
    return len(numbers) == len(click) and all(math.isfinite(n) for n in numbers)
