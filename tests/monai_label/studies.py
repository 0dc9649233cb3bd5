"""Phantoms as a user's studies: volumes in several orientations, with their labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from monai_levelset.data.phantoms import generate_phantoms

ORIENTATIONS = ("LPS", "RAS", "SRP", "ALI")
"""As drawn, flipped, with slices along the first axis, and turned in the plane."""


@dataclass(frozen=True)
class Study:
    """An image with its label."""

    image: Path
    label: Path

    @property
    def id(self) -> str:
        """The name in MONAI Label's datastore."""
        return self.image.name.split(".")[0]

    def truth(self) -> NDArray[Any]:
        """The label's values."""
        return np.asarray(nibabel.load(self.label).dataobj)


def studies(task: str, folder: Path, *, cases: int = 1, seed: int = 5) -> list[Study]:
    """The images of a task's phantoms, as they are drawn."""
    generate_phantoms(task, folder, cases=max(cases, 3), seed=seed)
    images = sorted((folder / "images").iterdir())
    found = [Study(image, folder / "labels" / image.name) for image in images]
    return [study for study in found if study.label.is_file()][:cases]


def turned(study: Study, folder: Path, axcodes: str) -> Study:
    """The same volume with its axes in another order and direction."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for path, kind in ((study.image, ""), (study.label, "-label")):
        name = f"{study.id}-{axcodes}{kind}.nii.gz"
        nibabel.save(_reoriented(nibabel.load(path), axcodes), folder / name)
        files.append(folder / name)
    return Study(*files)


def _reoriented(image: nibabel.Nifti1Image, axcodes: str) -> nibabel.Nifti1Image:
    orientations = nibabel.orientations
    wanted = orientations.axcodes2ornt(axcodes)
    change = orientations.ornt_transform(orientations.io_orientation(image.affine), wanted)
    return image.as_reoriented(change)


def axial_clicks(study: Study, slices: int = 2) -> list[list[int]]:
    """The four extreme points of the object on some axial slices, in the file's voxels."""
    image = nibabel.load(study.label)
    axis = int(np.flatnonzero(nibabel.orientations.io_orientation(image.affine)[:, 0] == 2)[0])
    planes = np.moveaxis(study.truth() > 0, axis, -1)
    places = np.flatnonzero(planes.any((0, 1)))
    middle = len(places) // 2
    clicks = []
    for k in places[middle : middle + slices]:
        for row, column in extreme_voxels(planes[..., k]):
            clicks.append(np.insert([row, column], axis, k).tolist())
    return clicks


def extreme_voxels(plane: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Top, bottom, left and right pixel of an object; the middle one of several."""
    found = []
    for axis, end in ((0, min), (0, max), (1, min), (1, max)):
        pixels = np.argwhere(plane)
        side = pixels[pixels[:, axis] == end(pixels[:, axis])]
        found.append(tuple(map(int, side[len(side) // 2])))
    return found
