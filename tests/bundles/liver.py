"""Data for the liver bundle, shared by its tests: phantom CT in HU, and slices of it windowed to 8 bits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from monai_levelset.data.axes import turn_axes
from monai_levelset.data.grids import read_array

from .common import ROOT, Array

LIVER_BUNDLE = ROOT / "bundles" / "liver_ct_levelset_segmentation"
WINDOW = (0, 280)


def on_network_axes(path: Path) -> tuple[Array, tuple[float, ...]]:
    """A volume with its axes to posterior, left, superior, and its spacing."""
    values, grid = turn_axes(*read_array(path), "PLS")
    return values, grid.spacing


def picture(plane: Array, size: int, *, label: bool = False) -> Array:
    """A slice on the network's axes as a picture `(x, y)` shows it on a screen: windowed, x to the left."""
    low, high = (0, 1) if label else WINDOW
    grey = (plane.astype(np.float32).clip(low, high) - low) / (high - low) * 255
    mode = "area" if size <= plane.shape[0] else "bilinear"
    resized = F.interpolate(torch.from_numpy(grey)[None, None], (size, size), mode=mode)[0, 0].T.numpy()
    return ((resized > 127) * 255 if label else resized.round()).astype(np.uint8)


def write_pictures(folder: Path, data: Path, sections: Mapping[str, Sequence[str]], size: int = 96) -> Path:
    """Eight slices of each phantom volume in the layout of `prepare liver_slices`, spine at the left."""
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    splits: dict[str, list[str]] = {section: [] for section in sections}
    for section, names in sections.items():
        for name in names:
            patient = f"1{name.removeprefix('liver_').removesuffix('.nii.gz'):0>4}"
            splits[section].append(patient)
            image, label = (on_network_axes(data / kind / name)[0] for kind in ("images", "labels"))
            covered = np.flatnonzero(label.sum((0, 1)) > 300)
            for k in covered[np.linspace(0, len(covered) - 1, 8).astype(int)]:
                stem = f"flipped_{patient}_{k}"
                grey = Image.fromarray(np.ascontiguousarray(picture(image[..., k], size)[:, ::-1]))
                Image.merge("RGB", [grey] * 3).save(folder / f"images/{stem}.jpg", quality=95)
                mask = picture(label[..., k], size, label=True)
                Image.fromarray(np.ascontiguousarray(mask[:, ::-1])).save(folder / f"labels/{stem}.png")
    (folder / "splits.json").write_text(json.dumps(splits))
    return folder


def write_nifti(path: Path, values: Array, affine: Array) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, affine), path)
    return path


def read_mask(path: Path) -> Array:
    """The values `(x, y[, z])` of a label map of any format."""
    values, _ = read_array(path)
    return values
