"""Data lists: JSON files that say which image belongs to which label, patient and section.

The format is that of the Medical Segmentation Decathlon, as MONAI reads it, with `id` and `patient` added.
Paths are relative to the file's folder. **An unlabelled case is an item without `label`.**
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_levelset.data.atomic import atomic_path
from monai_levelset.data.checks import check_splits
from monai_levelset.data.errors import DataError, raise_problems

__all__ = [
    "FILE_KEYS",
    "SECTIONS",
    "Item",
    "load_datalist",
    "split_labeled",
    "split_patients",
    "write_datalist",
]

Item = dict[str, Any]
SECTIONS = ("training", "validation", "test")
FILE_KEYS = ("image", "label")
_UNLABELED_SECTIONS = ("test",)


def load_datalist(
    path: str | Path, section: str = "training", *, require_labels: bool | None = None
) -> list[Item]:
    """Read one section of a data list.

    The whole file is checked, not only the section: no patient and no image may be in two sections.

    Args:
        path: the JSON file.
        section: usually `training`, `validation` or `test`.
        require_labels: whether the section must hold at least one labelled case; None: yes, except in `test`.

    Returns:
        The items, in the file's order, with absolute paths; `id` (the file's stem where absent) and `patient`
        (the id where absent) filled in; `labeled` is 1 where the item has a label, else 0.

    Raises:
        DataError: where the file is missing or no valid JSON (with the line), the section missing or empty,
            an item without image, a file missing, an image or id listed twice, a patient in two sections, or
            no case labelled.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "a.png").touch()
        >>> file = write_datalist(folder / "datalist.json", {"training": [{"image": folder / "a.png"}]})
        >>> items = load_datalist(file, require_labels=False)
        >>> items[0]["id"], items[0]["patient"], items[0]["labeled"]
        ('a', 'a', 0)
    """
    path = Path(path)
    content = _read_json(path)
    known = {
        name: [_normalised(item, path.parent) for item in items]
        for name, items in content.items()
        if isinstance(items, list) and (name in SECTIONS or name == section)
    }
    if section not in known:
        raise DataError(
            f"{path}: no section {section!r}. It has {sorted(known) or 'none'}; add it or name another."
        )
    items = known[section]
    if not items:
        raise DataError(f"{path}: the section {section!r} is empty. Add cases to it or name another section.")
    raise_problems([f"{path}: {problem}" for problem in _item_problems(items)])
    _check_sections(path, known)
    required = section not in _UNLABELED_SECTIONS if require_labels is None else require_labels
    if required and not any(item["labeled"] for item in items):
        raise DataError(
            f"{path}: no case of the section {section!r} has a label. Add `label` to at least one item."
        )
    return items


def write_datalist(
    path: str | Path,
    sections: Mapping[str, Iterable[Mapping[str, Any]]],
    *,
    name: str = "",
    description: str = "",
    modality: str = "",
    labels: Mapping[str, str] | None = None,
) -> Path:
    """Write a data list atomically.

    Args:
        path: the JSON file to write.
        sections: items per section. Files inside the JSON's folder are written relative to it, so that the
            folder can be moved; others by their absolute path. A relative path is taken as relative to the
            JSON's folder already. `labeled` is left out: it follows from `label`.
        name: the data set's name.
        description: one sentence about it, with source and licence.
        modality: e.g. `MRI` or `CT`.
        labels: meaning of each label value, e.g. `{"0": "background", "1": "liver"}`.

    Returns:
        `path`.

    Raises:
        DataError: where a patient or an image is in two sections.
    """
    path = Path(path)
    listed = {
        section: [_portable(item, path.parent) for item in items] for section, items in sections.items()
    }
    check_splits(listed)
    head = {"name": name, "description": description, "modality": modality, "labels": dict(labels or {})}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps({**head, **listed}, indent=1) + "\n", encoding="utf-8")
    return path


def split_labeled(
    items: Iterable[Mapping[str, Any]], fraction: float, seed: int, by: str = "patient"
) -> list[Item]:
    """Keep the labels of a fraction of the patients and take those of all others away.

    The patients are drawn in an order that depends on their names and the seed alone: with the same seed the
    labelled patients of a smaller fraction are among those of a larger, and more cases do not reshuffle the
    rest.

    Args:
        items: data-list items.
        fraction: how many of the patients that have labels keep them, in (0, 1]; rounded to whole patients
            (halves up), at least one.
        seed: which draw.
        by: the key that is drawn by; all items with one value are labelled or none.

    Returns:
        Copies of all items in their order, `labeled` set to 1 or 0; unlabelled ones have no `label`.

    Raises:
        DataError: where no item has a label, or one lacks `by`.
        ValueError: where `fraction` is not in (0, 1].

    Example:
        >>> items = [{"image": f"{p}.png", "label": f"{p}_l.png", "patient": p} for p in "abcd"]
        >>> [item["labeled"] for item in split_labeled(items, 0.5, seed=0)].count(1)
        2
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction must be in (0, 1], not {fraction}")
    items = list(items)
    groups = _in_drawn_order([item for item in items if item.get("label")], by, seed)
    if not groups:
        raise DataError("No case has a label, so none can be kept. Add `label` to at least one item.")
    kept = set(groups[: max(1, math.floor(fraction * len(groups) + 0.5))])
    return [_labeled(item) if item.get(by) in kept else _unlabeled(item) for item in items]


