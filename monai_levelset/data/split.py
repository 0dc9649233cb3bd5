"""Change which training cases keep their label, or the drawn sections, of a prepared data list."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_levelset.data.atomic import atomic_path
from monai_levelset.data.datalist import SECTIONS, Item, _read_json, load_datalist, write_datalist
from monai_levelset.data.errors import DataError
from monai_levelset.data.preparation.report import report_markdown, summary_text, with_sections
from monai_levelset.data.preparation.sections import assign_sections, check_fractions, sections_of

__all__ = ["CASES", "split", "write_cases", "write_report"]

CASES = "cases.json"
"""Beside `datalist.json`: every case with its label, whether the list shows it or not."""

_HEAD = ("name", "description", "modality", "labels")


def split(
    datalist: str | Path,
    *,
    out: str | Path | None = None,
    labeled_fraction: float | None = None,
    seed: int | None = None,
    validation: float | None = None,
    test: float | None = None,
) -> Path:
    """Write a data list anew with another labelled fraction, seed or sections; no image is touched.

    All labels are known from `cases.json` beside the list, which `prepare` writes; for any other list it is
    made from the list as it is at the first split, with its sections taken as official ones. Validation and
    test stay as they are unless `validation` or `test` is given, so that several seeds can be compared.

    Args:
        datalist: the list, or the folder of `datalist.json`.
        out: file or folder to write to; default: `datalist` is replaced.
        labeled_fraction: part of the training patients that keep their labels, in (0, 1]; default: as
            before.
        seed: which ones; default: as before. With one seed, the labelled patients of a smaller fraction are
            among those of a larger.
        validation: share of the patients that are drawn, with `seed`, for validation, where the data set has
            no official section; 0: none.
        test: likewise.

    Returns:
        The file that was written.

    Raises:
        DataError: where the list is missing or broken, a file of it is gone, or an official section would be
            drawn.
        ValueError: where a fraction is out of range.

    Example:
        >>> import tempfile
        >>> from monai_levelset.data.phantoms import generate_phantoms
        >>> folder = Path(tempfile.mkdtemp()) / "lv"
        >>> file = generate_phantoms("lv", folder, cases=8, seed=0)
        >>> _ = split(folder, labeled_fraction=0.5, seed=1)
        5 training, 2 validation, 1 test cases -> ...datalist.json
        training: 3 labelled, 2 unlabelled
    """
    source = _file(datalist)
    target = source if out is None else _file(out)
    report = _read_report(source.parent / "report.json")
    before = report.get("split", {})
    fraction = float(before.get("labeled_fraction", 1.0) if labeled_fraction is None else labeled_fraction)
    seed = int(before.get("seed", 0) if seed is None else seed)
    check_fractions(fraction, validation, test)
    head, cases = _all_cases(source)
    section_of = {case["id"]: case["section"] for case in cases}
    if validation is not None or test is not None:
        official = {case["id"]: case["section"] if case["official"] else None for case in cases}
        section_of = assign_sections(cases, official, validation=validation, test=test, seed=seed)
    drawn = _section_settings(before, validation, test, seed)
    settings = {"labeled_fraction": fraction, "seed": seed, **drawn}
    items = [{k: v for k, v in case.items() if k not in ("section", "official")} for case in cases]
    sections = sections_of(items, section_of, labeled_fraction=fraction, seed=seed)
    if target == source or not (target.parent / CASES).is_file():
        write_cases(target.parent, [{**c, "section": section_of[c["id"]]} for c in cases], head)
    if target == source and report:
        write_report(source.parent, with_sections(report, sections, split=settings))
    write_datalist(target, sections, **head)
    print(_told(report, sections, settings, target))
    return target


def write_cases(folder: Path, cases: Sequence[Mapping[str, Any]], head: Mapping[str, Any]) -> Path:
    """Write `cases.json`: items with all their labels, their `section` and whether it is `official`."""
    return write_datalist(folder / CASES, {"cases": cases}, **head)


def write_report(folder: Path, report: Mapping[str, Any]) -> None:
    """Write `report.json` and `report.md`."""
    content = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    for name, text in (("report.json", content), ("report.md", report_markdown(report))):
        with atomic_path(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _file(path: str | Path) -> Path:
    path = Path(path)
    return path if path.suffix.lower() == ".json" and not path.is_dir() else path / "datalist.json"


def _read_report(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise DataError(
            f"{path}: the report cannot be read ({error}). Run prepare again, or remove it."
        ) from error
    return content if isinstance(content, dict) and "cases" in content else {}


def _all_cases(datalist: Path) -> tuple[dict[str, Any], list[Item]]:
    """Head and all cases, of `cases.json` where there is one."""
    path = datalist.parent / CASES
    if path.is_file():
        return _head(_read_json(path)), load_datalist(path, "cases")
    content = _read_json(datalist)
    found = [name for name in SECTIONS if content.get(name)]
    only_training = found == ["training"]
    cases = [
        {**item, "section": name, "official": not only_training}
        for name in found
        for item in load_datalist(datalist, name, require_labels=False)
    ]
    return _head(content), cases


def _head(content: Mapping[str, Any]) -> dict[str, Any]:
    return {key: content[key] for key in _HEAD if key in content}


def _section_settings(
    before: Mapping[str, Any], validation: float | None, test: float | None, seed: int
) -> dict[str, Any]:
    if validation is None and test is None:
        return {key: before.get(key) for key in ("validation", "test", "section_seed")}
    return {"validation": validation, "test": test, "section_seed": seed}


def _told(
    report: Mapping[str, Any],
    sections: Mapping[str, Sequence[Item]],
    settings: Mapping[str, Any],
    target: Path,
) -> str:
    if report:
        return "\n".join(
            summary_text(with_sections(report, sections, split=settings), str(target)).splitlines()[:2]
        )
    counts = ", ".join(f"{len(items)} {name}" for name, items in sections.items())
    training = sections.get("training", [])
    labeled = sum(bool(item.get("label")) for item in training)
    return f"{counts} cases -> {target}\ntraining: {labeled} labelled, {len(training) - labeled} unlabelled"
