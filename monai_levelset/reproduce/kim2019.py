"""Cross entropy, the level-set loss of Kim et al. (2019), and CRF post-processing on two data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monai_levelset.data import DataError
from monai_levelset.data.readers.drishti import read_drishti
from monai_levelset.report import write_json, write_tables, write_text
from monai_levelset.report.origin import versions
from monai_levelset.reproduce.kim2019_choice import choose
from monai_levelset.reproduce.kim2019_figures import write_figures
from monai_levelset.reproduce.kim2019_fundus import FundusTask
from monai_levelset.reproduce.kim2019_lv import VentricleTask
from monai_levelset.reproduce.kim2019_rows import score_seed, time_seed
from monai_levelset.reproduce.kim2019_summary import METRICS, notes, summarize, without_cases
from monai_levelset.reproduce.kim2019_task import TRAININGS, Task
from monai_levelset.reproduce.seeds import command_line, run_seeds

_FOLDERS = {"lv": Path("lv") / "sunnybrook", "fundus": Path("fundus") / "drishti"}


def reproduce_losses(
    name: str, data: Path, out: Path, *, seeds: int = 3, epochs: int | None = None, jobs: int = 1
) -> dict[str, Any]:
    """Train, choose on validation data, score, time, and write the table.

    Args:
        name: of the target.
        data: folder that holds `lv/sunnybrook` and `fundus/drishti`, or one of these two.
        out: folder of the results; finished trainings, scores and times in `out/runs` are used again.
        seeds: how many seeds.
        epochs: passes over the training images; None: the usual number of updates.
        jobs: trainings at the same time, each on one thread.

    Returns:
        What `summary.json` holds.

    Raises:
        DataError: the data are missing or unfit.
    """
    tasks = find_tasks(data, out, epochs)
    given, out = out, out.absolute()
    _train(tasks, out, seeds, jobs)
    runs = {task.name: _measure(task, out / "runs" / task.name, seeds) for task in tasks}
    summary = {
        "target": name,
        "command": command_line(name, data, given, seeds, epochs),
        **summarize(tasks, runs),
        "runs": {task: without_cases(run) for task, run in runs.items()},
        "versions": versions(),
    }
    write_json(out / "summary.json", summary)
    write_tables(out, summary["models"], METRICS, digits=4)
    table = out / "table.md"
    write_text(table, table.read_text() + notes(tasks, summary, runs))
    write_figures(tasks, out, summary, runs)
    print(table.read_text(), end="")
    return summary


def find_tasks(data: Path, out: Path, epochs: int | None = None) -> list[Task]:
    """What the folder holds: left ventricle, fundus, or both.

    Raises:
        DataError: neither is found, or the data are unfit.
    """
    folders = {name: data / folder for name, folder in _FOLDERS.items() if (data / folder).is_dir()}
    if not folders and (data / "endocardium").is_dir():
        folders = {"lv": data}
    if not folders and _is_drishti(data):
        folders = {"fundus": data}
    if not folders:
        raise DataError(
            f"{data}: neither lv/sunnybrook nor fundus/drishti is in it, nor is it one of these: Sunnybrook "
            "pictures (images, endocardium, splits.json) or Drishti photographs (train/images, train/labels; "
            "val/…). Name the folder that holds them."
        )
    tasks: dict[str, Any] = {"lv": VentricleTask, "fundus": FundusTask}
    return [tasks[name].find(folder.resolve(), out, epochs) for name, folder in folders.items()]


def _is_drishti(data: Path) -> bool:
    try:
        return bool(read_drishti(data).cases)
    except DataError:
        return False


def _train(tasks: list[Task], out: Path, seeds: int, jobs: int) -> None:
    todo = [
        (task, out / "runs" / task.name / f"seed{seed}" / training, weight, seed)
        for task in tasks
        for seed in range(seeds)
        for training, weight in TRAININGS.items()
    ]
    run_seeds(_train_one, todo, jobs=jobs)


def _train_one(task: Task, folder: Path, weight: float, seed: int) -> None:
    task.train(folder, weight, seed)


def _measure(task: Task, runs: Path, seeds: int) -> dict[str, Any]:
    choice = choose(task, runs, seeds)
    views = task.views("test")
    scores = [score_seed(task, views, runs / f"seed{seed}", choice) for seed in range(seeds)]
    times = [time_seed(task, views, runs / f"seed{seed}", choice) for seed in range(seeds)]
    return {"choice": choice, "scores": scores, "seconds": times}
