"""Table IV and V of Kim and Ye (2020): brain tumours with a part of the labels, with and without the loss."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_levelset.data import load_section
from monai_levelset.report import write_json, write_tables, write_text
from monai_levelset.report.origin import versions
from monai_levelset.reproduce.beta_figure import write_beta_figure
from monai_levelset.reproduce.seeds import command_line, run_seeds
from monai_levelset.reproduce.stages import setting
from monai_levelset.reproduce.targets import Stage, Target
from monai_levelset.reproduce.volumes import (
    METRICS,
    gain,
    gain_line,
    prepared,
    rows_over_seeds,
    scored_section,
    scores,
    sequences_of,
    train_last,
)

RATIOS = {"1/4": 0.25, "1": 1.0}
BETAS = (0.01, 0.1, 1.0)
PAPER = {
    "1/4 supervised": dict(zip(METRICS, (0.866, 0.927, 0.813, 0.764), strict=True)),
    "1/4 + Mumford-Shah": dict(zip(METRICS, (0.880, 0.904, 0.858, 0.786), strict=True)),
}
TARGET = Target(
    "kimye2020-brats",
    bundle="brats_mri_levelset_segmentation",
    labeled_fraction=0.25,
    paper={},
    dataset="brats",
)


def stages(ratio: str, beta: float) -> dict[str, Stage]:
    """Row -> its last training. All go on from one supervised training, with as many updates each.

    Args:
        ratio: of the labelled patients, a key of `RATIOS`.
        beta: the bundle's weight of the loss, whose row has no beta in its name. One row is as in the paper,
            with means of each image instead of the mini-batch's.
    """
    part, name = {"labeled_fraction": RATIOS[ratio]}, ratio.replace("/", "of")
    rows = {f"{ratio} supervised": Stage(f"{name}-supervised", "control", f"{name}-first", part)}
    betas = [beta, *BETAS] if ratio == "1/4" else [beta]
    for weight in dict.fromkeys(betas):
        row = f"{ratio} + Mumford-Shah" + ("" if weight == beta else f", beta {weight:g}")
        rows[row] = Stage(f"{name}-beta{weight:g}", "finetune", f"{name}-first", {**part, "beta": weight})
    if ratio == "1/4":
        own = {**part, "beta": beta, "loss#unsupervised#over_batch": False}
        rows[f"{ratio} + Mumford-Shah, means per image"] = Stage(
            f"{name}-per-image", "finetune", f"{name}-first", own
        )
    return rows


def reproduce_brats(
    name: str, data: Path, out: Path, *, seeds: int = 3, epochs: int | None = None, jobs: int = 1
) -> dict[str, Any]:
    """Train and evaluate both rows of every ratio and the sweep of beta; see `reproduce`."""
    folder = prepared(TARGET, data, out)
    section = scored_section(folder)
    arguments = [(folder, section, out.absolute(), seed, epochs) for seed in range(seeds)]
    runs = run_seeds(_run_seed, arguments, jobs=jobs)
    summary = summarize(runs)
    summary |= {"target": name, "reported_on": section, "versions": versions()}
    summary["command"] = command_line(name, data, out, seeds, epochs)
    write_json(out / "summary.json", summary)
    write_tables(out, summary["models"], METRICS, paper=PAPER)
    table = out / "table.md"
    write_text(table, table.read_text() + notes(summary))
    write_beta_figure(summary, out / "beta.png")
    print(table.read_text(), end="")
    return summary


def _run_seed(data: Path, section: str, out: Path, seed: int, epochs: int | None) -> dict[str, Any]:
    """Train what has not finished yet, and score all rows on every volume."""
    folder = out / "runs" / f"seed{seed}"
    names = sequences_of(load_section(data, section))
    settings = {} if names is None else {"sequences": names}
    beta = float(setting(TARGET, Stage("", "train"), "beta"))
    rows: dict[str, Any] = {}
    for ratio in RATIOS:
        trainings = stages(ratio, beta)
        after = next(iter(trainings.values())).after
        first = Stage(str(after), "pretrain", settings={"labeled_fraction": RATIOS[ratio]})
        for stage in (first, *trainings.values()):
            train_last(TARGET, stage, folder, data=data, seed=seed, epochs=epochs, settings=settings)
        for row, stage in trainings.items():
            rows[row] = scores(TARGET, data, section, folder / stage.name, settings)
    return {"seed": seed, "folder": str(folder.relative_to(out)), "rows": rows}


def summarize(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation over seeds of the means over volumes, and what the loss adds per seed."""
    models = rows_over_seeds(runs)
    gains = {ratio: gain(models, f"{ratio} supervised", f"{ratio} + Mumford-Shah") for ratio in RATIOS}
    return {"models": models, "gains": gains, "runs": runs}


def notes(summary: Mapping[str, Any]) -> str:
    """What the table is of."""
    section, first = summary["reported_on"], summary["runs"][0]["rows"]
    volumes = len(next(iter(first.values())))
    text = (
        f"Mean ± standard deviation over {len(summary['runs'])} seed(s) of the mean over the {volumes} "
        f"volume(s) of the {section} section, on their own grids. A seed draws which training patients are "
        "labelled. Every row goes on from one supervised training of its ratio, with as many updates and as "
        "many labelled slices in each; the last network is scored, so the scored section chooses nothing. "
        "What the loss adds in Dice:"
    )
    lines = ["", textwrap.fill(text, 110), ""]
    lines += [gain_line(ratio, found) for ratio, found in summary["gains"].items()]
    return "\n".join([*lines, f"\nCommand: `{summary['command']}`\n"])
