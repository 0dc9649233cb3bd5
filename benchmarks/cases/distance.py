"""Exact signed distance of masks."""

from __future__ import annotations

import torch
from torch import Tensor

from monai_levelset.levelset import signed_distance

from ..calls import largest_difference
from ..case import CUBES, SQUARES, Aim, Case, Contender, Sizes
from ..inputs import blob_mask
from ..peers.distance import fastgeodis_signed_distance, monai_signed_distance, scipy_signed_distance


def make_inputs(sizes: Sizes, device: torch.device) -> Tensor:
    """One mask, `(1, 1, *spatial)`."""
    return blob_mask(sizes).to(device)


def scipy_on_tensor(mask: Tensor) -> Tensor:
    """SciPy from and to a tensor, as in a data pipeline."""
    return torch.from_numpy(scipy_signed_distance((mask[0, 0] > 0.5).cpu().numpy()))[None, None]


OURS = {"eager": Contender(signed_distance, memory="numpy")}
SCIPY = {"SciPy": Contender(scipy_on_tensor, memory="numpy")}
OTHERS = {
    "MONAI": Contender(lambda mask: monai_signed_distance(mask[0])[None], memory="numpy"),
    "FastGeodis": Contender(fastgeodis_signed_distance, needs="FastGeodis"),
}

CASES = [
    Case(
        name="signed distance",
        inputs=make_inputs,
        ours=OURS,
        peers={**SCIPY, **OTHERS},
        sizes=[Sizes((512, 512))],
        aims=[Aim("eager", "SciPy", speed=3, error=0.0)],
        difference=largest_difference,
        devices=("cpu",),
    ),
    Case(
        name="signed distance by size",
        inputs=make_inputs,
        ours=OURS,
        peers=SCIPY,
        sizes=[Sizes(shape) for shape in SQUARES + CUBES],
        difference=largest_difference,
        unit="voxel",
        devices=("cpu",),
        plot=True,
    ),
]
