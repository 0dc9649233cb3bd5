"""Abdominal CT slices with the liver, already windowed to 8 bits: no HU, no spacing, no slice position in mm.

Slices of public liver CT (the Medical Segmentation Decathlon's, Antonelli et al., Nature Communications
13:4128, 2022, CC BY-SA 4.0) circulate as pictures in this layout:

- `images/flipped_10001_103.jpg`, `images/mirrored_10059_35.jpg`: orientation, case, slice number
- `labels/flipped_10001_103.png`, 0 and 255
- `splits.json` with the case numbers under `train`, `val` and perhaps `test`

The images are red = green = blue, of which `LoadImage` would make three equal channels, and a label that
was saved as JPG is not exact. And all lie on their side: `flipped` ones with the spine at the left and the
liver at the top, `mirrored` ones, which are no mirror images, turned by half a turn against these. So both
are written anew, as grey PNG, upright as on a radiologist's screen: anterior at the top, the patient's
right at the left; the image with the same values, the label as 0 and 1.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from monai_levelset.data.errors import DataError, raise_problems
from monai_levelset.data.readers.base import Case, SourceListing
from monai_levelset.data.readers.listing import find_folders, list_files
from monai_levelset.data.readers.pictures import read_grey, save_label
from monai_levelset.data.readers.splits import read_splits

__all__ = ["LABELS", "THRESHOLD", "read_liver_slices"]

LABELS = {"0": "background", "1": "liver"}
VERSION = 2
"""Raised whenever the written files change, so that `prepare` writes them anew."""

THRESHOLD = 127
"""A label above it is liver: compression leaves values around 0 and around 255 in JPG labels."""

_NAME = re.compile(r"(?P<orientation>flipped|mirrored)_(?P<case>\d+)_(?P<slice>\d+)")
_PICTURES = (".jpg", ".jpeg", ".png", ".bmp")
_QUARTER_TURNS = {"flipped": -1, "mirrored": 1}  # of arrays (x, y), to stand upright
_GREY_NOISE = 8  # how much the colours of a grey JPG may differ


def read_liver_slices(source: Path) -> SourceListing:
    """Find the slices and their labels; the case number in the name is the patient.

    The sections are those of `splits.json`; without that file they are drawn.

    Args:
        source: folder with `images`, `labels` and `splits.json`.

    Returns:
        The data set; items have `slice` (the number in the name) and `orientation`. `skipped` names cases of
        `splits.json` without a slice.

    Raises:
        DataError: the folders are not there; a label or an image is missing or there twice; a name is another
            one; a case is not in `splits.json`, or there in two sections.

    Example:
        >>> import tempfile
        >>> source = Path(tempfile.mkdtemp())
        >>> for name in ("images/flipped_10001_103.jpg", "labels/flipped_10001_103.png"):
        ...     (source / name).parent.mkdir()
        ...     (source / name).touch()
        >>> [(case.id, case.patient, case.extra["slice"]) for case in read_liver_slices(source).cases]
        [('flipped_10001_103', '10001', 103)]
    """
    root = _root(source)
    section_of = read_splits(root)
    problems: list[str] = []
    images = _pictures(root / "images", problems)
    labels = _pictures(root / "labels", problems)
    problems += _alone(images, labels, root / "labels") + _alone(labels, images, root / "images")
    cases = [_case(name, images[name], labels[name], section_of) for name in images if name in labels]
    problems += _not_listed(root, cases, section_of)
    raise_problems(problems)
    return SourceListing(
        name="Liver CT slices, 8 bit",
        description=(
            "Windowed CT slices with the liver, from the Medical Segmentation Decathlon (Antonelli et al. "
            "2022). CC BY-SA 4.0."
        ),
        modality="CT",
        labels=LABELS,
        cases=cases,
        skipped=_without_slice(root, cases, section_of),
    )


def convert_liver_slice(case: Case, folder: Path) -> tuple[list[Path], list[Path]]:
    """Write `images/ID.png`, upright, with one channel, and `labels/ID.png` with 0 and 1.

    Raises:
        DataError: a file is unreadable, or the image is coloured.
    """
    image = read_grey(case.image[0], tolerance=_GREY_NOISE)
    label = _binary(case.label[0], read_grey(case.label[0], tolerance=_GREY_NOISE))
    image, label = (np.rot90(a, _QUARTER_TURNS[case.extra["orientation"]]) for a in (image, label))
    return (
        [save_label(folder / "images" / f"{case.id}.png", image)],
        [save_label(folder / "labels" / f"{case.id}.png", label)],
    )


def _binary(path: Path, label: np.ndarray) -> np.ndarray:
    values = set(np.unique(label).tolist())
    if values <= {0, 1}:  # written as 0 and 1 already
        return label
    unclear = np.count_nonzero((label > THRESHOLD // 2) & (label <= 255 - THRESHOLD // 2))
    if unclear > label.size // 4:
        raise DataError(f"{path}: a label is 0 and 255, but this has many grey values. Copy it again.")
    return (label > THRESHOLD).astype(np.uint8)


def _root(source: Path) -> Path:
    roots = find_folders(source, lambda f: (f / "images").is_dir() and (f / "labels").is_dir())
    if len(roots) == 1:
        return roots[0]
    if roots:
        raise DataError(
            f"{source}: images/ and labels/ are in {', '.join(map(str, roots))}. Give one of these."
        )
    raise DataError(f"{source}: images/ and labels/ are not here. Give the folder that holds both.")


def _pictures(folder: Path, problems: list[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file in list_files(folder):
        if not file.name.lower().endswith(_PICTURES) or not _NAME.fullmatch(file.stem):
            problems.append(f"{file}: expected a name such as flipped_10001_103.jpg. Rename or remove it.")
        elif file.stem in found:
            problems.append(f"{file}: {found[file.stem]} is the same slice. Keep one.")
        else:
            found[file.stem] = file
    if not found:
        problems.append(f"{folder}: no slice is in it. Copy the data again.")
    return found


def _alone(files: dict[str, Path], others: dict[str, Path], folder: Path) -> list[str]:
    return [
        f"{file}: no file of that name is in {folder}. Copy it again, or remove this one."
        for name, file in files.items()
        if name not in others
    ]


def _case(name: str, image: Path, label: Path, section_of: dict[str, str]) -> Case:
    match = _NAME.fullmatch(name)
    assert match is not None
    return Case(
        id=name,
        patient=match["case"],
        image=(image,),
        label=(label,),
        section=section_of.get(match["case"]),
        convert=convert_liver_slice,
        extra={"slice": int(match["slice"]), "orientation": match["orientation"]},
    )


def _not_listed(root: Path, cases: list[Case], section_of: dict[str, str]) -> list[str]:
    patients = dict.fromkeys(case.patient for case in cases)
    return [
        f"{root / 'splits.json'}: the case {patient} is in no list. Add it, or remove the file."
        for patient in patients
        if section_of and patient not in section_of
    ]


def _without_slice(root: Path, cases: list[Case], section_of: dict[str, str]) -> list[str]:
    patients = {case.patient for case in cases}
    return [
        f"{root / 'splits.json'}: the case {patient} has no slice"
        for patient in section_of
        if patient not in patients
    ]
