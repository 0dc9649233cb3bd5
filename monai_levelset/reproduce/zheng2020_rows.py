"""What is compared in Zheng et al.: each row's training of a click bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from monai_levelset.reproduce.targets import Stage, Target

#: Objects in an update of a click network; the paper has 10.
BATCH = 6
METRICS = ("dice", "rvd", "hd", "abd", "boundary_f")
ELLIPSE, UNET = "ellipse through the clicks", "U-Net"

#: Training -> the configuration laid over `train.json`; None: `train.json` itself is the whole system.
TRAININGS: dict[str, str | None] = {
    "delse": "delse",
    "cm": "confidence_map",
    "bd": "boundary_loss",
    "cm-bd": None,
    "dextr": "dextr",
    "unet": "unet",
}
#: Row -> its training. The paper's baseline is DELSE, so these two rows are one training.
ROWS: dict[str, str | None] = {
    "baseline": "delse",
    "+CM": "cm",
    "+BD": "bd",
    "+CM+BD": "cm-bd",
    "DEXTR": "dextr",
    "DELSE": "delse",
    UNET: "unet",
    ELLIPSE: None,
}


@dataclass(frozen=True)
class ClickTarget:
    """One of the paper's two tables.

    Attributes:
        target: bundle and reader.
        structures: structure -> its label values.
        tolerance: of the boundary F-measure, pixels.
        paper: row -> metric -> the paper's number.
        unit: of the distances.
        updates: of the click networks and of the U-Net.
        upright: whether the network's input has rows and columns as a viewer shows them; otherwise x and y.
    """

    target: Target
    structures: Mapping[str, tuple[int, ...]]
    tolerance: float
    paper: Mapping[str, Mapping[str, float]]
    unit: str
    updates: tuple[int, int]
    upright: bool


def stage(training: str, settings: Mapping[str, Any]) -> Stage:
    """A training with these entries of its configuration."""
    override = TRAININGS[training]
    return Stage(training, override or "", settings=dict(settings))


def with_weights(click: ClickTarget, weights: str | None) -> tuple[ClickTarget, dict[str, Any]]:
    """The target with the paper's kind of ResNet started from ImageNet, and the settings that say so."""
    if weights is None:
        return click, {}
    target = replace(click.target, overrides=(*click.target.overrides, "resnet50"))
    return replace(click, target=target), {"imagenet": weights}


def _numbers(*numbers: float) -> dict[str, float]:
    return dict(zip(("dice", "rvd", "hd", "abd"), numbers, strict=False))


FUNDUS = ClickTarget(
    Target(
        "zheng2020-fundus",
        bundle="fundus_levelset_deepgrow",
        labeled_fraction=1.0,
        paper={},
        dataset="drishti",
    ),
    structures={"disc": (1, 2), "cup": (2,)},
    tolerance=2.0,
    paper={
        "+CM+BD": {"dice": 0.967, "hd": 1.7, "abd": 0.3},
        "DEXTR": {"dice": 0.966, "hd": 1.7, "abd": 0.3},
        "DELSE": {"dice": 0.965, "hd": 1.7, "abd": 0.3},
        UNET: {"dice": 0.919, "hd": 2.7, "abd": 0.4},
    },
    unit="pixels",
    updates=(100, 500),
    upright=False,
)
PROSTATE = ClickTarget(
    Target("zheng2020-prostate", bundle="prostate_mri_levelset_deepgrow", labeled_fraction=1.0, paper={}),
    structures={"prostate": (1,)},
    tolerance=2.0,
    paper={
        "baseline": _numbers(0.960, -0.058, 7.4, 1.2),
        "+CM": _numbers(0.964, -0.037, 7.3, 1.1),
        "+BD": _numbers(0.962, -0.034, 6.9, 1.1),
        "+CM+BD": _numbers(0.964, -0.029, 6.8, 1.0),
        "DEXTR": _numbers(0.958, -0.065, 7.6, 1.2),
        "DELSE": _numbers(0.960, -0.058, 7.4, 1.2),
        UNET: _numbers(0.847, 0.024, 15.9, 1.9),
    },
    unit="mm",
    updates=(150, 200),
    upright=True,
)
TARGETS = {click.target.name: click for click in (FUNDUS, PROSTATE)}
