"""Table 1 and figures 2 and 3 of Tang et al. (2017)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from monai_levelset.report import write_json, write_tables, write_text
from monai_levelset.report.origin import versions
from monai_levelset.reproduce.figures import write_figures
from monai_levelset.reproduce.models import level_set, load_network
from monai_levelset.reproduce.notes import notes
from monai_levelset.reproduce.parts import Parts, check_parts, check_runs, find_parts
from monai_levelset.reproduce.sections import Section
from monai_levelset.reproduce.seeds import command_line, over_seeds, run_seeds
from monai_levelset.reproduce.sizes import by_size
from monai_levelset.reproduce.stages import budget, read_json, setting, train, training_set
from monai_levelset.reproduce.targets import METRICS, ROWS, Stage, Target, find_target

_LABELED = "labeled_patients.json"


def reproduce_table_1(
    name: str, data: Path, out: Path, *, seeds: int = 3, epochs: int | None = None, jobs: int = 1
) -> dict[str, Any]:
    """Train and evaluate the five models and the control; see `monai_levelset.reproduce.reproduce`."""
    target = find_target(name)
    parts = find_parts(target, data, out)
    counts = check_parts(parts)
    check_runs(target, parts, out, seeds)
    runs = run_seeds(
        run_seed, [(target, parts, out.absolute(), seed, epochs) for seed in range(seeds)], jobs=jobs
    )
    summary = summarize(target, runs)
    summary["reported_on"] = parts.name
    summary["command"] = command_line(target.name, data, out, seeds, epochs)
    summary["versions"] = versions()
    write_json(out / "summary.json", summary)
    paper = {row: dict(zip(METRICS, numbers, strict=True)) for row, numbers in target.paper.items()}
    write_tables(out, summary["models"], METRICS, paper=paper)
    table = out / "table.md"
    write_text(table, table.read_text() + notes(target, parts, counts, summary))
    write_figures(target, parts, out, runs[0])
    print(table.read_text(), end="")
    return summary


def run_seed(target: Target, parts: Parts, out: Path, seed: int, epochs: int | None) -> dict[str, Any]:
    """Train all stages of one seed, if there is something to train on, and score all rows."""
    folder = out / "runs" / f"seed{seed}"
    if parts.trains:
        _train_seed(target, parts.folder, folder, seed, epochs)
    finished = {stage.name: read_json(folder / stage.name / "finished.json") for stage in target.stages}
    scored = Section.load(target, parts.folder, parts.scored)
    rows = {row: scored.score(_masks(target, folder, scored, *how)) for row, how in ROWS.items()}
    run = {
        "seed": seed,
        "folder": str(folder.relative_to(out)),
        "labeled_patients": read_json(folder / _LABELED)["patients"],
        "updates": {name: record["settings"]["max_updates"] for name, record in finished.items()},
        "seconds": {name: record["seconds"] for name, record in finished.items()},
        "rows": rows,
    }
    return {**run, "by_size": _by_size(scored, rows, target.sizes)} if target.sizes else run


def _train_seed(target: Target, data: Path, folder: Path, seed: int, epochs: int | None) -> None:
    items = training_set(target, target.stages[0], folder, data=data, seed=seed)
    write_json(folder / _LABELED, {"patients": sorted({item["patient"] for item in items})})
    for stage in target.stages:
        updates = _updates(target, stage, len(items), epochs)
        train(target, stage, folder, data=data, seed=seed, updates=updates)


def _updates(target: Target, stage: Stage, items: int, epochs: int | None) -> int:
    """Updates of a stage: the bundle's, or in proportion so that pre-training makes `epochs` passes."""
    if epochs is None:
        return budget(target, stage)
    first = target.stages[0]
    passes = epochs * math.ceil(items / setting(target, first, "batch_size"))
    return max(1, round(passes * budget(target, stage) / budget(target, first)))


def _masks(target: Target, folder: Path, scored: Section, stage: str, refine: bool) -> list[Any]:
    probabilities = scored.probabilities(load_network(target, folder / stage))
    if refine:
        return scored.whole(scored.refined(probabilities, level_set(target, folder / stage).soft))
    return scored.whole(probabilities)


def _by_size(scored: Section, rows: dict[str, Any], limits: tuple[float, ...]) -> dict[str, Any]:
    """Class of size -> number of images, and Dice per row."""
    dice = {row: np.array([case["dice"] for case in result["cases"]]) for row, result in rows.items()}
    return {
        name: {
            "images": len(indices),
            "dice": {row: float(values[indices].mean()) for row, values in dice.items()},
        }
        for name, indices in by_size(scored.labels, limits).items()
    }


def summarize(target: Target, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation over seeds of the means over images, and all runs."""
    models: dict[str, Any] = {}
    for row in ROWS:
        models[row] = {}
        for metric in METRICS:
            models[row][metric] = over_seeds([run["rows"][row]["mean"][metric] for run in runs])
            per_patient = [run["rows"][row]["patients"]["mean"][metric] for run in runs]
            models[row][f"{metric}_per_patient"] = over_seeds(per_patient)
    summary = {"target": target.name, "models": models, "runs": runs}
    return {**summary, "by_size": _sizes_over_seeds(runs)} if target.sizes else summary


def _sizes_over_seeds(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Row -> class of size -> Dice."""
    names = runs[0]["by_size"]
    return {
        row: {name: over_seeds([run["by_size"][name]["dice"][row] for run in runs]) for name in names}
        for row in ROWS
    }
