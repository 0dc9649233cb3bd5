"""BSDS500: 500 natural images, each cut into regions by several people.

Arbelaez et al., "Contour detection and hierarchical image segmentation", IEEE TPAMI 33(5), 2011;
https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/resources.html. Non-commercial research
and education. `BSR_bsds500.tgz` unpacks to `BSR/BSDS500/data/images/{train,val,test}/2092.jpg` and
`BSR/BSDS500/data/groundTruth/{train,val,test}/2092.mat`. A `.mat` file holds the cell array `groundTruth`;
each cell, one per person, is a struct with `Segmentation` (uint16, regions numbered from 1) and `Boundaries`.
Its neighbour `BSR/bench/data` holds examples without these three parts, and is not read.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_levelset.data.errors import DataError, raise_problems
from monai_levelset.data.readers.base import Case, SourceListing
from monai_levelset.data.readers.listing import find_folders, list_files
from monai_levelset.data.readers.pictures import save_label
from monai_levelset.data.readers.splits import SECTION_NAMES

__all__ = ["read_bsds500", "read_segmentations"]

_READ_ERRORS = (OSError, ValueError, TypeError, KeyError, IndexError, NotImplementedError, zlib.error)


def read_bsds500(source: Path) -> SourceListing:
    """Find the images and their segmentations in the official parts.

    An item's `label` is a list, one file per person. The region numbers of different people have nothing to
    do with each other, and none of them means anything by itself, so `labels` is empty.

    Args:
        source: folder of the unpacked archive.

    Returns:
        The data set.

    Raises:
        DataError: `images` and `groundTruth` with parts in them are not there, or there twice; an image or a
            `.mat` file is missing.

    Example:
        >>> import tempfile
        >>> source = Path(tempfile.mkdtemp())
        >>> for name in ("images/train/2092.jpg", "groundTruth/train/2092.mat"):
        ...     (source / "BSDS500" / "data" / name).parent.mkdir(parents=True)
        ...     (source / "BSDS500" / "data" / name).touch()
        >>> [(case.id, case.section) for case in read_bsds500(source).cases]
        [('2092', 'training')]
    """
    root = _root(source)
    problems: list[str] = []
    skipped: list[str] = []
    cases = []
    for part, section in SECTION_NAMES.items():
        images = _by_stem(root / "images" / part, ".jpg", skipped)
        truths = _by_stem(root / "groundTruth" / part, ".mat", skipped)
        withheld = part == "test" and not truths
        problems += [
            f"{root / 'groundTruth' / part / name}.mat: it is missing. Unpack it again."
            for name in images
            if name not in truths and not withheld
        ]
        problems += [
            f"{root / 'images' / part / name}.jpg: it is missing. Unpack it again, or move its .mat away."
            for name in truths
            if name not in images
        ]
        cases += [_case(name, image, truths.get(name), section) for name, image in images.items()]
    raise_problems(problems)
    return SourceListing(
        name="BSDS500",
        description=(
            "Natural images with several segmentations each, Arbelaez et al. 2011. Non-commercial research "
            "and education."
        ),
        modality="RGB",
        labels={},
        cases=cases,
        channels=("red", "green", "blue"),
        skipped=skipped,
    )


def convert_bsds500(case: Case, folder: Path) -> tuple[list[Path], list[Path]]:
    """Write each person's segmentation as `labels/ID_1.png`, `labels/ID_2.png`, ...; the image stays.

    Raises:
        DataError: see `read_segmentations`.
    """
    segmentations = read_segmentations(case.label[0])
    labels = [
        save_label(folder / "labels" / f"{case.id}_{person}.png", values)
        for person, values in enumerate(segmentations, start=1)
    ]
    return list(case.image), labels


def read_segmentations(path: Path) -> list[NDArray[np.uint16]]:
    """Read all segmentations of one `.mat` file.

    Args:
        path: the file.

    Returns:
        One array `(width, height)` per person, regions numbered from 1 on, as everywhere in this package with
        the axes that `read_array` gives the image.

    Raises:
        DataError: the file is truncated or no such `.mat` file, or holds no segmentation.
    """
    from scipy.io import loadmat

    try:
        cells = loadmat(path)["groundTruth"].ravel()
        found = [np.asarray(cell["Segmentation"][0, 0]) for cell in cells]
    except _READ_ERRORS as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise DataError(
            f"{path}: no segmentations can be read from it, it is truncated or no file of BSDS500 "
            f"({reason}). Unpack it again."
        ) from error
    if not found or not all(map(_is_segmentation, found)):
        raise DataError(f"{path}: it holds no 2D segmentation of whole numbers. Unpack it again.")
    return [values.T.astype(np.uint16) for values in found]


def _is_segmentation(values: NDArray[Any]) -> bool:
    if values.ndim != 2 or values.size == 0 or values.dtype.kind not in "ui":
        return False
    return bool(values.min() >= 0 and values.max() <= 65535)


def _root(source: Path) -> Path:
    roots = find_folders(source, _holds_parts, depth=3)
    if len(roots) == 1:
        return roots[0]
    if roots:
        raise DataError(
            f"{source}: BSDS500 is here {len(roots)} times, {', '.join(map(str, roots))}. Give one."
        )
    raise DataError(
        f"{source}: images/train, images/val or images/test beside groundTruth is not here. Give the folder "
        "BSDS500 of the unpacked archive."
    )


def _holds_parts(folder: Path) -> bool:
    return (folder / "groundTruth").is_dir() and any(
        (folder / "images" / part).is_dir() for part in SECTION_NAMES
    )


def _by_stem(folder: Path, suffix: str, skipped: list[str]) -> dict[str, Path]:
    files = list_files(folder)
    skipped += [f"{file}: no {suffix} file" for file in files if file.suffix.lower() != suffix]
    return {file.stem: file for file in files if file.suffix.lower() == suffix}


def _case(name: str, image: Path, truth: Path | None, section: str) -> Case:
    label: tuple[Any, ...] = () if truth is None else (truth,)
    return Case(name, name, (image,), label, section, convert_bsds500 if label else None)
