"""A folder of images to be segmented: formats, and files that cannot be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from monai_levelset.data.image_files import IMAGE_SUFFIXES, find_files
from monai_levelset.doctor.case_files import case_key, grid_findings, look_at
from monai_levelset.doctor.report import Finding

__all__ = ["image_folder_findings"]

_NAMES = {".nii.gz": "NIfTI", ".nii": "NIfTI", ".nrrd": "NRRD", ".mha": "MetaImage", ".mhd": "MetaImage"}


def image_folder_findings(section: str, folder: Path) -> list[Finding]:
    """What is found about a folder of images; every image is read once.

    Args:
        section: of the findings.
        folder: the folder; its subfolders count, a folder of DICOM slices is one image.

    Returns:
        Number of images per format, a problem per image that cannot be read, sizes and spacings.
    """
    broken: dict[str, str] = {}
    try:
        images = find_files(folder, problems=broken)
    except (ValueError, OSError) as error:
        return [Finding(section, "images", "problem", str(error))]
    results = look_at([{"image": path, "id": name} for name, path in images.items()])
    problems = [*broken.values(), *(p for result in results.values() for p in result.problems)]
    unread = len(broken) + sum(bool(results[case_key({"image": path})].problems) for path in images.values())
    message = f"{_formats(images.values())}; {len(images) + len(broken) - unread} can be segmented"
    return [
        Finding(section, "images", "ok" if images else "problem", message),
        *(Finding(section, "images", "problem", problem) for problem in dict.fromkeys(problems)),
        *grid_findings(section, results),
    ]


def _formats(paths: Iterable[Path]) -> str:
    counts = Counter(_format(path) for path in paths)
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items())) or "no image"


def _format(path: Path) -> str:
    if path.is_dir():
        return "DICOM series"
    suffix = next(suffix for suffix in IMAGE_SUFFIXES if path.name.lower().endswith(suffix))
    return _NAMES.get(suffix, suffix.removeprefix(".").upper())
