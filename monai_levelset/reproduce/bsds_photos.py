"""The pictures of BSDS500 for the label-free table: which are scored, which the network may learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from monai_levelset.data import DataError
from monai_levelset.data.grids import read_array
from monai_levelset.data.readers.bsds500 import read_bsds500, read_segmentations
from monai_levelset.transforms import Photograph

_FEWEST = 4


@dataclass(frozen=True)
class Photo:
    """One picture and the segmentations that people drew.

    Attributes:
        name: the file's name without ending.
        image: the picture.
        truth: the `.mat` file.
    """

    name: str
    image: Path
    truth: Path

    def load(self) -> tuple[Tensor, list[NDArray[Any]]]:
        """CIELAB / 100, `(3, W, H)`, and one map of regions `(W, H)` per person.

        Raises:
            DataError: a file cannot be read, or the two differ in size.
        """
        values, _ = read_array(self.image)
        picture = torch.as_tensor(values.astype("float32"))
        picture = picture[None] if picture.ndim == 2 else picture.movedim(-1, 0)
        truths = read_segmentations(self.truth)
        if any(truth.shape != picture.shape[1:] for truth in truths):
            raise DataError(
                f"{self.truth}: its segmentations are {truths[0].shape}, but {self.image} is "
                f"{tuple(picture.shape[1:])}. Unpack both again."
            )
        return Photograph("lab")(picture), truths


@dataclass(frozen=True)
class Fold:
    """Pictures that a network learns from, without their labels, and those that it is scored on."""

    name: str
    training: Sequence[Photo]
    scored: Sequence[Photo]


@dataclass(frozen=True)
class Photos:
    """A part of BSDS500 that is scored.

    Attributes:
        part: `training`, `validation` or `test`.
        folds: together, their `scored` are the part.
        crossed: whether the part was halved because there is no other.
    """

    part: str
    folds: Sequence[Fold]
    crossed: bool

    @property
    def scored(self) -> list[Photo]:
        """All pictures of the part, by name."""
        return sorted((photo for fold in self.folds for photo in fold.scored), key=lambda photo: photo.name)


def find_photos(data: Path) -> Photos:
    """Score the test part if it has segmentations, else validation, else training.

    The network learns from the pictures of the other parts. If there is none, the part is halved: from each
    half a network learns that is scored on the other.

    Args:
        data: folder of BSDS500 as published.

    Raises:
        DataError: see `read_bsds500`; or there are no segmentations, or fewer than four pictures to learn
            from.
    """
    parts: dict[str, list[Photo]] = {"test": [], "validation": [], "training": []}
    labeled = set()
    for case in read_bsds500(data).cases:
        truth = Path(case.label[0]) if case.label else Path()
        parts[str(case.section)].append(Photo(case.id, Path(case.image[0]), truth))
        labeled |= {str(case.section)} if case.label else set()
    for photos in parts.values():
        photos.sort(key=lambda photo: photo.name)
    part = next((name for name in parts if name in labeled), None)
    if part is None:
        raise DataError(f"{data}: no part of BSDS500 here has segmentations. Unpack groundTruth as well.")
    return Photos(part, *_folds(data, parts, part))


def _folds(data: Path, parts: Mapping[str, Sequence[Photo]], part: str) -> tuple[list[Fold], bool]:
    scored = parts[part]
    others = [photo for name, photos in parts.items() if name != part for photo in photos]
    if len(others or scored) < _FEWEST:
        raise DataError(
            f"{data}: {len(others or scored)} pictures to learn from; at least {_FEWEST} are needed."
        )
    if others:
        return [Fold("all", others, scored)], False
    halves = scored[::2], scored[1::2]
    return [Fold(f"half{i}", halves[1 - i], halves[i]) for i in range(2)], True
