"""Table 1 and figures 2 and 3 of Tang et al. (2017), left-ventricle part."""

from __future__ import annotations

import math
import multiprocessing
import shlex
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

from monai_levelset.data import DataError, check_items, load_section, training_items
from monai_levelset.data.datalist import SECTIONS
from monai_levelset.evaluation import find_bundle, versions
from monai_levelset.report import write_json, write_tables, write_text
from monai_levelset.reproduce.figures import write_figures
from monai_levelset.reproduce.models import level_set, load_network
from monai_levelset.reproduce.sections import Section
from monai_levelset.reproduce.stages import Stage, budget, read_json, train

BUNDLE = "lv_mri_levelset_segmentation"
METRICS = ("dice", "iou")
_BATCH = 12

_HALF = {"labeled_fraction": 0.5}

#: The baseline goes through the same two trainings as the jointly trained network and the control: as many
#: updates, and all labels in both.
STAGES = (
    Stage("pre-trained", "pretrain", settings=_HALF),
    Stage("joint", "joint", after="pre-trained", settings=_HALF),
    Stage("labelled-only", "control", after="pre-trained", settings=_HALF),
    Stage("baseline-first", "baseline"),
    Stage("baseline", "control", after="baseline-first"),
)

#: Row -> (stage, whether the level set refines its probability map).
ROWS = {
    "pre-trained FCN": ("pre-trained", False),
    "post-processing level set": ("pre-trained", True),
    "jointly trained FCN": ("joint", False),
    "FCN-levelset": ("joint", True),
    "baseline FCN": ("baseline", False),
    "labelled-only control": ("labelled-only", False),
}

PAPER = {
    "pre-trained FCN": {"dice": 0.754, "iou": 0.605},
    "post-processing level set": {"dice": 0.678, "iou": 0.620},
    "jointly trained FCN": {"dice": 0.772, "iou": 0.623},
    "FCN-levelset": {"dice": 0.788, "iou": 0.635},
    "baseline FCN": {"dice": 0.804, "iou": 0.672},
}


def reproduce_left_ventricle(
    data: Path, out: Path, *, seeds: int = 3, epochs: int | None = None, jobs: int = 1
) -> dict[str, Any]:
    """Train and evaluate the five models and the control; see `monai_levelset.reproduce.reproduce`."""
    bundle = find_bundle(BUNDLE).absolute()
    _check_data(data)
    runs = _run_seeds(bundle, data.absolute(), out.absolute(), seeds, epochs, jobs)
    summary = summarize(runs)
    summary["command"] = _command(data, out, seeds, epochs)
    summary["versions"] = versions()
    write_json(out / "summary.json", summary)
    write_tables(out, summary["models"], METRICS, paper=PAPER)
    _append_notes(out / "table.md", summary)
    write_figures(bundle, data, out, ROWS, runs[0])
    print((out / "table.md").read_text(), end="")
    return summary


def _check_data(data: Path) -> None:
    """Refuse unfit data of any section before the first training."""
    for section in SECTIONS:
        items = load_section(data, section)
        check_items(items, label_values=(0, 1, 255))
        bare = [str(item["image"]) for item in items if not item["labeled"]]
        if section == "test" and bare:
            raise DataError(
                f"{bare[0]}: a test case without label cannot be scored. Label it or take it out."
            )


def _run_seeds(
    bundle: Path, data: Path, out: Path, seeds: int, epochs: int | None, jobs: int
) -> list[dict[str, Any]]:
    arguments = [(bundle, data, out, seed, epochs) for seed in range(seeds)]
    if jobs == 1:
        return [run_seed(*each) for each in arguments]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        jobs, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        return list(pool.map(run_seed, *zip(*arguments, strict=True)))


