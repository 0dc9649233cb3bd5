"""Where the gain of joint training comes from, and what replaces the paper's optimiser, on validation.

python -m monai_levelset.reproduce.ablation --data DATA --runs OUT/runs --out OUT --seeds 2
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from monai_levelset.data import DataError
from monai_levelset.evaluation import find_bundle
from monai_levelset.report import write_tables
from monai_levelset.reproduce.models import level_set, load_network
from monai_levelset.reproduce.sections import Section
from monai_levelset.reproduce.stages import Stage, budget, train
from monai_levelset.reproduce.tang2017 import BUNDLE, STAGES, over_seeds

_ADADELTA = {
    "optimizer": {"_target_": "torch.optim.Adadelta", "params": "$@network.parameters()"},
    "lr_scheduler": None,
}

#: Row -> stage. The first three are the table's own trainings; the others change one thing.
ROWS = {
    "joint training": STAGES[1],
    "labelled-only control": STAGES[2],
    "pre-trained": STAGES[0],
    "joint without shape prior": Stage(
        "joint-no-shape", "joint", after="pre-trained", settings={"train#refinement#shape_weight": 0.0}
    ),
    "joint without evolution (thresholded map, largest component)": Stage(
        "joint-no-evolution", "joint", after="pre-trained", settings={"train#refinement#steps": 0}
    ),
    "joint without replay": Stage(
        "joint-no-replay", "joint", after="pre-trained", settings={"train#trainer#replay": None}
    ),
    "joint, one view of an unlabelled image": Stage(
        "joint-one-view", "joint", after="pre-trained", settings={"train#trainer#views": 1}
    ),
    "pre-trained by ADADELTA": Stage("pre-trained-adadelta", "pretrain", settings=_ADADELTA),
    "pre-trained from N(0, 0.01)": Stage(
        "pre-trained-normal", "pretrain", settings={"network_def#init_std": 0.01}
    ),
    "pre-trained by ADADELTA from N(0, 0.01)": Stage(
        "pre-trained-paper", "pretrain", settings={**_ADADELTA, "network_def#init_std": 0.01}
    ),
}


def ablate(data: str, runs: str, out: str, *, seeds: int = 2) -> dict[str, Any]:
    """Train the variants from the seeds of `monai-levelset reproduce tang2017-lv`; score on validation data.

    Each variant has the budget of updates of the training it changes. Finished trainings are not repeated.

    Args:
        data: the data's folder.
        runs: folder with `seed0`, `seed1`, ... of the reproduction; the variants are added there.
        out: folder for `ablation/table.md` and `ablation/table.csv`.
        seeds: how many of the seeds.

    Returns:
        Row -> metric -> mean, sd and values of the seeds; `dice` of the network, `dice_level_set` after
        refinement.

    Raises:
        DataError: a seed has not been run.
    """
    bundle, folders = (
        find_bundle(BUNDLE).absolute(),
        [Path(runs).absolute() / f"seed{i}" for i in range(seeds)],
    )
    for folder in folders:
        if not (folder / "pre-trained" / "finished.json").is_file():
            raise DataError(f"{folder}: not trained yet; run `monai-levelset reproduce tang2017-lv` first.")
    section = Section.load(bundle, Path(data), "validation")
    models = {}
    for row, stage in ROWS.items():
        scores = []
        for seed, folder in enumerate(folders):
            updates = budget(bundle, stage)
            trained = train(bundle, stage, folder, data=Path(data).absolute(), seed=seed, updates=updates)
            scores.append(_score(bundle, section, trained))
        models[row] = {name: over_seeds([s[name] for s in scores]) for name in scores[0]}
        print(row, models[row], flush=True)
    write_tables(Path(out) / "ablation", models, ["dice", "dice_level_set"])
    return models


def _score(bundle: Path, section: Section, folder: Path) -> dict[str, float]:
    maps = section.probabilities(load_network(folder))
    refined = section.refined(maps, level_set(bundle, folder))
    return {
        "dice": section.score(section.whole(maps > 0.5))["mean"]["dice"],
        "dice_level_set": section.score(section.whole(refined))["mean"]["dice"],
    }


if __name__ == "__main__":
    import fire

    torch.set_num_threads(1)
    fire.Fire(lambda **options: ablate(**options) and None)
