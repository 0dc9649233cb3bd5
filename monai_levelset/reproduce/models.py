"""What a finished training left: its network, and the level set that refines its maps."""

from __future__ import annotations

import inspect
from pathlib import Path

import torch
from monai.bundle import ConfigParser
from torch import nn

from monai_levelset.reproduce.targets import Target, config_files
from monai_levelset.transforms import LevelSetRefinement


def load_network(target: Target, folder: Path) -> nn.Module:
    """The best network of a stage, of the bundle's `network_def`."""
    parser = ConfigParser()
    parser.read_config(target.files())
    network: nn.Module = parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(folder / "model.pt", weights_only=True))
    return network


def level_set(target: Target, folder: Path) -> LevelSetRefinement:
    """The refinement of the bundle's inference, with the prior drawn in this seed."""
    parser = ConfigParser()
    parser.read_config(config_files(target.folder, *target.overrides, base="inference"))
    steps = parser["postprocessing#transforms"]
    place = next(i for i, step in enumerate(steps) if step["_target_"].endswith("LevelSetRefinementd"))
    taken = inspect.signature(LevelSetRefinement).parameters.keys() & steps[place].keys() - {"prior"}
    settings = {
        name: parser.get_parsed_content(f"postprocessing#transforms#{place}#{name}") for name in taken
    }
    return LevelSetRefinement(**settings, prior=folder / "shape_prior.pt")
