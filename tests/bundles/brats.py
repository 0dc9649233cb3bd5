"""Data for the brain-tumour bundle, shared by its tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from .common import ROOT, Array

BRATS_BUNDLE = ROOT / "bundles" / "brats_mri_levelset_segmentation"
SMALL = {"channels": [8, 16, 32], "field_size": [80, 96, -1]}
SEQUENCES = ("flair", "t1", "t1c", "t2")


def split_sequences(file: Path, folder: Path, affine: Array | None = None) -> Path:
    """The channels of a file as one file per sequence, in a folder as BraTS has it."""
    volume: Any = nib.load(file)
    values = np.asarray(volume.dataobj)
    folder.mkdir(parents=True)
    for channel, name in enumerate(SEQUENCES):
        image = nib.Nifti1Image(values[..., channel], volume.affine if affine is None else affine)
        nib.save(image, folder / f"{folder.name}_{name}.nii.gz")
    return folder
