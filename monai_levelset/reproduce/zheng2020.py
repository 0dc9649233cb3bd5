"""Ablation and comparison of Zheng et al., "Deep level set with confidence map and boundary loss"."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_levelset.report import write_json, write_tables, write_text
from monai_levelset.report.origin import versions
from monai_levelset.reproduce.seeds import command_line, over_seeds, run_seeds
from monai_levelset.reproduce.stages import read_json, setting, train, training_set
from monai_levelset.reproduce.zheng2020_data import TestSet, find_data
from monai_levelset.reproduce.zheng2020_figures import write_figures
from monai_levelset.reproduce.zheng2020_notes import notes
from monai_levelset.reproduce.zheng2020_objects import ClickedObjects
from monai_levelset.reproduce.zheng2020_rows import (
    BATCH,
    ELLIPSE,
    METRICS,
    ROWS,
    TARGETS,
    TRAININGS,
    ClickTarget,
    stage,
    with_weights,
)
from monai_levelset.reproduce.zheng2020_scores import (
    click_masks,
    ellipse_masks,
    means,
    score,
    unet_masks,
)

#: Clicks that are scored: exact, and displaced as in training by up to so much of the object's extent.
NOISE = {"exact": 0.0, "noisy": 0.026}


def reproduce_clicks(
    name: str,
    data: Path,
    out: Path,
    *,
    seeds: int = 3,
    epochs: int | None = None,
    jobs: int = 1,
    weights: str | None = None,
) -> dict[str, Any]:
    """Train and score all rows; see `reproduce`.

    Args:
        name: of the target.
        data: see `find_data`.
        out: folder of the results.
        seeds: how many seeds.
        epochs: passes over the training objects; None: the target's number of updates.
        jobs: trainings at the same time, each on one thread.
        weights: ImageNet weights of a ResNet-50, from which the click networks then start; None: the
            bundle's own smaller network, from scratch.

    Returns:
        What `summary.json` holds.
    """
    given = out
    out = out.absolute()
    path = None if weights is None else str(Path(weights).absolute())
    click, start = with_weights(TARGETS[name], path)
    found = find_data(click, data, out, seeds)
    todo = [
        (click, found.folder, out, training, seed, epochs, start)
        for seed in range(seeds)
        for training in TRAININGS
    ]
    run_seeds(train_one, todo, jobs=jobs)
    runs = run_seeds(score_seed, [(click, found.tests, out, seed) for seed in range(seeds)], jobs=jobs)
    summary = summarize(click, runs)
    summary |= {"target": name, "reported_on": next(iter(found.tests)), "versions": versions()}
    summary["command"] = command_line(name, data, given, seeds, epochs)
    summary["command"] += "" if weights is None else f" --weights {weights}"
    write_json(out / "summary.json", summary)
    write_tables(out, summary["models"], METRICS, paper=click.paper, digits=3)
    table = out / "table.md"
    write_text(table, table.read_text() + notes(click, summary, found))
    write_figures(click, found.tests, out)
    print(table.read_text(), end="")
    return summary


def train_one(
    click: ClickTarget,
    data: Path,
    out: Path,
    training: str,
    seed: int,
    epochs: int | None,
    start: Mapping[str, Any],
) -> None:
    """Train one network and keep its last state, chosen by nothing; or do nothing if it has finished."""
    folder = out / "runs" / f"seed{seed}"
    if not read_json(data / "datalist.json").get("training"):
        return  # `find_data` has made sure that the training has finished
    own = {} if training == "unet" else {"batch_size": BATCH, **start}
    plan = stage(training, {"amp": True, "keep_last": True, **own})
    updates = click.updates[training == "unet"]
    if epochs is not None:
        items = training_set(click.target, plan, folder, data=data, seed=seed)
        batch = own.get("batch_size", setting(click.target, plan, "batch_size"))
        updates = epochs * math.ceil(len(items) / batch)
    train(click.target, plan, folder, data=data, seed=seed, updates=updates)


def score_seed(click: ClickTarget, tests: Mapping[str, TestSet], out: Path, seed: int) -> dict[str, Any]:
    """The updates of each training, and test set -> clicks -> row -> cases; scored once."""
    folder = out / "runs" / f"seed{seed}"
    finished = {training: read_json(folder / training / "finished.json") for training in TRAININGS}
    found: dict[str, Any] = {
        "seed": seed,
        "updates": {name: record["settings"]["max_updates"] for name, record in finished.items()},
        "seconds": {name: record["seconds"] for name, record in finished.items()},
        "scores": {},
    }
    for name, test in tests.items():
        found["scores"][name] = {
            kind: _rows(click, test, folder, f"scores-{name}-{kind}.json", noise)
            for kind, noise in NOISE.items()
        }
    return found


def _rows(
    click: ClickTarget, test: TestSet, folder: Path, file: str, noise: float
) -> dict[str, list[dict[str, Any]]]:
    """Row -> cases. Scores are kept beside each training; one set of crops serves all with its channels."""

    @cache
    def crops(channels: str, override: str) -> ClickedObjects:
        return ClickedObjects(click.target.files(override), test.items, click.structures, noise=noise)

    def objects(training: str) -> ClickedObjects:
        plan = stage("delse" if training == "unet" else training, {})
        channels = setting(click.target, plan, "channels")
        return crops(str(channels), "delse" if channels == ["heatmap"] else "")

    def masks(training: str) -> list[NDArray[np.bool_]]:
        weights, chosen = folder / training / "model.pt", objects(training)
        if training == "unet":
            return unet_masks(click, weights, chosen)
        return click_masks(click, TRAININGS[training], weights, chosen)

    def cases(training: str) -> list[dict[str, Any]]:
        done = folder / training / file
        key = [[str(item["id"]) for item in test.items], read_json(folder / training / "finished.json")]
        if not (done.is_file() and read_json(done)["key"] == key):
            write_json(done, {"key": key, "cases": score(click, objects(training).objects, masks(training))})
        scored: list[dict[str, Any]] = read_json(done)["cases"]
        return scored

    trained: dict[str | None, list[dict[str, Any]]] = {training: cases(training) for training in TRAININGS}
    clicked = objects("delse")
    trained[None] = score(click, clicked.objects, ellipse_masks(clicked))
    return {row: trained[training] for row, training in ROWS.items()}


def summarize(click: ClickTarget, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Row -> metric -> mean and standard deviation over seeds of the means over objects.

    The plain names are those of exact clicks on the first test set; `dice_noisy` belongs to displaced
    clicks, `dice_NAME` to a structure or to another test set.
    """
    models: dict[str, dict[str, Any]] = {}
    tests = list(runs[0]["scores"])
    for row in ROWS:
        models[row] = {}
        for test in tests:
            for kind in NOISE:
                each = [means(run["scores"][test][kind][row]) for run in runs]
                suffix = ("" if test == tests[0] else f"_{test}") + ("" if kind == "exact" else f"_{kind}")
                models[row] |= {
                    f"{metric}{suffix}": over_seeds([found[metric] for found in each]) for metric in each[0]
                }
    kept = [{name: run[name] for name in ("seed", "updates", "seconds")} for run in runs]
    objects = {test: len(found["exact"][ELLIPSE]) for test, found in runs[0]["scores"].items()}
    return {"models": models, "objects": objects, "updates": runs[0]["updates"], "runs": kept}
