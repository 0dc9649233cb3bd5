"""Small settings and data of the liver-lesion bundle, shared by its tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .common import ROOT, run_workflow

LITS_BUNDLE = ROOT / "bundles" / "lits_tumor_ct_levelset_segmentation"
#: What training and inference must agree on.
SMALL = {"size": [64, 64], "field_size": [32, 40], "channels": [8, 16]}
LIVER = {"size": [64, 64], "channels": [8, 16]}


def train(data: Path, out: Path, *overrides: str, **settings: Any) -> Any:
    """A short training of the liver or the lesion network into `out/models` and `out/eval`."""
    folders = {"dataset_dir": data, "ckpt_dir": out / "models", "output_dir": out / "eval"}
    few = {"cache_dir": data / "cache", "log_interval": 1, "val_interval": 50, "labeled_fraction": 0.4}
    small = LIVER if "liver" in overrides else SMALL
    return run_workflow(
        *(LITS_BUNDLE, "train", *overrides), run_id="training", **{**folders, **few, **small, **settings}
    )


def infer(images: Path, out: Path, checkpoint: Path, **settings: Any) -> None:
    """The bundle's inference with the small settings."""
    given = {"dataset_dir": images, "output_dir": out, "checkpoint": checkpoint}
    run_workflow(LITS_BUNDLE, "inference", **{**given, **SMALL, **settings})
