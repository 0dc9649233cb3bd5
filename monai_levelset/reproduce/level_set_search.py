"""Choose the level set's weights on validation patients.

python -m monai_levelset.reproduce.level_set_search --data DATA --runs OUT/runs --out OUT --trials 30
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from monai_levelset.report import cases_csv, write_text
from monai_levelset.reproduce.models import level_set, load_network
from monai_levelset.reproduce.parts import find_parts
from monai_levelset.reproduce.sections import Section
from monai_levelset.reproduce.targets import find_target
from monai_levelset.transforms import LevelSetRefinement

#: parameter -> lowest and highest value, drawn evenly on a logarithmic scale
RANGES = {"region_weight": (0.03, 1.0), "curvature_weight": (0.02, 0.8), "shape_weight": (0.01, 0.5)}
CHOICES: dict[str, tuple[float, ...]] = {"steps": (30, 50, 100), "residual_limit": (2.0, 4.0, 8.0)}
CONTRASTS = (0.25, 0.5, 1.0, 2.0, 4.0, math.inf)
STAGES = ("pre-trained", "joint")


def search(
    data: str,
    runs: str,
    out: str,
    *,
    target: str = "tang2017-lv",
    trials: int = 30,
    seed: int = 0,
    every: int = 3,
) -> list[dict[str, Any]]:
    """Random search for the validation Dice of the refined maps of finished trainings.

    The images are those that chose the checkpoints; what the table is reported on is not scored. The first
    trial is what the bundle sets now, the second leaves the prior out.

    Args:
        data: the data's folder.
        runs: folder with `seed0`, `seed1`, ... of `monai-levelset reproduce`.
        out: folder for `level_set_search.csv`.
        target: what was reproduced: `tang2017-lv` or `tang2017-liver`.
        trials: settings tried.
        seed: of the draws.
        every: use every n-th validation image.

    Returns:
        The trials, best first: parameters and Dice per stage, mean over seeds.

    Raises:
        FileNotFoundError: `runs` holds no finished training.
    """
    what = find_target(target)
    folders = [
        f
        for f in sorted(Path(runs).glob("seed*"))
        if all((f / s / "finished.json").is_file() for s in STAGES)
    ]
    if not folders:
        raise FileNotFoundError(f"{runs}: no finished runs; run `monai-levelset reproduce {target}` first.")
    whole = Section.load(what, find_parts(what, Path(data), Path(runs).parent).folder, "validation")
    section = Section(whole.items[::every], whole.images[::every], whole.labels[::every], whole.transform)
    maps = {(f, s): section.probabilities(load_network(what, f / s)) for f in folders for s in STAGES}
    first = level_set(what, folders[0] / STAGES[0])
    choices = _choices(first)
    now = {name: getattr(first, name) for name in (*RANGES, *choices)}
    draw = np.random.default_rng(seed)
    settings = [now, {**now, "shape_weight": 0.0}, *(_draw(draw, choices) for _ in range(trials - 2))][
        :trials
    ]
    rows = []
    for number, setting in enumerate(settings):
        scores = {
            s: np.mean([_dice(section, maps[f, s], level_set(what, f / s), setting) for f in folders])
            for s in STAGES
        }
        rows.append({"trial": number, **setting, **{s: round(float(v), 4) for s, v in scores.items()}})
        print(rows[-1], flush=True)
    rows.sort(key=lambda row: -sum(row[s] for s in STAGES))
    write_text(Path(out) / "level_set_search.csv", cases_csv(rows))
    print("best:", rows[0])
    return rows


def _choices(refine: LevelSetRefinement) -> dict[str, tuple[float, ...]]:
    """Also the edges' contrast, where the bundle sets one, up to infinite: no edges."""
    if refine.edge_contrast is None:
        return CHOICES
    return {**CHOICES, "edge_contrast": tuple(factor * refine.edge_contrast for factor in CONTRASTS)}


def _draw(draw: np.random.Generator, choices: Mapping[str, tuple[float, ...]]) -> dict[str, Any]:
    weights = {k: round(math.exp(draw.uniform(math.log(a), math.log(b))), 3) for k, (a, b) in RANGES.items()}
    return {**weights, **{name: draw.choice(values).item() for name, values in choices.items()}}


def _dice(section: Section, maps: Tensor, refine: LevelSetRefinement, setting: dict[str, Any]) -> float:
    for name, value in setting.items():
        setattr(refine, name, value)
    masks = section.whole(section.refined(maps, refine.soft))
    return float(section.score(masks)["mean"]["dice"])


if __name__ == "__main__":
    import fire

    torch.set_num_threads(1)
    fire.Fire(lambda **options: search(**options) and None)
