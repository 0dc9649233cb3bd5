"""The sections of a data list: cases, labels, patients."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from monai_levelset.data.datalist import SECTIONS, Item
from monai_levelset.data.errors import DataError
from monai_levelset.data.sections import load_section
from monai_levelset.data.sunnybrook import sunnybrook_png_items
from monai_levelset.doctor.report import Finding

__all__ = ["read_sections", "section_findings"]

_SPLIT = "draw it with `monai-levelset split`"


def read_sections(section: str, folder: Path) -> tuple[dict[str, list[Item]], list[Finding], dict[str, str]]:
    """Read every section of a data folder.

    Args:
        section: of the findings.
        folder: a folder with `datalist.json`, or Sunnybrook as PNG slices.

    Returns:
        Name -> items of the sections that can be read; findings about the others; the meaning of the label
        values, as far as the list says it.
    """
    try:
        names, unknown, labels = _content(folder)
    except (DataError, ValueError, OSError) as error:
        return {}, [_problem(section, _reason(folder, error))], {}
    findings = [_unknown(section, name) for name in unknown]
    found: dict[str, list[Item]] = {}
    problems: dict[str, None] = {}
    for name in names:
        try:
            found[name] = load_section(folder, name)
        except DataError as error:
            problems[str(error)] = None
    findings += [_problem(section, problem) for problem in problems]
    if not names:
        findings.append(_problem(section, f"{folder}: no section {', '.join(SECTIONS)} with a case in it"))
    return found, findings, labels


def section_findings(section: str, found: Mapping[str, Sequence[Item]]) -> list[Finding]:
    """How many cases, labels and patients each section has.

    Args:
        section: of the findings.
        found: name -> items.

    Returns:
        One finding per section, warnings about missing ones, and one about patients.
    """
    findings = [Finding(section, name, "ok", _counts(items)) for name, items in found.items()]
    if "training" not in found:
        message = "no such section: the list serves evaluation only"
        findings.append(Finding(section, "training", "warning", message, _SPLIT))
    elif "validation" not in found:
        message = "no such section: a training cannot select its best network"
        findings.append(Finding(section, "validation", "warning", message, _SPLIT))
    patients = {str(item["patient"]) for items in found.values() for item in items}
    message = f"{len(patients)}, none in two sections"
    return [*findings, Finding(section, "patients", "ok", message)]


def _content(folder: Path) -> tuple[list[str], list[str], dict[str, str]]:
    """Sections that are not empty, lists with other names, and the meaning of labels."""
    path = folder / "datalist.json"
    if not path.is_file():
        items = sunnybrook_png_items(folder)
        return [name for name in SECTIONS if items.get(name)], [], {}
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"a data list is a JSON object with the sections {', '.join(SECTIONS)}")
    lists = [name for name, value in content.items() if isinstance(value, list) and value]
    names = [name for name in SECTIONS if name in lists]
    unknown = [n for n in lists if n not in SECTIONS and isinstance(content[n][0], dict)]
    labels = content.get("labels")
    return names, unknown, dict(labels) if isinstance(labels, dict) else {}


def _reason(folder: Path, error: Exception) -> str:
    path = folder / "datalist.json"
    if isinstance(error, json.JSONDecodeError):
        return f"{path}: broken JSON in line {error.lineno}, column {error.colno}: {error.msg}. Correct it."
    return str(error) if isinstance(error, DataError) else f"{path}: {error}. Correct it."


def _unknown(section: str, name: str) -> Finding:
    fix = f"call it {', '.join(SECTIONS[:-1])} or {SECTIONS[-1]}"
    return Finding(
        section, "data list", "warning", f"the section {name!r} is not known, nothing reads it", fix
    )


def _problem(section: str, message: str) -> Finding:
    return Finding(section, "data list", "problem", message)


def _counts(items: Sequence[Item]) -> str:
    labelled = sum(item["labeled"] for item in items)
    patients = len({str(item["patient"]) for item in items})
    return (
        f"{_number(len(items), 'case')} of {_number(patients, 'patient')}, {labelled} labelled, "
        f"{len(items) - labelled} unlabelled"
    )


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
