"""Short trainings of the click bundles, on phantoms and small crops, for the tests of both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser, ConfigWorkflow
from torch import Tensor, nn

from monai_levelset.data import simulated_clicks, write_clicks
from monai_levelset.networks import DeepLevelSetNetwork

from .common import run_workflow
from .fundus import FUNDUS_BUNDLE
from .prostate import PROSTATE_BUNDLE

BUNDLES = {"fundus": FUNDUS_BUNDLE, "prostate": PROSTATE_BUNDLE}

NETWORK: dict[str, Any] = {
    "size": [64, 64],
    "fwhm": 4.0,
    "width": 0.25,
    "skip_channels": 8,
    "head_channels": 8,
}
"""What training, evaluation and inference share."""
TINY: dict[str, Any] = {**NETWORK, "view_size": [96, 96], "jitter": 1.5, "log_interval": 1}

DISTANCES = "ignore:.*get_mask_edges.always_return_as_numpy:FutureWarning"
"""MONAI's Hausdorff and surface distance call a function of MONAI by a name that it deprecates."""


class FrozenNorm(DeepLevelSetNetwork):
    """The network with norms that look at no batch: each item is treated by itself, in training, too."""

    def train(self, mode: bool = True) -> FrozenNorm:
        """All but the norms."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


def train(bundle: Path, data: Path, out: Path, *overrides: str, **settings: Any) -> ConfigWorkflow:
    """A training into `out/models` and `out/eval`."""
    places = {"dataset_dir": data, "ckpt_dir": out / "models", "output_dir": out / "eval"}
    places |= {"cache_dir": data / "cache"}
    return run_workflow(
        bundle, "train", *overrides, run_id="training", **{**places, **TINY, "val_interval": 1000, **settings}
    )


def read(bundle: Path, *names: str, **settings: Any) -> ConfigParser:
    """A configuration with these settings, not yet executed."""
    parser = ConfigParser()
    parser.read_config([str(bundle / "configs" / f"{name}.json") for name in names])
    parser.update({"device": "cpu", **settings})
    return parser


def segment(
    bundle: Path,
    weights: Path,
    out: Path,
    images: Path,
    labels: Path,
    structures: Mapping[str, Any],
    **settings: Any,
) -> None:
    """Inference on a folder of images, with the extreme points of the labels as clicks."""
    clicks = simulated_clicks(sorted(labels.iterdir()), structures)
    out.mkdir()
    write_clicks(clicks, out / "clicks.json")
    run_workflow(
        *(bundle, "inference"),
        dataset_dir=images,
        output_dir=out / "masks",
        clicks=out / "clicks.json",
        checkpoint=weights,
        **{**NETWORK, **settings},
    )


def weights_of(folder: Path) -> dict[str, Tensor]:
    """What the last checkpoint of a training holds."""
    state: dict[str, Tensor] = torch.load(folder / "eval/checkpoint.pt", weights_only=True)["model"]
    return state


def same(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> bool:
    """Whether two networks are equal bit for bit."""
    return one.keys() == two.keys() and all(torch.equal(one[name], value) for name, value in two.items())
