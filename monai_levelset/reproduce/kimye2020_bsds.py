"""The label-free table of Kim and Ye (2020): BSDS500 with the Mumford-Shah loss."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from monai_levelset.metrics.regions import region_metrics
from monai_levelset.report import write_json, write_tables, write_text
from monai_levelset.report.origin import versions
from monai_levelset.reproduce.bsds_methods import ROWS, class_map, row_settings
from monai_levelset.reproduce.bsds_network import load_network, network_settings, train_network
from monai_levelset.reproduce.bsds_photos import Fold, Photo, find_photos
from monai_levelset.reproduce.bsds_summary import METRICS, PAPER, notes, scale_figure, summarize
from monai_levelset.reproduce.seeds import command_line, run_seeds
from monai_levelset.reproduce.stages import read_json
from monai_levelset.transforms import connected_regions, merge_small_regions

#: Shares of the picture below which regions are merged away: the scales of the optimal data-set scale.
SCALES = (0.0, 0.002, 0.005, 0.01, 0.02, 0.035, 0.05)


@dataclass(frozen=True)
class Job:
    """One picture of one row and seed: what is scored and where the score is kept."""

    row: str
    seed: int
    photo: Photo
    settings: dict[str, Any]
    path: Path
    weights: Path | None = None


def reproduce_label_free(
    name: str, data: Path, out: Path, *, seeds: int = 3, epochs: int | None = None, jobs: int = 1
) -> dict[str, Any]:
    """Region covering, PRI and VI of six ways to segment without labels; see `reproduce`.

    Args:
        name: `kimye2020-bsds`.
        data: folder of BSDS500 as published.
        out: folder for the results.
        seeds: how many; the level set has none.
        epochs: updates of each per-image optimisation, and passes of the U-Net over its pictures.
        jobs: processes, one thread each.

    Returns:
        What `summary.json` holds.
    """
    photos = find_photos(data.absolute())
    for photo in photos.scored:
        photo.load()  # unfit files are refused before anything is computed
    plans = [(row, seed, fold) for row in ROWS for seed in _seeds(row, seeds) for fold in photos.folds]
    runs = run_seeds(_run_fold, [(*plan, out.absolute(), epochs) for plan in plans], jobs=jobs)
    summary = summarize(_by_seed(plans, runs), photos, SCALES)
    summary = {"target": name, "command": command_line(name, data, out, seeds, epochs), **summary}
    summary["versions"] = versions()
    write_json(out / "summary.json", summary)
    write_tables(out, summary["models"], METRICS, paper=PAPER)
    table = out / "table.md"
    write_text(table, table.read_text() + notes(summary, photos))
    scale_figure(summary, out / "scales.png")
    print(table.read_text(), end="")
    return summary


def _seeds(row: str, seeds: int) -> range:
    return range(1 if ROWS[row]["method"] == "level set" else seeds)


def _run_fold(row: str, seed: int, fold: Fold, out: Path, epochs: int | None) -> dict[str, Any]:
    """Picture -> its scores; a U-Net is trained first."""
    folder = out / "runs" / re.sub(r"\W+", "-", row.lower()) / f"seed{seed}"
    settings, weights = row_settings(row, epochs), None
    if settings["method"] == "U-Net":
        settings |= network_settings(settings["bias_field"], len(fold.training), epochs)
        settings["pictures"] = [photo.name for photo in fold.training]
        weights = train_network(folder / fold.name, fold, settings, seed)
    jobs = [Job(row, seed, p, settings, folder / f"{p.name}.json", weights) for p in fold.scored]
    return {job.photo.name: score(job) for job in jobs}


def score(job: Job) -> dict[str, Any]:
    """The metrics of one picture at every scale, computed once.

    Returns:
        `scores`, one dict of metrics and the number of `regions` per scale, and the `seconds` it took to
        segment.
    """
    made_with = {**job.settings, "seed": job.seed, "scales": list(SCALES)}
    if job.path.is_file():
        found = read_json(job.path)
        if found["settings"] == made_with:
            return found
    image, truths = job.photo.load()
    network = None if job.weights is None else _network(job.weights, job.settings["bias_field"])
    start = time.perf_counter()
    classes = class_map(image, job.settings, seed=job.seed, network=network)
    seconds = time.perf_counter() - start
    regions, scores = connected_regions(classes), []
    for scale in SCALES:
        regions = merge_small_regions(regions, image.numpy(), scale)
        scores.append({**region_metrics(regions, truths), "regions": int(regions.max()) + 1})
    result = {"settings": made_with, "scores": scores, "seconds": round(seconds, 3)}
    write_json(job.path, result)
    return result


@cache
def _network(folder: Path, bias_field: bool) -> torch.nn.Module:
    return load_network(folder, bias_field)


def _by_seed(
    plans: Iterable[tuple[str, int, Fold]], runs: Iterable[dict[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """Row -> per seed: picture -> its scores."""
    found: dict[str, dict[int, dict[str, Any]]] = {row: {} for row in ROWS}
    for (row, seed, _), run in zip(plans, runs, strict=True):
        found[row].setdefault(seed, {}).update(run)
    return {row: [by_seed[seed] for seed in sorted(by_seed)] for row, by_seed in found.items()}
