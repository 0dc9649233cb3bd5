"""Where the gain of joint training comes from, and what replaces the paper's optimiser, on validation.

python -m monai_levelset.reproduce.ablation --data DATA --runs OUT/runs --out OUT --seeds 2
"""

from __future__ import annotations

from dataclasses import replace
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

_PRE_TRAINED, _JOINT, _CONTROL = STAGES[:3]


def _changed(stage: Stage, name: str, **settings: Any) -> Stage:
    """A stage with other settings; `__` stands for the `#` of the configuration's ids."""
    changes = {key.replace("__", "#"): value for key, value in settings.items()}
    return replace(stage, name=f"{stage.name}-{name}", settings={**stage.settings, **changes})


#: Row -> stage. The first three are the table's own trainings; the others change one thing.
ROWS = {
    "joint training": _JOINT,
    "labelled-only control": _CONTROL,
    "pre-trained": _PRE_TRAINED,
    "labelled-only control, 24 images": _changed(_CONTROL, "24", batch_size=24),
    "joint, 12 images": _changed(_JOINT, "12", batch_size=12, train__replay__capacity=8),
    "joint without shape prior": _changed(_JOINT, "no-shape", train__refinement__shape_weight=0.0),
    "joint without evolution (thresholded map)": _changed(_JOINT, "no-steps", train__refinement__steps=0),
    "joint, one view of an unlabelled image": _changed(_JOINT, "one-view", train__trainer__views=1),
    "pre-trained by ADADELTA": _changed(_PRE_TRAINED, "adadelta", **_ADADELTA),
    "pre-trained from N(0, 0.01)": _changed(_PRE_TRAINED, "normal", network_def__init_std=0.01),
    "pre-trained by ADADELTA from N(0, 0.01)": _changed(
        _PRE_TRAINED, "paper", network_def__init_std=0.01, **_ADADELTA
    ),
    "joint without replay": _changed(_JOINT, "no-replay", train__replay=None),
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
