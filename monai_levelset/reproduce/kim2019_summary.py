"""Means over seeds, ratios and differences, and what stands below the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monai_levelset.reproduce.kim2019_rows import CE, CRF, LATTICE, LOSS, rows
from monai_levelset.reproduce.kim2019_task import Task
from monai_levelset.reproduce.seeds import over_seeds

METRICS = ("dice", "boundary_f", "seconds_per_image", "seconds_per_step")


def summarize(tasks: Sequence[Task], runs: Mapping[str, Any]) -> dict[str, Any]:
    """`models`: row -> metric -> mean, sd and seeds; `ratios`: task -> name -> number.

    Args:
        tasks: what was run.
        runs: task -> `choice`, `scores` and `seconds`, the latter two one per seed.
    """
    models, ratios = {}, {}
    for task in tasks:
        run = runs[task.name]
        own = {row: _metrics(run, row) for row in rows(run["choice"])}
        models.update({f"{task.name} {row}": metrics for row, metrics in own.items()})
        ratios[task.name] = _ratios(own)
    return {"models": models, "ratios": ratios}


def _metrics(run: Mapping[str, Any], row: str) -> dict[str, Any]:
    scores = [seed["mean"][row] for seed in run["scores"]]
    found = {metric: over_seeds([each[metric] for each in scores]) for metric in scores[0]}
    found["seconds_per_image"] = over_seeds([seed["image"][row] for seed in run["seconds"]])
    found["seconds_per_step"] = over_seeds([seed["step"][row] for seed in run["seconds"]])
    return found


def _ratios(models: Mapping[str, Any]) -> dict[str, float]:
    def mean(row: str, metric: str) -> float:
        return float(models[row][metric]["mean"])

    found = {}
    for other in (CE, CRF, LATTICE):
        if other not in models:
            continue
        for metric in ("dice", "boundary_f"):
            found[f"{metric}: {LOSS} - {other}"] = mean(LOSS, metric) - mean(other, metric)
        if other != CE:
            found[f"seconds_per_image: {LOSS} / {other}"] = mean(LOSS, "seconds_per_image") / mean(
                other, "seconds_per_image"
            )
    found[f"seconds_per_step: {LOSS} / {CE}"] = mean(LOSS, "seconds_per_step") / mean(CE, "seconds_per_step")
    return found


def without_cases(run: Mapping[str, Any]) -> dict[str, Any]:
    """A task's run without the scores of single images, which stay in `out/runs`."""
    return {**run, "scores": [seed["mean"] for seed in run["scores"]]}


def notes(tasks: Sequence[Task], summary: Mapping[str, Any], runs: Mapping[str, Any]) -> str:
    """What was chosen, all ratios, and how it was measured."""
    lines = [f"\n`{summary['command']}`\n"]
    for task in tasks:
        run = runs[task.name]
        choice, seeds = run["choice"], len(run["scores"])
        crf = ", ".join(f"{name} {value:g}" for name, value in choice["crf"].items())
        lines.append(
            f"**{task.name}**: mean ± standard deviation over {seeds} seeds of the mean over "
            f"{len(run['scores'][0]['cases'][CE])} images. Boundary F with a tolerance of {task.tolerance:g} "
            "pixels. Chosen on validation images that are not in the table: "
            f"lambda {choice['weight']:g}; CRF: {crf}. Seconds are medians of processor time on one thread; "
            "a step is an update of the network with its augmentation.\n"
        )
        lines += [f"- {name}: {_number(name, value)}" for name, value in summary["ratios"][task.name].items()]
        lines.append("")
    return "\n".join(lines)


def _number(name: str, value: float) -> str:
    return f"{value:+.4f}" if " - " in name else f"{value:.3f}"
