"""REFUGE: 1200 colour fundus photographs with optic disc and cup, in three official parts of 400.

Orlando et al., "REFUGE Challenge: a unified framework for evaluating automated methods for glaucoma
assessment from fundus photographs", Medical Image Analysis 59:101570, 2020;
https://refuge.grand-challenge.org. Layout, as the archives unpack (each perhaps in one more folder of its own
name):

- `REFUGE-Training400/Training400/{Glaucoma,Non-Glaucoma}/g0001.jpg, n0001.jpg` and
  `Annotation-Training400/Disc_Cup_Masks/{Glaucoma,Non-Glaucoma}/g0001.bmp, n0001.bmp`
- `REFUGE-Validation400/V0001.jpg` and `REFUGE-Validation400-GT/Disc_Cup_Masks/V0001.bmp`
- `Test400/T0001.jpg` and `REFUGE-Test-GT/Disc_Cup_Masks/{G,N}/T0001.bmp`

A mask is 0 in the cup, 128 in the rim and 255 elsewhere. The first letter of a name tells the part; folders
only tell glaucoma. The tables with the fovea's place are not read.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import numpy as np

from monai_levelset.data.errors import DataError, raise_problems
from monai_levelset.data.readers.base import Case, SourceListing
from monai_levelset.data.readers.listing import find_folders, list_files
from monai_levelset.data.readers.pictures import read_grey, save_label

__all__ = ["LABELS", "read_refuge"]

LABELS = {"0": "background", "1": "rim", "2": "cup"}
"""The disc is 1 and 2 together."""

_VALUES = {255: 0, 128: 1, 0: 2}
_NAME = re.compile(r"[gnVT]\d{4}")
_SECTIONS = {"g": "training", "n": "training", "V": "validation", "T": "test"}
_GLAUCOMA = {"Glaucoma": 1, "G": 1, "Non-Glaucoma": 0, "N": 0}
_DRAWN_ON = re.compile("illustration", re.IGNORECASE)  # the same photographs with contours painted in


def read_refuge(source: Path) -> SourceListing:
    """Find the photographs and masks of the parts that are there.

    The official parts are the sections. Photographs are used as they are, masks become PNG labels. A test
    part without any mask is listed without labels; every other photograph needs its mask.

    Args:
        source: folder that holds the unpacked archives.

    Returns:
        The data set; items have `glaucoma` 1 or 0 where a folder tells it.

    Raises:
        DataError: no photograph is found; a mask or a photograph is missing or there twice.

    Example:
        >>> import tempfile
        >>> source = Path(tempfile.mkdtemp())
        >>> for file in ("REFUGE-Training400/Glaucoma/g0001.jpg", "Disc_Cup_Masks/Glaucoma/g0001.bmp"):
        ...     (source / file).parent.mkdir(parents=True)
        ...     (source / file).touch()
        >>> [(case.id, case.section, case.extra) for case in read_refuge(source).cases]
        [('g0001', 'training', {'glaucoma': 1})]
    """
    find_folders(source, lambda _: False, depth=0)  # refuses a missing or empty source
    skipped: list[str] = []
    problems: list[str] = []
    images = _by_name(_photographs(source), skipped, problems)
    masks = _by_name(list_files(source, ".bmp"), skipped, problems)
    if not images:
        raise DataError(
            f"{source}: no photograph of REFUGE is here (g0001.jpg, n0001.jpg, V0001.jpg, T0001.jpg). Give "
            "the folder that holds REFUGE-Training400 and Annotation-Training400."
        )
    problems += _missing(images, masks)
    raise_problems(problems)
    return SourceListing(
        name="REFUGE",
        description=(
            "Optic disc and cup in colour fundus photographs, Orlando et al. 2020, "
            "https://refuge.grand-challenge.org. Research only, after registration."
        ),
        modality="RGB",
        labels=LABELS,
        cases=[_case(name, image, masks.get(name)) for name, image in images.items()],
        channels=("red", "green", "blue"),
        skipped=skipped,
    )


def convert_refuge(case: Case, folder: Path) -> tuple[list[Path], list[Path]]:
    """Write the mask as `labels/ID.png` with 0 background, 1 rim, 2 cup; the photograph stays where it is.

    Raises:
        DataError: the mask is unreadable or coloured, or holds other values.
    """
    (mask,) = case.label
    values = read_grey(mask)
    odd = sorted(set(np.unique(values).tolist()) - set(_VALUES))
    if odd:
        raise DataError(
            f"{mask}: only 0 (cup), 128 (rim) and 255 (background) may occur, but {odd[:5]} do. Unpack it."
        )
    label = np.zeros(values.shape, np.uint8)
    for value, target in _VALUES.items():
        label[values == value] = target
    return list(case.image), [save_label(folder / "labels" / f"{case.id}.png", label)]


def _photographs(source: Path) -> list[Path]:
    files = list_files(source, ".jpg", ".jpeg")
    return [f for f in files if not any(_DRAWN_ON.search(part) for part in f.relative_to(source).parts)]


def _by_name(files: list[Path], skipped: list[str], problems: list[str]) -> dict[str, Path]:
    found: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        if _NAME.fullmatch(file.stem):
            found[file.stem].append(file)
        else:
            skipped.append(f"{file}: no name of REFUGE")
    problems += [
        f"{name}: it is there {len(paths)} times, {', '.join(map(str, paths))}. Keep one."
        for name, paths in found.items()
        if len(paths) > 1
    ]
    return {name: found[name][0] for name in sorted(found)}


def _missing(images: dict[str, Path], masks: dict[str, Path]) -> list[str]:
    problems = [
        f"{mask}: no photograph {name}.jpg. Unpack the photographs of its part, or move the mask away."
        for name, mask in masks.items()
        if name not in images
    ]
    with_masks = {_section(name) for name in masks}
    lacking: dict[str, list[str]] = defaultdict(list)
    for name, image in images.items():
        if name in masks or (_section(name) == "test" and "test" not in with_masks):
            continue
        if _section(name) in with_masks:
            problems.append(f"{image}: no mask {name}.bmp. Unpack the masks of its part again.")
        else:
            lacking[_section(name)].append(name)
    return problems + [
        f"{images[names[0]].parent}: the {section} part has no mask at all ({names[0]}.bmp to "
        f"{names[-1]}.bmp). Unpack its masks, or move its photographs away."
        for section, names in lacking.items()
    ]


def _section(name: str) -> str:
    return _SECTIONS[name[0]]


def _case(name: str, image: Path, mask: Path | None) -> Case:
    folders = [file.parent.name for file in (image, mask) if file is not None]
    glaucoma = next((_GLAUCOMA[folder] for folder in folders if folder in _GLAUCOMA), None)
    return Case(
        id=name,
        patient=name,
        image=(image,),
        label=(mask,) if mask is not None else (),
        section=_section(name),
        convert=convert_refuge if mask is not None else None,
        extra={} if glaucoma is None else {"glaucoma": glaucoma},
    )
