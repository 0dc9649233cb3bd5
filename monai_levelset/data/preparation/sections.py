"""Give every case a section, and training cases their label or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from monai_levelset.data.datalist import SECTIONS, Item, split_labeled, split_patients
from monai_levelset.data.errors import DataError

__all__ = ["DEFAULT", "assign_sections", "check_fractions", "sections_of"]

DEFAULT = 0.2
"""Share of the patients that go to a section which is drawn without being asked for."""


def check_fractions(labeled: float, validation: float | None, test: float | None) -> None:
    """Refuse fractions that make no sense before any file is read.

    Raises:
        ValueError: see the message.
    """
    if not 0 < labeled <= 1:
        raise ValueError(f"labeled_fraction must be in (0, 1], not {labeled}")
    for name, value in (("validation", validation), ("test", test)):
        if value is not None and not 0 <= value < 1:
            raise ValueError(f"{name} must be in [0, 1), not {value}")
    if (validation or 0) + (test or 0) >= 1:
        raise ValueError("validation and test together must be below 1: training needs the rest")


def assign_sections(
    items: Iterable[Mapping[str, Any]],
    official: Mapping[str, str | None],
    *,
    validation: float | None = None,
    test: float | None = None,
    seed: int = 0,
) -> dict[str, str]:
    """The section of every case: the official one, or one drawn by patient.

    Sections that the data set defines stay as they are. A validation section that it lacks is drawn from
    the labelled patients of its training section; a test section only where it is asked for or nothing is
    official.

    Args:
        items: all cases with all their labels.
        official: case id -> official section or None.
        validation: share of the drawn-from patients; None: 0.2 where there is no official one and there are
            patients enough; 0: none.
        test: likewise.
        seed: which draw.

    Returns:
        Case id -> section.

    Raises:
        DataError: where an official section is asked to be drawn, or the patients are too few.

    Example:
        >>> items = [{"id": p, "patient": p, "image": p, "label": p} for p in "abcde"]
        >>> sorted(assign_sections(items, {}).values())
        ['test', 'training', 'training', 'training', 'validation']
    """
    items = list(items)
    present = {section for section in official.values() if section}
    for name, value in (("validation", validation), ("test", test)):
        if value is not None and name in present:
            raise DataError(
                f"the data set has an official {name} section; none is drawn. Leave out --{name}."
            )
    free = [item for item in items if official.get(item["id"]) in (None, "training")]
    patients = {item["patient"] for item in free if item.get("label")}
    drawn = [item for item in free if item["patient"] in patients]
    fractions = _fractions(validation, test, present, len(patients))
    section_of = {item["id"]: official.get(item["id"]) or "training" for item in items}
    if len(fractions) > 1:
        for name, part in split_patients(drawn, fractions, seed).items():
            section_of.update((item["id"], name) for item in part)
    return section_of


def sections_of(
    items: Sequence[Mapping[str, Any]], section_of: Mapping[str, str], *, labeled_fraction: float, seed: int
) -> dict[str, list[Item]]:
    """The sections that are written, in their usual order, with the labels of some patients taken away.

    Args:
        items: all cases with all their labels.
        section_of: case id -> section.
        labeled_fraction: part of the training patients that keep their labels.
        seed: which ones.

    Returns:
        Items per section; empty sections are left out.

    Raises:
        DataError: where no case, or no training case, has a label.
    """
    sections: dict[str, list[Item]] = {}
    for name in [*SECTIONS, *sorted(set(section_of.values()) - set(SECTIONS))]:
        part = [dict(item) for item in items if section_of[item["id"]] == name]
        if part:
            sections[name] = part
    if not any(item.get("label") for item in items):
        raise DataError("No case has a label. Put the labels of the data set into the source.")
    if "training" in sections:
        sections["training"] = split_labeled(sections["training"], labeled_fraction, seed)
    return sections


def _fractions(
    validation: float | None, test: float | None, present: set[str], patients: int
) -> dict[str, float]:
    wanted = {"validation": validation, "test": test}
    spare = patients - 1 - sum(1 for value in wanted.values() if value)
    drawn = {}
    for name in wanted:
        value = wanted[name]
        default = name not in present and (name == "validation" or not present)
        if value is None and default and spare > 0:
            value, spare = DEFAULT, spare - 1
        if value:
            drawn[name] = value
    return {"training": 1 - sum(drawn.values()), **drawn}
