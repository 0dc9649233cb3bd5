"""Few labels on ACDC: three structures of the heart, with 3 or 7 of the training patients labelled."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_levelset.data import load_section
from monai_levelset.report import write_json, write_tables, write_text
from monai_levelset.report.origin import versions
from monai_levelset.reproduce.few_labels_figure import write_figure
from monai_levelset.reproduce.few_labels_scores import METRICS, predictions, scores
from monai_levelset.reproduce.seeds import command_line, run_seeds
from monai_levelset.reproduce.stages import read_json
from monai_levelset.reproduce.targets import Stage, Target
from monai_levelset.reproduce.volumes import prepared, rows_over_seeds, scored_section, train_last

LABELED = (3, 7)
PATIENTS = 70
REFINED = "supervised + turns and level set"
PARTS = "mean teacher + turns and level set"
#: Dice of the field with 3, 7 and all 70 patients labelled: supervised U-Net, bidirectional copy-paste.
FIELD = {3: (0.478, 0.876), 7: (0.794, 0.888)}
FIELD_ALL = 0.914


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        stage: what is trained.
        refined: whether the scored label maps are averaged over quarter turns and refined by the level set.
    """

    stage: Stage
    refined: bool = False


def target(*, full: bool = False) -> Target:
    """The bundle and its configuration: the small one, or the full one, which is laid over it."""
    overrides = ("few_labels", "few_labels_full") if full else ("few_labels",)
    return Target("few-labels-acdc", "lv_mri_levelset_segmentation", 1.0, {}, overrides, dataset="acdc")


def rows(labeled: Sequence[int], patients: int) -> dict[str, Row]:
    """Name -> row: for each number of labelled patients without and with the others' images, then all.

    Args:
        labeled: how many patients keep their labels.
        patients: how many there are; the last row has all their labels.
    """
    found = {}
    for count in (*labeled, patients):
        part = {} if count == patients else {"labeled_fraction": count / patients}
        supervised = Stage(f"{count}-supervised", "few_labels_supervised", settings=part)
        found[f"{count} supervised"] = Row(supervised)
        found[f"{count} {REFINED}"] = Row(supervised, refined=True)
        if count < patients:
            found[f"{count} {PARTS}"] = Row(Stage(f"{count}-mean-teacher", "", settings=part), refined=True)
    return found


def reproduce_few_labels(
    name: str,
    data: Path,
    out: Path,
    *,
    seeds: int = 3,
    epochs: int | None = None,
    jobs: int = 1,
    labeled: int | None = None,
    full: bool = False,
) -> dict[str, Any]:
    """Train and evaluate the rows of the table; see `reproduce`.

    Args:
        name: of the target.
        data: ACDC, as published or in the flat layout, or any folder with `datalist.json` and labels 0-3.
        out: folder of the results.
        seeds: how many seeds; each draws the labelled patients.
        epochs: length of the trainings, where 40 stand for the configuration's number of updates.
        jobs: seeds at the same time, each on one thread.
        labeled: number of labelled patients; None: 3 and 7.
        full: the configuration for a GPU.

    Returns:
        What `summary.json` holds.

    Raises:
        DataError: the data are missing or unfit.
        ValueError: there are not more training patients than labels.
    """
    what = target(full=full)
    folder = prepared(what, data, out)
    section = scored_section(folder)
    patients = training_patients(folder, out)
    counts = LABELED if labeled is None else (labeled,)
    if patients <= max(counts):
        raise ValueError(
            f"{data}: {patients} training patients, so --labeled must be less, got {max(counts)}"
        )
    plan = rows(counts, patients)
    arguments = [(what, plan, folder, section, out.absolute(), seed, epochs) for seed in range(seeds)]
    runs = run_seeds(_run_seed, arguments, jobs=jobs)
    command = command_line(name, data, out, seeds, epochs)
    command += "" if labeled is None else f" --labeled {labeled}"
    summary = {
        "target": name,
        "reported_on": section,
        "command": command + (" --full" if full else ""),
        **summarize(runs, counts, patients),
        "versions": versions(),
    }
    write_json(out / "summary.json", summary)
    write_tables(out, summary["models"], METRICS)
    table = out / "table.md"
    write_text(table, table.read_text() + notes(summary))
    _draw(folder, section, plan, out, runs[0])
    print(table.read_text(), end="")
    return summary


