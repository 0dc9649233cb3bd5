"""Small hearts in the flat layout of the few-label benchmarks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray


def heart(seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """A small volume of three slices with a cavity, a muscle around it and another cavity beside them.

    All lies within the middle four fifths of a slice.
    """
    random = np.random.default_rng(seed)
    x, y = np.mgrid[-5:45, -6:54]
    centre = random.uniform(17, 23), random.uniform(21, 27)
    radius = np.hypot(x - centre[0], y - centre[1])
    label = np.where(radius < 9, 2, 0)
    label = np.where(radius < 6, 3, label)
    label = np.where((np.hypot(x - centre[0] + 12, (y - centre[1]) / 1.5) < 5) & (label == 0), 1, label)
    image = np.choose(label, [60, 160, 90, 180]) + random.normal(0, 8, label.shape)
    volumes = (np.repeat(array[..., None], 3, -1) for array in (image, label))
    image, label = (np.clip(volume, 0, 255).astype(np.uint8) for volume in volumes)
    return image, label


def write_hearts(folder: Path, **sections: list[int]) -> Path:
    """The flat layout of the few-label benchmarks."""
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    splits: dict[str, list[str]] = {}
    for section, patients in sections.items():
        splits[section] = [f"patient{patient:03d}_frame01" for patient in patients]
        for patient, name in zip(patients, splits[section], strict=True):
            for kind, values in zip(("images", "labels"), heart(patient), strict=True):
                nib.save(nib.Nifti1Image(values, np.eye(4)), folder / kind / f"{name}.nii.gz")
    (folder / "splits.json").write_text(json.dumps(splits))
    return folder
