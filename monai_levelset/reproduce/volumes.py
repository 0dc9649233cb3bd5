"""2.5D bundles trained in stages, and scored as a user runs them: on whole volumes as they came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from monai_levelset.data import DataError, load_section, prepare
from monai_levelset.data.cache_folders import item_paths
from monai_levelset.data.datalist import SECTIONS, Item
from monai_levelset.data.readers.brats import sequence_of
from monai_levelset.metrics import case_metrics, check_same_grid
from monai_levelset.metrics.volume import load_label
from monai_levelset.report import write_json
from monai_levelset.reproduce.inference import infer
from monai_levelset.reproduce.seeds import over_seeds
from monai_levelset.reproduce.stages import budget, read_json, train
from monai_levelset.reproduce.targets import Stage, Target

METRICS = ("dice", "precision", "recall", "iou")
#: What `--epochs` is a part of: with so many, trainings have the bundle's number of updates.
EPOCHS = 40


def prepared(target: Target, data: Path, out: Path) -> Path:
    """The folder of the data list: the data's own, or one made in `out/data` by the target's reader."""
    data = data.absolute()
    if (data / "datalist.json").is_file() or target.dataset is None:
        return data
    prepare(target.dataset, data, out.absolute() / "data")
    return out.absolute() / "data"


def scored_section(data: Path) -> str:
    """The section that is reported on: `test`, or `validation` where there is none.

    Raises:
        DataError: there is neither.
    """
    content = read_json(data / "datalist.json")
    held = [section for section in SECTIONS if content.get(section)]
    for section in ("test", "validation"):
        if section in held:
            return section
    raise DataError(
        f"{data}: it has only {', '.join(held) or 'empty sections'}. Add a test or validation section."
    )


def train_last(
    target: Target,
    stage: Stage,
    folder: Path,
    *,
    data: Path,
    seed: int,
    epochs: int | None,
    settings: Mapping[str, Any],
) -> None:
    """Train a stage and keep its last network, chosen by nothing; or do nothing if it has finished.

    Args:
        target: whose bundle is trained.
        stage: what to train.
        folder: the seed's folder.
        data: folder of the data list. Without a training section the stage must have finished before.
        seed: see `train`.
        epochs: length of the trainings, where the paper's 40 stand for the bundle's number of updates; None:
            that number.
        settings: further entries of the configuration.

    Raises:
        DataError: there is nothing to train on and nothing finished.
    """
    if not read_json(data / "datalist.json").get("training"):
        if not (folder / stage.name / "finished.json").is_file():
            raise DataError(
                f"{data}: it has no training section, and {folder / stage.name} holds no finished training. "
                "Run the command on data with a training section first, then on these with the same --out."
            )
        return
    updates = length(budget(target, stage), epochs)
    # one validation, after the last update, so that the last network is the one that is kept
    last = {**stage.settings, **settings, "val_interval": updates}
    train(target, replace(stage, settings=last), folder, data=data, seed=seed, updates=updates)


def length(updates: int, epochs: int | None) -> int:
    """The number of updates of a training of `epochs` epochs, where 40 stand for `updates`; None: all.

    Example:
        >>> length(2400, 10), length(2400, None)
        (600, 2400)
    """
    return updates if epochs is None else max(1, updates * epochs // EPOCHS)


def sequences_of(items: Sequence[Item]) -> list[str] | None:
    """Names of the sequences of the first case, where each has a file; None where one file holds all."""
    files = item_paths(items[0]["image"])
    names = [sequence_of(file)[1] for file in files]
    return names if len(files) > 1 and all(names) else None


def scores(
    target: Target, data: Path, section: str, folder: Path, settings: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Segment the volumes of a section with a finished network, and score them on their own grids.

    Args:
        target: whose bundle it is.
        data: folder of the data list.
        section: of it.
        folder: of the network, `model.pt`; keeps the predictions and `scores-SECTION.json`.
        settings: further entries of the inference's configuration.

    Returns:
        Per volume `id`, `METRICS` and `missed`.

    Raises:
        DataError: a volume has no label.
    """
    items = load_section(data, section)
    bare = [str(item["id"]) for item in items if not item["labeled"]]
    if bare:
        raise DataError(f"{data}: {bare[0]} of the section {section} has no label to score against.")
    done = folder / f"scores-{section}.json"
    key = [[item["id"], *map(str, item_paths(item["image"]))] for item in items]
    if done.is_file() and read_json(done)["items"] == key:
        found: list[dict[str, Any]] = read_json(done)["cases"]
        return found
    predictions = folder / f"predictions-{section}"
    listed = [{"image": item["image"], "id": item["id"]} for item in items]
    infer(target, folder / "model.pt", predictions, cases=listed, **settings)
    cases = [_score(item, predictions) for item in items]
    write_json(done, {"items": key, "cases": cases})
    return cases


def rows_over_seeds(
    runs: Sequence[Mapping[str, Any]], metrics: Sequence[str] = METRICS
) -> dict[str, dict[str, Any]]:
    """Row -> metric -> mean and standard deviation over seeds of the means over volumes.

    Example:
        >>> runs = [{"rows": {"a": [{"dice": 0.2}, {"dice": 0.4}]}}, {"rows": {"a": [{"dice": 0.5}]}}]
        >>> rows_over_seeds(runs, ["dice"])["a"]["dice"]["mean"].__round__(3)
        0.4
    """

    def of_seeds(row: str, metric: str) -> dict[str, Any]:
        return over_seeds([sum(c[metric] for c in run["rows"][row]) / len(run["rows"][row]) for run in runs])

    return {row: {metric: of_seeds(row, metric) for metric in metrics} for row in runs[0]["rows"]}


def gain(models: Mapping[str, Any], without: str, with_loss: str) -> dict[str, Any]:
    """What one row has over another in Dice, seed by seed."""
    pairs = zip(models[without]["dice"]["seeds"], models[with_loss]["dice"]["seeds"], strict=True)
    return over_seeds([b - a for a, b in pairs])


def gain_line(ratio: str, found: Mapping[str, Any]) -> str:
    """A gain in words.

    Example:
        >>> gain_line("1/4", {"mean": 0.05, "seeds": [0.04, 0.06]})
        '- 1/4 of the labels: +0.050 (+0.040, +0.060)'
    """
    each = ", ".join(f"{value:+.3f}" for value in found["seeds"])
    return f"- {ratio} of the labels: {found['mean']:+.3f} ({each})"


def _score(item: Item, predictions: Path) -> dict[str, Any]:
    truth = load_label(item_paths(item["label"])[0])
    (file,) = [path for path in predictions.iterdir() if path.name.startswith(f"{item['id']}.")]
    prediction = load_label(file)
    check_same_grid(prediction, truth)
    metrics = case_metrics(prediction.array, truth.array, distances=False)
    return {"id": item["id"], **{name: metrics[name] for name in (*METRICS, "missed")}}
