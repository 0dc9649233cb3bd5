"""What a finished training left: its network, and the level set that refines its maps."""

from __future__ import annotations

import inspect
from pathlib import Path

import torch
from monai.bundle import ConfigParser
from torch import nn

from monai_levelset.reproduce.targets import Target
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
    parser.read_config(str(target.folder / "configs" / "inference.json"))
    steps = parser["postprocessing#transforms"]
    step = next(step for step in steps if step["_target_"].endswith("LevelSetRefinementd"))
    known = inspect.signature(LevelSetRefinement).parameters
    settings = {name: value for name, value in step.items() if name in known}
    return LevelSetRefinement(**{**settings, "prior": folder / "shape_prior.pt"})
