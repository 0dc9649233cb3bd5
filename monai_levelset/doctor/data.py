"""Whether a data folder can be trained on, or segmented, and what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from monai_levelset.data.checks import check_folder
from monai_levelset.data.datalist import Item
from monai_levelset.data.errors import DataError
from monai_levelset.data.preparation.examine import Result
from monai_levelset.doctor.case_files import case_key, grid_findings, look_at
from monai_levelset.doctor.image_folder import image_folder_findings
from monai_levelset.doctor.label_values import label_findings
from monai_levelset.doctor.report import Finding
from monai_levelset.doctor.sections import read_sections, section_findings
from monai_levelset.doctor.training_cache import cache_finding

__all__ = ["data_findings"]

_SHOWN = 20


def data_findings(folder: str | Path) -> list[Finding]:
    """What is found in a data folder; every file is read once, none is changed.

    Args:
        folder: a folder with `datalist.json`, Sunnybrook as PNG slices, or a folder of images.

    Returns:
        Findings of the section `data FOLDER`.
    """
    folder = Path(folder)
    section = f"data {folder}"
    try:
        check_folder(folder)
    except DataError as error:
        return [Finding(section, "folder", "problem", str(error))]
    if (folder / "datalist.json").is_file() or (folder / "splits.json").is_file():
        return _listed(section, folder)
    if (folder / "images").is_dir() and (folder / "labels").is_dir():
        fix = "write one (write_datalist, see the user guide); for images alone, give that folder"
        message = "images/ and labels/ are here, but no datalist.json that says what belongs together"
        return [Finding(section, "data list", "problem", message, fix)]
    return image_folder_findings(section, folder)


def _listed(section: str, folder: Path) -> list[Finding]:
    sections, findings, names = read_sections(section, folder)
    if not sections:
        return findings
    findings += section_findings(section, sections)
    results = look_at([item for items in sections.values() for item in items])
    findings += _files(section, results)
    findings += grid_findings(section, results)
    findings += label_findings(section, results, names)
    findings += _copies(section, sections, results)
    return [*findings, *cache_finding(section, sections, results)]


def _files(section: str, results: Mapping[str, Result]) -> list[Finding]:
    problems = list(dict.fromkeys(p for result in results.values() for p in result.problems))
    if not problems:
        number = sum(len(paths) for result in results.values() for paths in result.files.values())
        message = f"{number} files of {len(results)} cases can be read, each label on its image's grid"
        return [Finding(section, "files", "ok", message)]
    findings = [Finding(section, "files", "problem", problem) for problem in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        message = f"and {len(problems) - _SHOWN} more problems of this kind"
        findings.append(Finding(section, "files", "problem", message))
    return findings


def _copies(section: str, sections: Mapping[str, list[Item]], results: Mapping[str, Result]) -> list[Finding]:
    """The same voxels under two names, in two sections: a network is tested on what it has seen."""
    seen: dict[str, dict[str, str]] = {}
    for name, items in sections.items():
        for item in items:
            if mark := results[case_key(item)].facts.get("hash"):
                seen.setdefault(mark, {})[name] = item["id"]
    fix = "keep one of them"
    return [
        Finding(section, "copies", "warning", f"the same image: {_in_sections(where)}", fix)
        for where in list(seen.values())
        if len(where) > 1
    ][:_SHOWN]


def _in_sections(where: Mapping[str, str]) -> str:
    return ", ".join(f"{case} in {name}" for name, case in where.items())
