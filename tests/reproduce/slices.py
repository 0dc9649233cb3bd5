"""Liver slices in the layout in which they are published."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

LIVER_SPLITS = {"train": [f"1{n:04d}" for n in range(8)], "val": ["10020", "10021"], "test": ["10030"]}


def write_slices(root: Path, *parts: str, radius: int = 12) -> Path:
    """8-bit slices of 48 x 48, two per patient of these parts: first a large liver, then its tip."""
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for patient in (name for part in parts for name in LIVER_SPLITS[part]):
        for number, size in ((40, radius), (41, 2)):
            rows, columns = np.mgrid[:48, :48]
            label = (columns - 20 - int(patient) % 9) ** 2 + (rows - 26) ** 2 < size**2
            noise = np.random.default_rng([int(patient), number]).integers(0, 60, label.shape)
            name = f"flipped_{patient}_{number}.png"
            Image.fromarray((60 + 120 * label + noise).astype(np.uint8)).save(root / "images" / name)
            Image.fromarray((255 * label).astype(np.uint8)).save(root / "labels" / name)
    (root / "splits.json").write_text(json.dumps({part: LIVER_SPLITS[part] for part in parts}))
    return root
