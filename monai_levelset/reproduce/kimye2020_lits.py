"""Figure 5 of Kim and Ye (2019): liver lesions with a part of the labels, with and without the loss."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from monai_levelset.data import load_section, write_datalist
from monai_levelset.data.phantoms.generate import MARKER
from monai_levelset.report import write_json, write_tables, write_text
from monai_levelset.report.origin import versions
from monai_levelset.reproduce.beta_figure import write_beta_figure
from monai_levelset.reproduce.kimye2020_lits_scores import METRICS, scores
from monai_levelset.reproduce.seeds import command_line, run_seeds
from monai_levelset.reproduce.stages import budget, train
from monai_levelset.reproduce.targets import Stage, Target
from monai_levelset.reproduce.volumes import gain, gain_line, length, rows_over_seeds, scored_section

RATIOS = {"1/23": 1 / 23, "1/10": 1 / 10, "1/3": 1 / 3, "1": 1.0}
BUNDLE = "lits_tumor_ct_levelset_segmentation"
#: Updates of each stage on phantoms; on other data those of the bundle.
UPDATES = {"liver": 400, "first": 400, "supervised": 300, "mumford-shah": 300}


def targets(data: Path) -> dict[str, Target]:
    """The two networks of the cascade; phantoms are small, and get smaller slices and networks."""
    small = ("phantoms",) if (data / MARKER).is_file() else ()
    return {
        network: Target(f"kimye2020-lits {network}", BUNDLE, 1.0, {}, overrides=(*own, *small))
        for network, own in (("liver", ("liver",)), ("lesion", ()))
    }


def stages(ratio: str) -> dict[str, Stage]:
    """What is trained for a ratio: the liver, lesions from labels alone, and both rows from there on."""
    part, name = {"labeled_fraction": RATIOS[ratio]}, ratio.replace("/", "of")
    return {
        "liver": Stage(f"{name}-liver", "supervised", None, part),
        "first": Stage(f"{name}-first", "supervised", None, part),
        "supervised": Stage(f"{name}-supervised", "supervised", f"{name}-first", part),
        "mumford-shah": Stage(f"{name}-mumford-shah", "finetune", f"{name}-first", part),
    }


def rows(ratio: str) -> dict[str, str]:
    """Row of the table -> its last stage."""
    return {f"{ratio} supervised": "supervised", f"{ratio} + Mumford-Shah": "mumford-shah"}


def reproduce_lits(
    name: str, data: Path, out: Path, *, seeds: int = 3, epochs: int | None = None, jobs: int = 1
) -> dict[str, Any]:
    """Train and score both rows of every ratio; see `reproduce`.

    Args:
        name: of the target.
        data: folder with `datalist.json`, of LiTS or of phantoms.
        out: folder of the results.
        seeds: how many seeds.
        epochs: length of the trainings, where the paper's 40 or 50 stand for the usual number of updates.
        jobs: seeds at the same time, each on one thread.

    Returns:
        What `summary.json` holds.

    Raises:
        DataError: the data are missing or unfit.
    """
    section = scored_section(data)
    listed = _write_list(data, out.absolute() / "data", section)
    arguments = [(data.absolute(), listed, out.absolute(), seed, epochs) for seed in range(seeds)]
    runs = run_seeds(_run_seed, arguments, jobs=jobs)
    summary = {
        "target": name,
        "reported_on": section,
        "command": command_line(name, data, out, seeds, epochs),
        **summarize(runs),
        "versions": versions(),
    }
    write_json(out / "summary.json", summary)
    write_tables(out, summary["models"], METRICS)
    table = out / "table.md"
    write_text(table, table.read_text() + notes(summary))
    write_beta_figure(summary, out / "dice.png")
    print(table.read_text(), end="")
    return summary


def _write_list(data: Path, folder: Path, section: str) -> Path:
    """A data list whose validation part, which chooses nothing here, is short."""
    training = load_section(data, "training")
    validation = load_section(data, "validation" if section == "test" else section)[:3]
    sections = {"training": training, "validation": validation, "test": load_section(data, section)}
    write_datalist(folder / "datalist.json", sections, description=f"{data}, three cases for validation")
    return folder


def _run_seed(data: Path, listed: Path, out: Path, seed: int, epochs: int | None) -> dict[str, Any]:
    """Train what has not finished yet, and score all rows on every volume."""
    folder = out / "runs" / f"seed{seed}"
    networks = targets(data)
    phantoms = bool(networks["lesion"].overrides)
    found: dict[str, Any] = {}
    for ratio in RATIOS:
        plan = stages(ratio)
        for kind, stage in plan.items():
            target = networks["liver" if kind == "liver" else "lesion"]
            updates = UPDATES[kind] if phantoms else budget(target, stage)
            updates = length(updates, epochs)
            settings = {**stage.settings, "val_interval": updates}
            if kind != "liver":
                settings["liver_checkpoint"] = str(folder / plan["liver"].name / "liver_network.pt")
            train(target, replace(stage, settings=settings), folder, data=listed, seed=seed, updates=updates)
        for row, kind in rows(ratio).items():
            found[row] = scores(networks["lesion"], listed, folder / plan[kind].name)
    return {"seed": seed, "folder": str(folder.relative_to(out)), "rows": found}


def summarize(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation over seeds of the means over volumes, and what the loss adds per seed."""
    models = rows_over_seeds(runs, (*METRICS, "liver_dice"))
    gains = {ratio: gain(models, *rows(ratio)) for ratio in RATIOS}
    return {"models": models, "gains": gains, "runs": runs}


def notes(summary: Mapping[str, Any]) -> str:
    """What the table is of."""
    volumes = len(next(iter(summary["runs"][0]["rows"].values())))
    text = (
        f"Lesions: mean ± standard deviation over {len(summary['runs'])} seed(s) of the mean over the "
        f"{volumes} volume(s) of the {summary['reported_on']} section, on their own grids. A seed draws the "
        "training patients that are labelled. Both rows of a ratio share the liver network, trained on the "
        "ratio's labels, and go on from one supervised lesion network, with as many updates and as many "
        "labelled slices in each; the last network is scored, so the scored section chooses nothing. What "
        "the loss adds in Dice, and the Dice of the liver in both rows:"
    )
    lines = ["", textwrap.fill(text, 110), ""]
    for ratio, found in summary["gains"].items():
        livers = [summary["models"][row]["liver_dice"]["mean"] for row in rows(ratio)]
        liver = ", ".join(f"{value:.3f}" for value in livers)
        lines.append(f"{gain_line(ratio, found)}; liver {liver}")
    return "\n".join([*lines, f"\nCommand: `{summary['command']}`\n"])
