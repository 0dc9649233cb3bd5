"""Data and settings for the tests of the bundle without labels."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from monai_levelset.data.phantoms import generate_phantoms

from .common import ROOT

NATURAL_BUNDLE = ROOT / "bundles" / "natural_levelset_segmentation"
#: A training that takes seconds.
QUICK: dict[str, Any] = {
    "size": 48,
    "roi_size": [40, 40],
    "network_def#channels": [8, 16, 32],
    "log_interval": 1,
    "batch_size": 4,
}


def write_pictures(folder: Path, cases: int = 12) -> Path:
    """Phantoms; their labels are put aside, so that nothing can train on them."""
    generate_phantoms("natural", folder, cases=cases, seed=0)
    shutil.move(folder / "labels", folder.parent / "truth")
    text = (folder / "datalist.json").read_text()
    (folder / "datalist.json").write_text(text.replace('"label":', '"not_here":'))
    return folder
