"""Drishti-GS1: 101 colour fundus photographs with optic disc and cup, outlined by four experts.

Sivaswamy et al., "Drishti-GS: retinal image dataset for optic nerve head (ONH) segmentation", ISBI 2014, and
"A comprehensive retinal image dataset for the assessment of glaucoma from the optic nerve head analysis", JSM
Biomedical Imaging 2(1):1004, 2015; http://cvit.iiit.ac.in/projects/mip/drishti-gs/mip-dataset2/Home.php. Two
layouts are read:

- official: `Drishti-GS1_files/Training/Images/drishtiGS_002.png` (perhaps in `Images/GLAUCOMA` and
  `Images/NORMAL`) with `Training/GT/drishtiGS_002/SoftMap/drishtiGS_002_ODsegSoftmap.png` and
  `..._cupsegSoftmap.png`; the same under `Test` with `Test_GT`. A soft map is the share of the experts who
  include a pixel, times 255: 0, 64, 128, 191, 255, up to rounding.
- repackaged: `train/images/drishtiGS_002.jpg` with `train/labels/drishtiGS_002.png`, labels 0, 1, 2; the same
  under `val` and `test`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from monai_levelset.data.errors import DataError, raise_problems
from monai_levelset.data.readers.base import Case, SourceListing
from monai_levelset.data.readers.listing import find_folders, is_junk, list_files
from monai_levelset.data.readers.pictures import read_grey, save_label
from monai_levelset.data.readers.splits import SECTION_NAMES

__all__ = ["LABELS", "read_drishti"]

LABELS = {"0": "background", "1": "rim", "2": "cup"}
"""The disc is 1 and 2 together."""

_EXPERTS = 4
_PARTS = {"Training": "training", "Test": "test"}
_GLAUCOMA = {"GLAUCOMA": 1, "NORMAL": 0}
_PICTURES = (".png", ".jpg", ".jpeg")


def read_drishti(source: Path, *, agreement: str = "0.5") -> SourceListing:
    """Find the photographs and their soft maps or labels.

    The official parts are the sections; the official training part has no validation section. A pixel belongs
    to the disc (the cup) where at least `agreement` of the four experts say so. Photographs are used as they
    are. A test part without ground truth is listed without labels.

    Args:
        source: folder of the unpacked archive, in one of the two layouts.
        agreement: share of the experts, above 0, at most 1: 0.25, 0.5, 0.75 or 1 make a difference.

    Returns:
        The data set; items have `glaucoma` 1 or 0 where a folder tells it.

    Raises:
        DataError: neither layout is found; a soft map, label or photograph is missing or there twice;
            `agreement` is out of range.

    Example:
        >>> import tempfile
        >>> part = Path(tempfile.mkdtemp()) / "Drishti-GS1_files" / "Training"
        >>> maps = part / "GT" / "drishtiGS_002" / "SoftMap"
        >>> for folder, name in ((part / "Images", ""), (maps, "_ODsegSoftmap"), (maps, "_cupsegSoftmap")):
        ...     folder.mkdir(parents=True, exist_ok=True)
        ...     (folder / f"drishtiGS_002{name}.png").touch()
        >>> [(case.id, case.section) for case in read_drishti(part.parent).cases]
        [('drishtiGS_002', 'training')]
    """
    experts = _experts(agreement)
    problems: list[str] = []
    skipped: list[str] = []
    cases = []
    for part in find_folders(Path(source).absolute(), _is_part, depth=3):
        find = _official if part.name in _PARTS else _repackaged
        cases += find(part, problems, skipped, experts)
    if not cases and not problems:
        raise DataError(
            f"{source}: neither the official layout (Training/Images, Test/Images) nor train/images and "
            "train/labels is here. Give the folder that holds one of them."
        )
    problems += _repeated(cases)
    raise_problems(problems)
    return SourceListing(
        name="Drishti-GS1",
        description=(
            "Optic disc and cup in colour fundus photographs, Sivaswamy et al. 2014, 2015. Research only, "
            "after registration. Where soft maps were read, a pixel counts where at least "
            f"{experts} of {_EXPERTS} experts agree."
        ),
        modality="RGB",
        labels=LABELS,
        cases=sorted(cases, key=lambda case: case.id),
        channels=("red", "green", "blue"),
        skipped=skipped,
    )


def convert_drishti(case: Case, folder: Path, *, experts: int) -> tuple[list[Path], list[Path]]:
    """Write both soft maps as `labels/ID.png`: 2 where enough experts see cup, else 1 where they see disc.

    Args:
        case: its label is the soft map of the disc and that of the cup.
        folder: where to write; the photograph stays where it is.
        experts: how many of the four must agree.

    Raises:
        DataError: a soft map is unreadable or coloured, or the two differ in size.
    """
    disc, cup = (_votes(path) >= experts for path in case.label)
    if disc.shape != cup.shape:
        raise DataError(
            f"{case.label[1]}: its size {cup.shape} differs from {disc.shape} of {case.label[0].name}. "
            "Unpack both again."
        )
    label = np.where(cup, 2, disc.astype(np.uint8))
    return list(case.image), [save_label(folder / "labels" / f"{case.id}.png", label)]


def _votes(path: Path) -> np.ndarray:
    return np.rint(read_grey(path).astype(np.float32) * (_EXPERTS / 255))  # 127 and 128 are both two of four


def _experts(agreement: str) -> int:
    try:
        share = float(agreement)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise DataError(
            f"agreement must be a number above 0, at most 1, such as 0.5 or 0.75; got {agreement!r}."
        )
    return int(np.ceil(share * _EXPERTS - 1e-9))


def _is_part(folder: Path) -> bool:
    if folder.name in _PARTS:
        return (folder / "Images").is_dir()
    return folder.name in SECTION_NAMES and (folder / "images").is_dir()


def _official(part: Path, problems: list[str], skipped: list[str], experts: int) -> list[Case]:
    truth = next((part / name for name in ("GT", "Test_GT") if (part / name).is_dir()), None)
    section = _PARTS[part.name]
    images = _images(part / "Images", skipped)
    if truth is None and section == "training":
        problems.append(f"{part}: the folder GT is missing. Unpack the ground truth of the training part.")
    cases = []
    for name, image in images:
        maps = () if truth is None else _soft_maps(truth / name, problems)
        folder = image.parent.name
        cases.append(
            Case(
                id=name,
                patient=name,
                image=(image,),
                label=maps,
                section=section,
                convert=partial(convert_drishti, experts=experts) if maps else None,
                extra={"glaucoma": _GLAUCOMA[folder]} if folder in _GLAUCOMA else {},
            )
        )
    problems += _without_image(_subfolders(truth), {name for name, _ in images}, part / "Images")
    return cases


def _soft_maps(folder: Path, problems: list[str]) -> tuple[Path, ...]:
    held = {file.name.lower(): file for file in list_files(folder / "SoftMap", ".png")}
    wanted = [f"{folder.name}_{what}segSoftmap.png" for what in ("OD", "cup")]
    missing = [name for name in wanted if name.lower() not in held]
    problems += [f"{folder / 'SoftMap' / name}: it is missing. Unpack it again." for name in missing]
    return () if missing else tuple(held[name.lower()] for name in wanted)


def _repackaged(part: Path, problems: list[str], skipped: list[str], experts: int) -> list[Case]:
    section = SECTION_NAMES[part.name]
    images = _images(part / "images", skipped)
    labels = {file.stem: file for file in list_files(part / "labels", ".png")}
    needed = section != "test" or bool(labels)
    problems += [
        f"{part / 'labels' / name}.png: it is missing. Copy it again."
        for name, _ in images
        if needed and name not in labels
    ]
    problems += _without_image(labels, {name for name, _ in images}, part / "images")
    return [
        Case(name, name, (image,), (labels[name],) if name in labels else (), section)
        for name, image in images
    ]


def _images(folder: Path, skipped: list[str]) -> list[tuple[str, Path]]:
    files = list_files(folder)
    skipped += [f"{file}: no photograph" for file in files if not file.name.lower().endswith(_PICTURES)]
    return [(file.stem, file) for file in files if file.name.lower().endswith(_PICTURES)]


def _subfolders(folder: Path | None) -> Mapping[str, Path]:
    children = [] if folder is None else sorted(folder.iterdir())
    return {child.name: child for child in children if child.is_dir() and not is_junk(child.name)}


def _without_image(truth: Mapping[str, Path], names: set[str], folder: Path) -> list[str]:
    return [
        f"{path}: no photograph {name} is in {folder}. Unpack it again, or move this away."
        for name, path in truth.items()
        if name not in names
    ]


def _repeated(cases: Iterable[Case]) -> list[str]:
    first: dict[str, Path] = {}
    return [
        f"{case.image[0]}: {case.id} is there twice, also as {first[case.id]}. Keep one."
        for case in cases
        if first.setdefault(case.id, case.image[0]) != case.image[0]
    ]
