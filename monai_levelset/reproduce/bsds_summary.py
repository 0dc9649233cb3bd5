"""Numbers, notes and the figure of the label-free table."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monai_levelset.metrics.regions import optimal_dataset_scale
from monai_levelset.report import save_figure
from monai_levelset.reproduce.bsds_photos import Photos
from monai_levelset.reproduce.seeds import over_seeds

METRICS = ("rc", "pri", "vi")
PAPER = {
    "4-phase level set": {"rc": 0.403, "pri": 0.703, "vi": 2.722},
    "per-image optimisation": {"rc": 0.428, "pri": 0.717, "vi": 3.193},
    "per-image optimisation + Mumford-Shah": {"rc": 0.485, "pri": 0.714, "vi": 2.195},
    "U-Net + Mumford-Shah": {"rc": 0.470, "pri": 0.727, "vi": 2.322},
}
#: Every so many pictures of the validation part, by name, the weights were chosen on.
TUNED = 5

Runs = Mapping[str, Sequence[Mapping[str, Any]]]
"""Row -> per seed: picture -> `scores` per scale, `seconds`."""


def summarize(runs: Runs, photos: Photos, scales: Sequence[float]) -> dict[str, Any]:
    """All of `summary.json` that follows from the scores.

    Returns:
        `models`, row -> metric -> mean, sd and seeds at the optimal data-set scale; `others`, the same on the
        pictures that nothing was chosen on, if some were; `scale`, the chosen shares; `scales`, every metric
        at every share; `seconds` per picture; `part` and `pictures`.
    """
    names = [photo.name for photo in photos.scored]
    tuned = names[::TUNED] if photos.part == "validation" else []
    summary: dict[str, Any] = {
        "part": photos.part,
        "pictures": len(names),
        "crossed": photos.crossed,
        "tuned_on": tuned,
        "models": {row: _over_seeds(seeds, names) for row, seeds in runs.items()},
    }
    if others := [name for name in names if name not in tuned] if tuned else []:
        summary["others"] = {row: _over_seeds(seeds, others) for row, seeds in runs.items()}
    summary["shares"] = list(scales)
    summary["scales"] = {row: _at_every_scale(seeds, names) for row, seeds in runs.items()}
    summary["scale"] = {row: _chosen(seeds, names, scales) for row, seeds in runs.items()}
    summary["seconds"] = {
        row: float(np.median([run[name]["seconds"] for run in seeds for name in names]))
        for row, seeds in runs.items()
    }
    return summary


def _over_seeds(seeds: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """Metric -> mean, sd and seeds, each seed at its own optimal data-set scale."""
    best = [optimal_dataset_scale([run[name]["scores"] for name in names]) for run in seeds]
    return {metric: over_seeds([each[metric].mean for each in best]) for metric in METRICS}


def _at_every_scale(seeds: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, list[float]]:
    """Metric, and the number of regions -> the mean over seeds and pictures at every scale."""
    cases = [run[name]["scores"] for run in seeds for name in names]
    means = {m: np.mean([[at[m] for at in case] for case in cases], axis=0) for m in (*METRICS, "regions")}
    return {metric: [round(float(v), 4) for v in values] for metric, values in means.items()}


def _chosen(
    seeds: Sequence[Mapping[str, Any]], names: Sequence[str], scales: Sequence[float]
) -> dict[str, float]:
    """Metric -> the share at which it is best over all seeds."""
    best = optimal_dataset_scale([run[name]["scores"] for run in seeds for name in names])
    return {metric: scales[best[metric].scale] for metric in METRICS}


def notes(summary: Mapping[str, Any], photos: Photos) -> str:
    """What stands under the table, Markdown."""
    seeds = max(len(found["rc"]["seeds"]) for found in summary["models"].values())
    text = (
        f"Mean ± standard deviation over {seeds} seed(s) of the mean over the {summary['pictures']} pictures "
        f"of the {photos.part} part, scored against every person's segmentation. rc and pri: larger is "
        "better, vi (bits): smaller. Each at its optimal data-set scale: of the smallest shares of a picture "
        f"that a region may cover, {', '.join(f'{share:g}' for share in summary['shares'])}, the one that is "
        "best over all pictures. Smaller regions are merged into the neighbour of nearest colour, in every "
        "row alike."
    )
    how = (
        "There is no other part here: the U-Net learned from one half of the pictures, without labels, and "
        "is scored on the other, and the other way round. "
        if photos.crossed
        else f"The U-Net learned, without labels, from {len(photos.folds[0].training)} pictures of the other "
        "parts. "
    )
    if summary["tuned_on"]:
        how += (
            f"The weights of the loss and the sizes were chosen on {len(summary['tuned_on'])} of the "
            "pictures (`tuned_on` in summary.json); on the others alone:"
        )
    blocks = [_wrapped(text), _wrapped(how)]
    if "others" in summary:
        blocks.append(_others(summary["others"]))
    blocks.append(_seconds(summary))
    blocks.append(f"Command: `{summary['command']}`")
    return "".join(f"\n{block}\n" for block in blocks)


def _others(models: Mapping[str, Any]) -> str:
    head = "| model | rc | pri | vi |\n| --- | --- | --- | --- |\n"
    return head + "\n".join(
        f"| {row} | " + " | ".join(f"{found[metric]['mean']:.3f}" for metric in METRICS) + " |"
        for row, found in models.items()
    )


def _seconds(summary: Mapping[str, Any]) -> str:
    times = ", ".join(f"{row} {seconds:.2g}" for row, seconds in summary["seconds"].items())
    return _wrapped(f"Seconds per picture, median, without training and merging: {times}.")


def scale_figure(summary: Mapping[str, Any], path: Path) -> Path:
    """Draw every metric against the smallest share that a region may cover; a line per row."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6), layout="constrained")
    percent = [100 * share for share in summary["shares"]]
    for axes, metric in zip(figure.subplots(1, 3), METRICS, strict=True):
        for row, found in summary["scales"].items():
            axes.plot(percent, found[metric], marker="o", markersize=3, label=row)
        axes.set(xlabel="smallest region, % of the picture", ylabel=metric)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small")
    return save_figure(figure, path)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 110, break_long_words=False, break_on_hyphens=False)
