"""What stands under the table: what was reported on, how it was trained, and the differences."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from monai_levelset.report import markdown_table
from monai_levelset.reproduce.parts import Parts
from monai_levelset.reproduce.stages import setting
from monai_levelset.reproduce.targets import ROWS, Target

Counts = Mapping[str, tuple[int, int]]


def notes(target: Target, parts: Parts, counts: Counts, summary: Mapping[str, Any]) -> str:
    """The text that is laid under the table, Markdown.

    Args:
        target: what was reproduced.
        parts: which data did what.
        counts: section -> number of patients and of images.
        summary: the content of `summary.json`.
    """
    blocks = [
        _wrapped(_scores(parts, counts, summary)),
        _wrapped(_data(target, parts, counts, summary) + " " + _training(target, parts, summary)),
        "Differences in Dice:\n\n" + _gains(summary),
        *([_sizes(summary)] if "by_size" in summary else []),
        f"Command: `{summary['command']}`",
    ]
    return "".join(f"\n{block}\n" for block in blocks)


def _scores(parts: Parts, counts: Counts, summary: Mapping[str, Any]) -> str:
    reason = ""
    if parts.name == "validation":
        reason = ", because the data have no test part"
    return (
        f"Mean ± standard deviation over {len(summary['runs'])} seed(s) of the mean over all images of the "
        f"{parts.name} part{reason}: {_count(counts[parts.scored])}. Masks are compared on the images' own "
        "grid; an image in which nothing is found scores 0, or 1 if its label is empty too."
    )


def _data(target: Target, parts: Parts, counts: Counts, summary: Mapping[str, Any]) -> str:
    labeled = f"{len(summary['runs'][0]['labeled_patients'])} patients"
    if not parts.trains:
        return (
            "The data have no training part: the networks are those of the finished trainings in `runs`, "
            f"with labels of {labeled}."
        )
    chosen = _count(counts["validation"])
    drawn = f"{chosen}, drawn once from the data's training part" if parts.inner else chosen
    return (
        f"Trained on {_count(counts['training'])}, of whom {labeled} ({target.labeled_fraction:.0%}), drawn "
        f"by seed, are labelled. Checkpoints are chosen on {drawn}; the {parts.name} part selects nothing."
    )


def _training(target: Target, parts: Parts, summary: Mapping[str, Any]) -> str:
    first, joint = target.stages[:2]
    one, two = (summary["runs"][0]["updates"][stage.name] for stage in (first, joint))
    batch, large = (setting(target, stage, "batch_size") for stage in (first, joint))
    return (
        f"Budget: {one} updates for the pre-trained FCN; {two} more, from its weights, for the jointly "
        "trained FCN (FCN-levelset adds only the refinement) and for the control; the baseline goes through "
        f"the same two trainings, {one} + {two} updates, with all labels. An update takes {batch} images; in "
        f"joint training {large}, of which on average {round(large * target.labeled_fraction, 1):g} are "
        f"labelled. Every training validates after each {setting(target, first, 'val_interval')} updates and "
        "keeps its best network by validation Dice."
    )


def _gains(summary: Mapping[str, Any]) -> str:
    dice = {row: summary["models"][row]["dice"]["mean"] for row in ROWS}
    return "\n".join(
        f"- {row} - {other}: {dice[row] - dice[other]:+.3f}"
        for row in ("jointly trained FCN", "FCN-levelset")
        for other in ("pre-trained FCN", "labelled-only control", "baseline FCN")
    )


def _sizes(summary: Mapping[str, Any]) -> str:
    classes = summary["runs"][0]["by_size"]
    images = ", ".join(f"{name}: {found['images']} images" for name, found in classes.items())
    head = _wrapped(f"Dice by the size of the object, as part of the image ({images}):")
    return f"{head}\n\n{markdown_table(summary['by_size'], list(classes))}".rstrip("\n")


def _count(count: tuple[int, int]) -> str:
    return f"{count[0]} patients with {count[1]} images"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 110, break_long_words=False, break_on_hyphens=False)
