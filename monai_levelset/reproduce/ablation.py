"""Where the gain of joint training comes from, and what replaces the paper's optimiser, on validation.

python -m monai_levelset.reproduce.ablation --data DATA --runs OUT/runs --out OUT --seeds 2
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from monai_levelset.data import DataError
from monai_levelset.report import write_tables
from monai_levelset.reproduce.models import level_set, load_network
from monai_levelset.reproduce.parts import find_parts
from monai_levelset.reproduce.sections import Section
from monai_levelset.reproduce.seeds import over_seeds
from monai_levelset.reproduce.stages import budget, train
from monai_levelset.reproduce.targets import Stage, Target, find_target

_ADADELTA = {
    "optimizer": {"_target_": "torch.optim.Adadelta", "params": "$@network.parameters()"},
    "lr_scheduler": None,
}


def _changed(stage: Stage, name: str, **settings: Any) -> Stage:
    """A stage with other settings; `__` stands for the `#` of the configuration's ids."""
    changes = {key.replace("__", "#"): value for key, value in settings.items()}
    return replace(stage, name=f"{stage.name}-{name}", settings={**stage.settings, **changes})


def rows(target: Target) -> dict[str, Stage]:
    """Row -> stage. The first three are the table's own trainings; the others change one thing."""
    pre_trained, joint, control = target.stages[:3]
    return {
        "joint training": joint,
        "labelled-only control": control,
        "pre-trained": pre_trained,
        "labelled-only control, 24 images": _changed(control, "24", batch_size=24),
        "joint, 12 images": _changed(joint, "12", batch_size=12, train__replay__capacity=8),
        "joint without shape prior": _changed(joint, "no-shape", train__refinement__shape_weight=0.0),
        "joint without evolution (thresholded map)": _changed(joint, "no-steps", train__refinement__steps=0),
        "joint, one view of an unlabelled image": _changed(joint, "one-view", train__trainer__views=1),
        "pre-trained by ADADELTA": _changed(pre_trained, "adadelta", **_ADADELTA),
        "pre-trained from N(0, 0.01)": _changed(pre_trained, "normal", network_def__init_std=0.01),
        "pre-trained by ADADELTA from N(0, 0.01)": _changed(
            pre_trained, "paper", network_def__init_std=0.01, **_ADADELTA
        ),
        "joint without replay": _changed(joint, "no-replay", train__replay=None),
    }


def ablate(data: str, runs: str, out: str, *, target: str = "tang2017-lv", seeds: int = 2) -> dict[str, Any]:
    """Train the variants from the seeds of `monai-levelset reproduce`; score on what chose the checkpoints.

    Each variant has the budget of updates of the training it changes. Finished trainings are not repeated.

    Args:
        data: the data's folder.
        runs: folder with `seed0`, `seed1`, ... of the reproduction; the variants are added there.
        out: folder for `ablation/table.md` and `ablation/table.csv`.
        target: what was reproduced: `tang2017-lv` or `tang2017-liver`.
        seeds: how many of the seeds.

    Returns:
        Row -> metric -> mean, sd and values of the seeds; `dice` of the network, `dice_level_set` after
        refinement.

    Raises:
        DataError: a seed has not been run.
    """
    what, folders = find_target(target), [Path(runs).absolute() / f"seed{i}" for i in range(seeds)]
    for folder in folders:
        if not (folder / "pre-trained" / "finished.json").is_file():
            raise DataError(f"{folder}: not trained yet; run `monai-levelset reproduce {target}` first.")
    read = find_parts(what, Path(data), Path(runs).parent).folder
    section = Section.load(what, read, "validation")
    models = {}
    for row, stage in rows(what).items():
        scores = []
        for seed, folder in enumerate(folders):
            trained = train(what, stage, folder, data=read, seed=seed, updates=budget(what, stage))
            scores.append(_score(what, section, trained))
        models[row] = {name: over_seeds([s[name] for s in scores]) for name in scores[0]}
        print(row, models[row], flush=True)
        write_tables(Path(out) / "ablation", models, ["dice", "dice_level_set"])
    return models


def _score(target: Target, section: Section, folder: Path) -> dict[str, float]:
    maps = section.probabilities(load_network(target, folder))
    refined = section.refined(maps, level_set(target, folder).soft)
    return {
        "dice": section.score(section.whole(maps))["mean"]["dice"],
        "dice_level_set": section.score(section.whole(refined))["mean"]["dice"],
    }


if __name__ == "__main__":
    import fire

    torch.set_num_threads(1)
    fire.Fire(lambda **options: ablate(**options) and None)