def _draw(data: Path, section: str, plan: Mapping[str, Row], out: Path, run: Mapping[str, Any]) -> None:
    """`models.png`: the last number of labels without and with unlabelled images, and all labels."""
    names = [name for name in plan if not name.endswith(REFINED)][-3:]
    folders = {
        name: predictions(out / run["folder"] / plan[name].stage.name, section, refined=plan[name].refined)
        for name in names
    }
    items = load_section(data, section)
    write_figure(out / "models.png", items, {name: run["rows"][name] for name in names}, folders)


def training_patients(data: Path, out: Path) -> int:
    """How many patients there are to train on; where the data have none, the finished trainings tell."""
    if read_json(data / "datalist.json").get("training"):
        return len({_name(item) for item in load_section(data, "training") if item["labeled"]})
    finished = (out / "runs").glob("seed*/*-supervised")
    return max((int(folder.name.split("-")[0]) for folder in finished), default=PATIENTS)


def _name(item: Mapping[str, Any]) -> str:
    """A patient's name in the data: `patient` is another's for the one of ACDC who is there twice."""
    return str(item["id"]).split("_frame")[0] if "frame" in item else str(item["patient"])


def _run_seed(
    what: Target,
    plan: Mapping[str, Row],
    data: Path,
    section: str,
    out: Path,
    seed: int,
    epochs: int | None,
) -> dict[str, Any]:
    """Train what has not finished yet, and score all rows on every volume."""
    folder = out / "runs" / f"seed{seed}"
    found = {}
    for name, row in plan.items():
        train_last(what, row.stage, folder, data=data, seed=seed, epochs=epochs, settings={})
        found[name] = scores(what, data, section, folder / row.stage.name, refined=row.refined)
    return {"seed": seed, "folder": str(folder.relative_to(out)), "rows": found}


def summarize(runs: list[dict[str, Any]], counts: Sequence[int], patients: int) -> dict[str, Any]:
    """Mean and standard deviation over seeds of the means over volumes, and how much of the gap is closed."""
    models = rows_over_seeds(runs, METRICS)
    return {"models": models, "closed": dict(_closed(models, counts, patients)), "runs": runs}


def _closed(models: Mapping[str, Any], counts: Sequence[int], patients: int) -> Iterator[tuple[str, float]]:
    dice = {row: found["dice"]["mean"] for row, found in models.items()}
    for count in counts:
        low, high = dice[f"{count} supervised"], dice[f"{patients} supervised"]
        yield str(count), gap_closed(low, dice[f"{count} {PARTS}"], high)


def gap_closed(low: float, value: float, high: float) -> float:
    """The part of the way from `low` to `high` that `value` has gone; 0 if there is no way.

    Example:
        >>> round(gap_closed(0.794, 0.888, 0.914), 2)
        0.78
    """
    return (value - low) / (high - low) if high > low else 0.0


def notes(summary: Mapping[str, Any]) -> str:
    """What the table is of."""
    first = summary["runs"][0]["rows"]
    volumes = len(next(iter(first.values())))
    text = (
        f"Mean ± standard deviation over {len(summary['runs'])} seed(s) of the mean over the {volumes} "
        f"volumes of the {summary['reported_on']} section and over right ventricle, myocardium and left "
        "ventricle, on the volumes' own grids, distances in voxels. A structure that is not found scores 0, "
        "and the image's diagonal in distance. A seed draws the patients that are labelled and everything "
        "else that is random. All rows take as many updates, of mini-batches as large; the last network, "
        "averaged, is scored, so the scored section chooses nothing. How much of the way from the supervised "
        "row to that with all labels the row with all parts goes:"
    )
    lines = ["", textwrap.fill(text, 110), ""]
    for count, part in summary["closed"].items():
        line = f"- {count} labelled: {part:.0%}"
        if int(count) in FIELD:
            low, best = FIELD[int(count)]
            line += (
                f" (the field's best {gap_closed(low, best, FIELD_ALL):.0%}, "
                f"from {low:.3f} to {best:.3f} of {FIELD_ALL:.3f})"
            )
        lines.append(line)
    return "\n".join([*lines, f"\nCommand: `{summary['command']}`\n"])
