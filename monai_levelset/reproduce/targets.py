"""The parts of Tang et al. (2017), table 1: each one's bundle, trainings and printed numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai_levelset.bundles import find_bundle

METRICS = ("dice", "iou")

#: Row -> (stage, whether the level set refines its probability map).
ROWS = {
    "pre-trained FCN": ("pre-trained", False),
    "post-processing level set": ("pre-trained", True),
    "jointly trained FCN": ("joint", False),
    "FCN-levelset": ("joint", True),
    "baseline FCN": ("baseline", False),
    "labelled-only control": ("labelled-only", False),
}


@dataclass(frozen=True)
class Stage:
    """One training of a bundle.

    Attributes:
        name: of the stage and its folder.
        override: name of the configuration file that is laid over `train.json`; '' for none.
        after: the stage whose best network it starts from.
        settings: further entries of the configuration.
    """

    name: str
    override: str
    after: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Target:
    """One part of the paper's table 1.

    Attributes:
        name: what the command calls it.
        bundle: name or folder of the bundle.
        labeled_fraction: part of the training patients whose labels are used.
        paper: row -> Dice and IoU as printed, in the order of `ROWS`.
        overrides: configuration files between `train.json` and a stage's, and over `inference.json`.
        dataset: reader, see `prepare`, of data without `datalist.json`; None: the bundle reads them.
        sizes: limits, as part of the image, between which Dice is also given by the object's size.
    """

    name: str
    bundle: str
    labeled_fraction: float
    paper: Mapping[str, tuple[float, float]]
    overrides: tuple[str, ...] = ()
    dataset: str | None = None
    sizes: tuple[float, ...] = ()

    @property
    def folder(self) -> Path:
        """The bundle's folder."""
        return find_bundle(self.bundle).absolute()

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The trainings, in order.

        The baseline goes through the same two trainings as the jointly trained network and the control: as
        many updates, and all labels in both.
        """
        part = {"labeled_fraction": self.labeled_fraction}
        return (
            Stage("pre-trained", "pretrain", settings=part),
            Stage("joint", "joint", after="pre-trained", settings=part),
            Stage("labelled-only", "control", after="pre-trained", settings=part),
            Stage("baseline-first", "baseline"),
            Stage("baseline", "control", after="baseline-first"),
        )

    def files(self, *overrides: str) -> list[str]:
        """The bundle's configuration with these overrides on top."""
        return config_files(self.folder, *self.overrides, *overrides)


def config_files(bundle: Path, *overrides: str, base: str = "train") -> list[str]:
    """The base configuration and the overrides, each laid over what stands before it; '' is none."""
    return [str(bundle / "configs" / f"{name}.json") for name in (base, *filter(None, overrides))]


def _printed(*numbers: tuple[float, float]) -> dict[str, tuple[float, float]]:
    return dict(zip(ROWS, numbers, strict=False))


TARGETS = {
    target.name: target
    for target in (
        Target(
            "tang2017-lv",
            bundle="lv_mri_levelset_segmentation",
            labeled_fraction=0.5,
            paper=_printed((0.754, 0.605), (0.678, 0.620), (0.772, 0.623), (0.788, 0.635), (0.804, 0.672)),
        ),
        Target(
            "tang2017-liver",
            bundle="liver_ct_levelset_segmentation",
            labeled_fraction=0.3,
            paper=_printed((0.843, 0.729), (0.885, 0.794), (0.879, 0.784), (0.923, 0.857), (0.896, 0.811)),
            overrides=("slices",),
            dataset="liver_slices",
            sizes=(0.02, 0.06),
        ),
    )
}


def find_target(name: str) -> Target:
    """The target of that name.

    Raises:
        ValueError: there is none; the message names those there are.

    Example:
        >>> find_target("tang2017-liver").labeled_fraction
        0.3
    """
    if name not in TARGETS:
        raise ValueError(f"unknown target {name!r}; choose from {', '.join(TARGETS)}")
    return TARGETS[name]