def split_patients(
    items: Iterable[Mapping[str, Any]], fractions: Mapping[str, float], seed: int, by: str = "patient"
) -> dict[str, list[Item]]:
    """Divide items into sections so that no patient is in two.

    Args:
        items: data-list items.
        fractions: share of the patients per section, summing to 1, e.g. `{"training": 0.8, "validation":
            0.2}`.
        seed: which draw.
        by: the key that must stay together.

    Returns:
        Copies of the items per section, in their order.

    Raises:
        DataError: where there are fewer patients than sections, or an item lacks `by`.
        ValueError: where the fractions are not positive or do not sum to 1.

    Example:
        >>> items = [{"image": f"{p}{k}.png", "patient": p} for p in "abcde" for k in range(2)]
        >>> parts = split_patients(items, {"training": 0.6, "validation": 0.2, "test": 0.2}, seed=0)
        >>> {name: len(part) for name, part in parts.items()}
        {'training': 6, 'validation': 2, 'test': 2}
    """
    if any(f <= 0 for f in fractions.values()) or not math.isclose(sum(fractions.values()), 1, abs_tol=1e-6):
        raise ValueError(f"fractions must be positive and sum to 1, not {dict(fractions)}")
    items = list(items)
    groups = _in_drawn_order(items, by, seed)
    if len(groups) < len(fractions):
        raise DataError(f"{len(groups)} patients cannot fill {len(fractions)} sections. Use fewer sections.")
    section_of: dict[Any, str] = {}
    for section, count in _shares(fractions, len(groups)).items():
        section_of.update((group, section) for group in groups[len(section_of) : len(section_of) + count])
    return {name: [dict(item) for item in items if section_of[item[by]] == name] for name in fractions}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: the data list does not exist. Correct its path, or write one.") from error
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}: broken JSON in line {error.lineno}, column {error.colno}: {error.msg}."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: the data list cannot be read ({error}). Give a JSON file in UTF-8."
        ) from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: a data list is a JSON object with the sections {', '.join(SECTIONS)}.")
    return content


def _normalised(item: Any, folder: Path) -> Item:
    entry: Item = {"image": item} if isinstance(item, str) else dict(item)
    for key in FILE_KEYS:
        if entry.get(key):
            entry[key] = _each_path(entry[key], lambda p: os.path.normpath(folder.absolute() / p))
        else:
            entry.pop(key, None)
    entry.setdefault("id", _stem(entry.get("image", "")))
    entry.setdefault("patient", entry["id"])
    entry["labeled"] = int("label" in entry)
    return entry


def _portable(item: Mapping[str, Any], folder: Path) -> Item:
    root = Path(os.path.normpath(folder.absolute()))

    def relative(value: Any) -> str:
        file = Path(os.path.normpath(root / value))
        return file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)

    entry = {key: value for key, value in item.items() if key != "labeled"}
    return {key: _each_path(value, relative) if key in FILE_KEYS else value for key, value in entry.items()}


def _each_path(value: Any, change: Any) -> Any:
    return [change(v) for v in value] if isinstance(value, (list, tuple)) else change(value)


def _files(item: Mapping[str, Any], key: str) -> list[str]:
    value = item.get(key, [])
    return [str(v) for v in value] if isinstance(value, (list, tuple)) else [str(value)]


def _stem(image: Any) -> str:
    first = image[0] if isinstance(image, (list, tuple)) and image else image
    name = Path(str(first)).name
    return name[: -len(".nii.gz")] if name.endswith(".nii.gz") else Path(name).stem


def _item_problems(items: Sequence[Item]) -> list[str]:
    problems: list[str] = []
    for position, item in enumerate(items):
        if "image" not in item:
            problems.append(f"item {position} ({item['id'] or 'no id'}) has no `image`. Add its path.")
        for file in (file for key in FILE_KEYS for file in _files(item, key)):
            if not Path(file).exists():
                problems.append(f"{file} does not exist. Correct the path or put the file there.")
    for key in ("id", "image"):
        counts = Counter(str(item[key]) for item in items if key in item)
        problems += [f"{key} {value} is listed {n} times. Keep one." for value, n in counts.items() if n > 1]
    return problems


def _check_sections(path: Path, known: Mapping[str, Sequence[Item]]) -> None:
    try:
        check_splits(known)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _in_drawn_order(items: Iterable[Mapping[str, Any]], by: str, seed: int) -> list[Any]:
    groups: dict[Any, None] = {}
    for item in items:
        if item.get(by) is None:
            raise DataError(f"item {item.get('id', item.get('image'))} has no `{by}`. Add it to every item.")
        groups[item[by]] = None
    return sorted(groups, key=lambda group: hashlib.sha256(f"{seed}:{group}".encode()).digest())


def _labeled(item: Mapping[str, Any]) -> Item:
    return {**item, "labeled": int(bool(item.get("label")))}


def _unlabeled(item: Mapping[str, Any]) -> Item:
    return {**{key: value for key, value in item.items() if key != "label"}, "labeled": 0}


def _shares(fractions: Mapping[str, float], total: int) -> dict[str, int]:
    spare = total - len(fractions)  # every section gets one, the rest goes where most is owed
    counts = dict.fromkeys(fractions, 1)
    for _ in range(spare):
        owed = max(fractions, key=lambda name: fractions[name] * total - counts[name])
        counts[owed] += 1
    return counts
