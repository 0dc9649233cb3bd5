"""What a finished training left: its network, and the level set that refines its maps."""

from __future__ import annotations

from pathlib import Path

import torch
from monai.bundle import ConfigParser

from monai_levelset.networks import ShallowFCN
from monai_levelset.transforms import LevelSetRefinement


def load_network(folder: Path) -> ShallowFCN:
    """The best network of a stage."""
    network = ShallowFCN()
    network.load_state_dict(torch.load(folder / "model.pt", weights_only=True))
    return network


def level_set(bundle: Path, folder: Path) -> LevelSetRefinement:
    """The refinement of the bundle's inference, with the prior drawn in this seed."""
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs" / "inference.json"))
    steps = parser["postprocessing#transforms"]
    step = next(step for step in steps if step["_target_"].endswith("LevelSetRefinementd"))
    settings = {key: value for key, value in step.items() if key not in ("_target_", "keys")}
    return LevelSetRefinement(**{**settings, "prior": folder / "shape_prior.pt"})
