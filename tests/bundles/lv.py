"""Data for the left-ventricle bundle, and ways to run it, shared by its tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.bundle import ConfigWorkflow
from numpy.typing import NDArray
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
LV_BUNDLE = ROOT / "bundles" / "lv_mri_levelset_segmentation"
Array = NDArray[Any]


def ventricle(rng: np.random.Generator, size: tuple[int, int] = (160, 160)) -> tuple[Array, Array]:
    """A bright ellipse near the centre of a noisy image, and its mask; both (x, y), as MONAI reads them."""
    x, y = np.meshgrid(*(np.arange(n) - n / 2 for n in size), indexing="ij")
    (cx, cy), (rx, ry) = rng.uniform(-8, 8, 2), rng.uniform(16, 24, 2)
    mask = ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1
    image = (60 + 90 * mask + rng.normal(0, 12, size)).clip(0, 255)
    return image.astype(np.uint8), mask.astype(np.uint8)


def write_png(path: Path, values: Array) -> Path:
    """Write an array (x, y) as a PNG."""
    Image.fromarray(np.ascontiguousarray(values.T)).save(path)
    return path


def read_png(path: Path) -> Array:
    """The values (x, y) of a PNG."""
    with Image.open(path) as image:
        return np.asarray(image).T


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


def monai_bundle(
    *words: str | Path, cwd: Path = ROOT, launcher: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """`python -m monai.bundle WORDS` in a process of its own."""
    command = [sys.executable, *launcher, "-m", "monai.bundle", *map(str, words)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=600, check=False)


def config_files(bundle: Path, *names: str) -> str:
    """Value of `--config_file` for a base configuration and its overrides."""
    return str([str(bundle / "configs" / f"{name}.json") for name in names])


def run_workflow(bundle: Path, *names: str, run_id: str = "run", **settings: Any) -> ConfigWorkflow:
    """What `python -m monai.bundle run` does, in this process."""
    files = [str(bundle / "configs" / f"{name}.json") for name in names]
    overrides = {
        "bundle_root": str(bundle),
        **{k: str(v) if isinstance(v, Path) else v for k, v in settings.items()},
    }
    workflow = ConfigWorkflow(files, logging_file=False, run_id=run_id, workflow_type="train", **overrides)
    workflow.initialize()
    workflow.run()
    workflow.finalize()
    return workflow


def dice(a: Array, b: Array) -> float:
    """Dice coefficient of two masks."""
    a, b = np.asarray(a) > 0, np.asarray(b) > 0
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))
