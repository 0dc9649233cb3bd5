"""What each part of the few-label training adds, and what those that were left out would have.

python -m monai_levelset.reproduce.few_labels_ablation --data DATA --out OUT --labeled 7 --seeds 2
python -m monai_levelset.reproduce.few_labels_ablation --data DATA --out OUT --only copy-paste,no-ramp
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from monai_levelset.data.checks import check_folder, check_writable
from monai_levelset.report import write_json, write_tables, write_text
from monai_levelset.reproduce.few_labels import LABELED, PARTS, Row, rows, target, training_patients
from monai_levelset.reproduce.few_labels_scores import METRICS, scores
from monai_levelset.reproduce.seeds import run_seeds
from monai_levelset.reproduce.stages import budget, setting
from monai_levelset.reproduce.targets import Target
from monai_levelset.reproduce.volumes import length, prepared, rows_over_seeds, scored_section, train_last

_MODULE = "monai_levelset.reproduce.few_labels_ablation"
_COPY_PASTE = {"_target_": "monai_levelset.transforms.CopyPaste"}
_MUMFORD_SHAH = {
    "_target_": "monai_levelset.losses.MumfordShahLoss",
    "softmax": True,
    "per_voxel": True,
    "reduction": "mean",
    "tv_weight": 1e-3,
}
_LEVEL_SET = {
    "_target_": "monai_levelset.losses.LevelSetLoss",
    "softmax": True,
    "per_voxel": True,
    "ignore_index": 255,
}
_DISTANCE = {"_target_": "monai_levelset.losses.SignedDistanceLoss", "reach": "$@image_size[0] / 10"}


@dataclass(frozen=True)
class Change:
    """What a row of the ablation changes.

    Attributes:
        stage: its training's name; '' is that of all parts.
        training: entries of the training's configuration.
        inference: entries of the inference's.
    """

    stage: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    inference: Mapping[str, Any] = field(default_factory=dict)


def changes(what: Target, row: Row) -> dict[str, Change]:
    """Name -> what is changed in the row with all parts; the names say it."""
    network = setting(what, row.stage, "network_def")
    with_distances = {
        "_target_": "monai_levelset.networks.SignedDistanceHead",
        "classes": "@classes",
        "network": {**network, "out_channels": "$2 * @classes - 1"},
    }
    distances = {"network_def": with_distances, "loss#distance": _DISTANCE, "loss#distance_weight": 0.3}
    mumford_shah = {"loss#mumford_shah": _MUMFORD_SHAH, "loss#mumford_shah_weight": 0.02}
    level_set = {"loss#level_set": _LEVEL_SET, "loss#level_set_weight": 0.5}
    plain, unrefined = {"train#pseudo_label": None}, {"intensity_weight": 0}
    return {
        "all parts": Change(),
        "- quarter turns at inference": Change(inference={"quarter_turns": [0]}),
        "- level set at inference": Change(inference=unrefined),
        "- level set of the pseudo-labels": Change("plain-labels", plain),
        "- both level sets": Change("plain-labels", plain, unrefined),
        "- nested ventricle": Change("not-nested", {"train#pseudo_label#inside": None}),
        "- attached ventricle": Change(
            "not-attached", {"train#pseudo_label#attached": None}, {"attached_to": []}
        ),
        "- pseudo-labels": Change("no-pseudo-labels", {"pseudo_weight": 0.0}),
        "- ramp": Change("no-ramp", {"train#trainer#ramp_updates": 0}),
        "+ copy-paste": Change("copy-paste", {"train#mix": _COPY_PASTE}),
        "+ curvature": Change("curvature", {"train#pseudo_label#steps": 10}),
        "+ Mumford-Shah loss": Change("mumford-shah", mumford_shah),
        "+ level-set loss": Change("level-set-loss", level_set),
        "+ signed distances": Change("distances", distances, {"network_def": with_distances}),
    }


def ablate(
    data: str,
    out: str,
    *,
    labeled: int = LABELED[-1],
    seeds: int = 2,
    jobs: int = 1,
    epochs: int | None = None,
    only: str | Sequence[str] | None = None,
) -> dict[str, Any]:
    """Train the variants from the seeds of `monai-levelset reproduce few-labels-acdc` and score them.

    Each variant has as many updates as the row it changes; finished trainings, those of the table too, are
    not repeated.

    Args:
        data: as for the table.
        out: the table's folder; `ablation/` in it gets the results, which replace those of a run before.
        labeled: number of labelled patients.
        seeds: how many seeds.
        jobs: seeds at the same time, each on one thread.
        epochs: length of the trainings, where 40 stand for the configuration's number of updates. All are
            made anew, in `ablation/`; None: that number.
        only: the trainings to compare with all parts, the names of `Change.stage`; None: every one.

    Returns:
        Row -> metric -> mean, sd and values of the seeds.

    Raises:
        DataError: the data are missing or unfit.
        ValueError: `only` names a training that there is not.
    """
    check_folder(data)
    check_writable(out)
    what, folder = target(), Path(out).absolute()
    asked = only.split(",") if isinstance(only, str) else only
    listed = prepared(what, Path(data), folder)
    section = scored_section(listed)
    plan = rows([labeled], training_patients(listed, folder))
    trained = folder if epochs is None else folder / f"ablation/{epochs}-epochs"
    chosen = _chosen(changes(what, plan[f"{labeled} {PARTS}"]), asked)
    arguments = [(what, plan, chosen, listed, section, trained, seed, epochs) for seed in range(seeds)]
    runs = run_seeds(_run_seed, arguments, jobs=jobs)
    models = rows_over_seeds(runs, METRICS)
    updates = length(budget(what, plan[f"{labeled} {PARTS}"].stage), epochs)
    command = f"python -m {_MODULE} --data {data} --out {out} --labeled {labeled} --seeds {seeds}"
    command += "" if epochs is None else f" --epochs {epochs}"
    command += "" if asked is None else f" --only {','.join(asked)}"
    summary = {
        "models": models,
        "reported_on": section,
        "updates": updates,
        "command": command,
        "runs": runs,
    }
    write_json(folder / "ablation/summary.json", summary)
    write_tables(folder / "ablation", models, METRICS)
    table = folder / "ablation/table.md"
    write_text(
        table, table.read_text() + _notes(labeled, seeds, section, updates) + f"\nCommand: `{command}`\n"
    )
    print(table.read_text(), end="")
    return models


def _chosen(every: Mapping[str, Change], only: Sequence[str] | None) -> dict[str, Change]:
    """The changes of the asked trainings, and those that need no training."""
    known = {change.stage for change in every.values() if change.stage}
    unknown = sorted(set(only or ()) - known)
    if unknown:
        raise ValueError(
            f"--only {unknown[0]}: there is no such training, choose from {', '.join(sorted(known))}"
        )
    return {name: change for name, change in every.items() if only is None or change.stage in ("", *only)}


def _run_seed(
    what: Target,
    plan: Mapping[str, Row],
    compared: Mapping[str, Change],
    data: Path,
    section: str,
    out: Path,
    seed: int,
    epochs: int | None,
) -> dict[str, Any]:
    supervised, _, parts = list(plan.values())[:3]
    folder, found = out / "runs" / f"seed{seed}", {}
    train_last(what, supervised.stage, folder, data=data, seed=seed, epochs=epochs, settings={})
    found["supervised"] = scores(what, data, section, folder / supervised.stage.name, refined=False)
    for name, change in compared.items():
        stage = parts.stage
        if change.stage:
            changed = {**stage.settings, **change.training}
            stage = replace(stage, name=f"{stage.name}-{change.stage}", settings=changed)
        train_last(what, stage, folder, data=data, seed=seed, epochs=epochs, settings={})
        found[name] = scores(
            what, data, section, folder / stage.name, refined=True, settings=change.inference
        )
        print(seed, name, sum(case["dice"] for case in found[name]) / len(found[name]), flush=True)
    return {"seed": seed, "rows": found}


def _notes(labeled: int, seeds: int, section: str, updates: int) -> str:
    text = (
        f"{labeled} labelled patients, {updates} updates; mean ± standard deviation over {seeds} seed(s) of "
        f"the mean over the volumes of the {section} section and over the structures, distances in "
        "voxels. '-' leaves a part out of 'all parts', '+' adds one; everything else is the same."
    )
    return f"\n{textwrap.fill(text, 110)}\n"


if __name__ == "__main__":
    import fire
    import torch

    torch.set_num_threads(1)
    fire.Fire(lambda **options: ablate(**options) and None)
