"""Choose the level set's weights on validation patients.

python -m monai_levelset.reproduce.level_set_search --data DATA --runs OUT/runs --out OUT --trials 30
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from monai_levelset.evaluation import find_bundle
from monai_levelset.report import cases_csv, write_text
from monai_levelset.reproduce.models import level_set, load_network
from monai_levelset.reproduce.sections import Section
from monai_levelset.reproduce.tang2017 import BUNDLE
from monai_levelset.transforms import LevelSetRefinement

#: parameter -> lowest and highest value, drawn evenly on a logarithmic scale
RANGES = {"region_weight": (0.03, 1.0), "curvature_weight": (0.02, 0.8), "shape_weight": (0.01, 0.5)}
CHOICES = {"steps": (30, 50, 100), "residual_limit": (2.0, 4.0, 8.0)}
STAGES = ("pre-trained", "joint")


def search(
    data: str, runs: str, out: str, *, trials: int = 30, seed: int = 0, every: int = 3
) -> list[dict[str, Any]]:
    """Random search for the validation Dice of the refined maps of finished trainings.

    The first trial is what the bundle sets now, the second leaves the prior out. The test part is not read.

    Args:
        data: the data's folder.
        runs: folder with `seed0`, `seed1`, ... of `monai-levelset reproduce tang2017-lv`.
        out: folder for `level_set_search.csv`.
        trials: settings tried.
        seed: of the draws.
        every: use every n-th validation image.

    Returns:
        The trials, best first: parameters and Dice per stage, mean over seeds.

    Raises:
        FileNotFoundError: `runs` holds no finished training.
    """
    bundle = find_bundle(BUNDLE).absolute()
    folders = [
        f
        for f in sorted(Path(runs).glob("seed*"))
        if all((f / s / "finished.json").is_file() for s in STAGES)
    ]
    if not folders:
        raise FileNotFoundError(
            f"{runs}: no finished runs; run `monai-levelset reproduce tang2017-lv` first."
        )
    whole = Section.load(bundle, Path(data), "validation")
    section = Section(whole.items[::every], whole.images[::every], whole.labels[::every], whole.transform)
    maps = {(f, s): section.probabilities(load_network(f / s)) for f in folders for s in STAGES}
    now = _parameters(level_set(bundle, folders[0] / STAGES[0]))
    draw = np.random.default_rng(seed)
    settings = [now, {**now, "shape_weight": 0.0}, *(_draw(draw) for _ in range(trials - 2))][:trials]
    rows = []
    for number, setting in enumerate(settings):
        scores = {
            s: np.mean([_dice(section, maps[f, s], level_set(bundle, f / s), setting) for f in folders])
            for s in STAGES
        }
        rows.append({"trial": number, **setting, **{s: round(float(v), 4) for s, v in scores.items()}})
        print(rows[-1], flush=True)
    rows.sort(key=lambda row: -sum(row[s] for s in STAGES))
    write_text(Path(out) / "level_set_search.csv", cases_csv(rows))
    print("best:", rows[0])
    return rows


def _parameters(refine: LevelSetRefinement) -> dict[str, Any]:
    return {name: getattr(refine, name) for name in (*RANGES, *CHOICES)}


def _draw(draw: np.random.Generator) -> dict[str, Any]:
    weights = {k: round(math.exp(draw.uniform(math.log(a), math.log(b))), 3) for k, (a, b) in RANGES.items()}
    return {**weights, **{name: draw.choice(values).item() for name, values in CHOICES.items()}}


def _dice(section: Section, maps: Tensor, refine: LevelSetRefinement, setting: dict[str, Any]) -> float:
    for name, value in setting.items():
        setattr(refine, name, value)
    masks = section.whole(section.refined(maps, refine))
    return float(section.score(masks)["mean"]["dice"])


if __name__ == "__main__":
    import fire

    torch.set_num_threads(1)
    fire.Fire(lambda **options: search(**options) and None)
