"""The U-Net rows of the label-free table: the bundle's training, once per seed and fold."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from torch import nn

from monai_levelset.bundles import find_bundle
from monai_levelset.data import write_datalist
from monai_levelset.report import write_json
from monai_levelset.reproduce.bsds_photos import Fold
from monai_levelset.reproduce.stages import read_json, run_workflow
from monai_levelset.reproduce.targets import config_files

BUNDLE = "natural_levelset_segmentation"
#: Part of a fold's training pictures on which the loss chooses the network, at least one.
CHOOSES = 0.1


def network_settings(bias_field: bool, pictures: int, epochs: int | None) -> dict[str, Any]:
    """What is trained.

    Args:
        bias_field: whether the network finds a bias field.
        pictures: how many it learns from.
        epochs: passes over them; None: as many updates as the bundle sets.
    """
    parser = _config()
    updates = int(parser["max_updates"])
    if epochs is not None:
        updates = epochs * math.ceil(pictures / int(parser["batch_size"]))
    return {
        "bias_field": bias_field,
        "max_updates": updates,
        "size": int(parser["size"]),
        "classes": int(parser["classes"]),
    }


def train_network(folder: Path, fold: Fold, settings: Mapping[str, Any], seed: int) -> Path:
    """Train, or go on, or do nothing if it is finished with the same settings.

    Returns:
        The folder, with `model.pt` and `finished.json`.
    """
    data = folder / "data"
    given = {name: settings[name] for name in ("bias_field", "max_updates")}
    given |= {"seed": seed, "dataset_dir": str(data), "ckpt_dir": str(folder), "output_dir": str(folder)}
    pictures = [photo.name for photo in fold.training]
    record = {"settings": given, "pictures": pictures}
    done, started = folder / "finished.json", folder / "settings.json"
    if done.is_file() and read_json(done)["started"] == record:
        return folder
    resume = (folder / "checkpoint.pt").is_file() and read_json(started) == record
    if not resume:
        for old in (done, folder / "checkpoint.pt"):
            old.unlink(missing_ok=True)
    _write_list(data, fold)
    write_json(started, record)
    start = time.perf_counter()
    bundle = find_bundle(BUNDLE).absolute()
    run_workflow(config_files(bundle), bundle, {**given, "bundle_root": str(bundle), "resume": resume})
    write_json(done, {"started": record, "seconds": round(time.perf_counter() - start, 1)})
    (folder / "checkpoint.pt").unlink(missing_ok=True)
    return folder


def load_network(folder: Path, bias_field: bool) -> nn.Module:
    """The network that `train_network` left in a folder."""
    parser = _config()
    parser["bias_field"] = bias_field
    network: nn.Module = parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(folder / "model.pt", weights_only=True))
    return network.eval()


def _config() -> ConfigParser:
    parser = ConfigParser()
    parser.read_config(config_files(find_bundle(BUNDLE).absolute()))
    return parser


def _write_list(folder: Path, fold: Fold) -> None:
    items = [{"image": photo.image, "patient": photo.name} for photo in fold.training]
    chooses = max(1, round(CHOOSES * len(items)))
    sections = {"training": items[chooses:], "validation": items[:chooses]}
    folder.mkdir(parents=True, exist_ok=True)
    write_datalist(folder / "datalist.json", sections, name="BSDS500 without labels", modality="RGB")