def run_seed(bundle: Path, data: Path, out: Path, seed: int, epochs: int | None) -> dict[str, Any]:
    """Train all stages of one seed and score all rows on the test patients."""
    folder = out / "runs" / f"seed{seed}"
    items = training_items(
        data, labeled_fraction=0.5, seed=seed, keep="labeled", cache_dir=folder.parent / "slices"
    )
    updates = {stage.name: _updates(bundle, stage, len(items), epochs) for stage in STAGES}
    for stage in STAGES:
        train(bundle, stage, folder, data=data, seed=seed, updates=updates[stage.name])
    test = Section.load(bundle, data, "test")
    rows = {row: test.score(_masks(bundle, folder, test, *how)) for row, how in ROWS.items()}
    return {
        "seed": seed,
        "folder": str(folder.relative_to(out)),
        "labeled_patients": sorted({item["patient"] for item in items}),
        "updates": updates,
        "seconds": {name: read_json(folder / name / "finished.json")["seconds"] for name in updates},
        "rows": rows,
    }


def _updates(bundle: Path, stage: Stage, items: int, epochs: int | None) -> int:
    """Updates of a stage: the bundle's, or in proportion so that pre-training makes `epochs` passes."""
    if epochs is None:
        return budget(bundle, stage)
    passes = epochs * math.ceil(items / _BATCH)
    return max(1, round(passes * budget(bundle, stage) / budget(bundle, STAGES[0])))


def _masks(bundle: Path, folder: Path, test: Section, stage: str, refine: bool) -> list[Any]:
    probabilities = test.probabilities(load_network(folder / stage))
    if refine:
        return test.whole(test.refined(probabilities, level_set(bundle, folder / stage)))
    return test.whole(probabilities > 0.5)


def summarize(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation over seeds of the means over images, and all runs."""
    models: dict[str, Any] = {}
    for row in ROWS:
        models[row] = {}
        for metric in METRICS:
            models[row][metric] = over_seeds([run["rows"][row]["mean"][metric] for run in runs])
            per_patient = [run["rows"][row]["patients"]["mean"][metric] for run in runs]
            models[row][f"{metric}_per_patient"] = over_seeds(per_patient)
    return {"target": "tang2017-lv", "models": models, "runs": runs}


def over_seeds(values: list[float]) -> dict[str, Any]:
    """Mean, sample standard deviation (None for one seed) and the values."""
    tensor = torch.tensor(values, dtype=torch.float64)
    sd = float(tensor.std()) if len(values) > 1 else None
    return {"mean": float(tensor.mean()), "sd": sd, "seeds": values}


def _command(data: Path, out: Path, seeds: int, epochs: int | None) -> str:
    words = ["monai-levelset", "reproduce", "tang2017-lv", "--data", str(data), "--out", str(out)]
    words += ["--seeds", str(seeds)] + (["--epochs", str(epochs)] if epochs is not None else [])
    return shlex.join(words)


def _append_notes(path: Path, summary: dict[str, Any]) -> None:
    dice = {row: summary["models"][row]["dice"]["mean"] for row in ROWS}
    gains = [
        f"- {row} - {other}: {dice[row] - dice[other]:+.3f}"
        for row in ("jointly trained FCN", "FCN-levelset")
        for other in ("pre-trained FCN", "labelled-only control", "baseline FCN")
    ]
    updates = summary["runs"][0]["updates"]
    text = _NOTES.format(seeds=len(summary["runs"]), first=updates["pre-trained"], second=updates["joint"])
    text += "\nDifferences in Dice:\n\n" + "\n".join(gains) + f"\n\nCommand: `{summary['command']}`\n"
    write_text(path, path.read_text() + text)


_NOTES = """
Mean ± standard deviation over {seeds} seed(s) of the mean over all test images, on the images' own grid;
an image in which nothing is found scores 0. Training, validation and test are 15 patients each; of the
training patients half, drawn by seed, are labelled. Budget: {first} updates for the pre-trained FCN;
{second} more, from its weights, for the jointly trained FCN (FCN-levelset adds only the refinement) and
for the control; the baseline goes through the same two trainings, {first} + {second} updates, with all
labels. An update takes 12 images; in joint training 24, of which on average 12 are labelled. Every
training validates after each 100 updates and keeps its best network by validation Dice. The test part
selects nothing.
"""
