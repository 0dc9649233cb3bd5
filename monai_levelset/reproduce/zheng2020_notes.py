"""What stands below the table."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from monai_levelset.report import markdown_table
from monai_levelset.reproduce.stages import setting
from monai_levelset.reproduce.zheng2020_data import Found
from monai_levelset.reproduce.zheng2020_rows import BATCH, ELLIPSE, METRICS, UNET, ClickTarget, stage

_CLOSER = ("+CM+BD", "baseline"), ("+CM", "baseline"), ("+BD", "baseline"), ("+CM+BD", "DEXTR")


def notes(click: ClickTarget, summary: Mapping[str, Any], found: Found) -> str:
    """Further tables, the differences seed by seed, and how it was measured; Markdown."""
    models = summary["models"]
    others = list(found.tests)[1:]
    blocks = [_wrapped(_about(click, summary, found)), _wrapped(_training(click, summary))]
    blocks += ["Differences in Dice, seed by seed:\n\n" + _gains(models)]
    blocks += [f"Clicks displaced as in training:\n\n{_table(models, '_noisy')}"]
    if len(click.structures) > 1:
        blocks += [
            f"{name.capitalize()}, exact clicks:\n\n{_table(models, f'_{name}')}" for name in click.structures
        ]
    for name in others:
        head = _wrapped(f"{found.tests[name].about}: {summary['objects'][name]} objects.")
        blocks.append(f"{head}\n\n{_table(models, f'_{name}')}")
    blocks.append(f"Command: `{summary['command']}`")
    return "".join(f"\n{block}\n" for block in blocks)


def _about(click: ClickTarget, summary: Mapping[str, Any], found: Found) -> str:
    name, test = next(iter(found.tests.items()))
    return (
        f"Mean ± standard deviation over {len(summary['runs'])} seed(s) of the mean over "
        f"{summary['objects'][name]} objects: {test.about}"
        + (", averaged over " + " and ".join(click.structures) if len(click.structures) > 1 else "")
        + ". Masks are compared on the images' own grid; clicks are the label's extreme points, exact; "
        f"`{UNET}` gets none. Dice; relative volume difference; largest and average distance of the contours "
        f"in {click.unit}; boundary F-measure with a tolerance of {click.tolerance:g} pixels. `{ELLIPSE}` is "
        "four quarter ellipses from click to click, without image or network: what the clicks alone tell. "
        "`baseline` and `DELSE` are one training, as in the paper."
    )


def _training(click: ClickTarget, summary: Mapping[str, Any]) -> str:
    plan = stage("cm-bd", {})
    target = click.target
    width = setting(target, plan, "width")
    backbone = setting(target, plan, "backbone") + ("" if width == 1 else f" of {width:g} times its width")
    start = "from ImageNet" if "resnet50" in target.overrides else "from scratch"
    size = setting(target, plan, "size")
    return (
        f"Click networks: {backbone}, {start}, {size[0]} x {size[1]} pixels, "
        f"{summary['updates']['cm-bd']} updates of {BATCH} objects; all rows "
        f"alike. {UNET}: {summary['updates']['unet']} updates. The last network is scored, so the scored "
        "images choose nothing."
    )


def _gains(models: Mapping[str, Any]) -> str:
    lines = []
    for row, other in _CLOSER:
        pairs = zip(models[row]["dice"]["seeds"], models[other]["dice"]["seeds"], strict=True)
        each = [a - b for a, b in pairs]
        listed = ", ".join(f"{value:+.4f}" for value in each)
        lines.append(f"- {row} - {other}: {sum(each) / len(each):+.4f} ({listed})")
    return "\n".join(lines)


def _table(models: Mapping[str, Any], suffix: str) -> str:
    shown = {row: {metric: found[f"{metric}{suffix}"] for metric in METRICS} for row, found in models.items()}
    return markdown_table(shown, METRICS).rstrip("\n")


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 110, break_long_words=False, break_on_hyphens=False)
