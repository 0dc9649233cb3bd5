"""Data for the left-ventricle bundle, shared by its tests."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from .common import ROOT, Array, write_png

LV_BUNDLE = ROOT / "bundles" / "lv_mri_levelset_segmentation"


def ventricle(rng: np.random.Generator, size: tuple[int, int] = (160, 160)) -> tuple[Array, Array]:
    """A bright ellipse near the centre of a noisy image, and its mask; both (x, y), as MONAI reads them."""
    x, y = np.meshgrid(*(np.arange(n) - n / 2 for n in size), indexing="ij")
    (cx, cy), (rx, ry) = rng.uniform(-8, 8, 2), rng.uniform(16, 24, 2)
    mask = ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1
    image = (60 + 90 * mask + rng.normal(0, 12, size)).clip(0, 255)
    return image.astype(np.uint8), mask.astype(np.uint8)


def write_data(folder: Path, counts: dict[str, int], seed: int = 0) -> Path:
    """PNG slices with a data list."""
    folder.mkdir(parents=True)
    rng, sections = np.random.default_rng(seed), {}
    for section, count in counts.items():
        sections[section] = []
        for name in (f"{section}-{k}" for k in range(count)):
            image, mask = ventricle(rng)
            write_png(folder / f"{name}.png", image)
            write_png(folder / f"{name}-label.png", mask * 255)
            item = {"image": f"{name}.png", "label": f"{name}-label.png", "id": name, "patient": name}
            sections[section].append(item)
    (folder / "datalist.json").write_text(json.dumps(sections))
    return folder
