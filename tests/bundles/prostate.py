"""Data for the tests of the prostate bundle: a bright gland in a small volume, and files of it."""

from __future__ import annotations

from pathlib import Path

import itk
import numpy as np

from .common import ROOT, Array

PROSTATE_BUNDLE = ROOT / "bundles" / "prostate_mri_levelset_deepgrow"
SHAPE = (40, 36, 7)
AFFINE = np.array([[-0.6, 0, 0, 20.5], [0, -0.8, 0, 31.25], [0, 0, 3.5, -12.0], [0, 0, 0, 1]])
"""Axes to the left, posterior and superior, as scanners store axial slices and screens show them."""


def gland() -> Array:
    """A mask whose slices 1 to 5 hold an ellipse, each of another size and at another place."""
    x, y, z = np.ogrid[tuple(slice(n) for n in SHAPE)]
    width, height = 6 + z, 5 + 0.5 * z
    inside = ((x - 14 - z) / width) ** 2 + ((y - 15 - 0.5 * z) / height) ** 2 <= 1
    return np.asarray(inside & (z > 0) & (z < 6), np.uint8)


def scan(mask: Array, seed: int = 0) -> Array:
    """Bright object on a dark ground with noise and an odd place elsewhere, of whole numbers up to 255."""
    values = 60 + 140 * mask + np.random.default_rng(seed).normal(0, 5, mask.shape)
    values[:3, :3] = 255
    return np.asarray(values.round(), np.int16)


def write_itk(path: Path, values: Array, affine: Array) -> None:
    """MHA, MHD or NRRD."""
    image = itk.image_from_array(np.ascontiguousarray(values.T))
    lps = (np.diag([-1.0, -1, 1, 1]) @ affine)[:3]
    spacing = np.linalg.norm(lps[:, :3], axis=0)
    image.SetSpacing(spacing[: values.ndim].tolist())
    image.SetOrigin(lps[: values.ndim, 3].tolist())
    direction = (lps[:, :3] / spacing)[: values.ndim, : values.ndim]
    image.SetDirection(itk.matrix_from_array(np.ascontiguousarray(direction)))
    path.parent.mkdir(parents=True, exist_ok=True)
    itk.imwrite(image, str(path))
