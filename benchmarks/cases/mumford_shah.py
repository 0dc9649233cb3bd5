"""Mumford-Shah loss, forward and backward."""

from __future__ import annotations

import torch
from torch import Tensor

from monai_levelset.losses import mumford_shah_loss

from ..calls import compiled, gradient_of, relative_difference
from ..case import CUBES, SQUARES, Aim, Case, Contender, Sizes
from ..inputs import blob_image, probabilities
from ..peers.mumford_shah import mumford_shah_loss as released_formulation


def make_inputs(sizes: Sizes, device: torch.device) -> tuple[Tensor, Tensor]:
    """Softmax output, a leaf that wants a gradient, and image."""
    return probabilities(sizes).to(device).requires_grad_(), blob_image(sizes).to(device)


def loss(probability: Tensor, image: Tensor) -> Tensor:
    """Ours with the released constants: summed, anisotropic."""
    return mumford_shah_loss(probability, image, tv_weight=1e-3, reduction="sum")


OURS = {"eager": Contender(gradient_of(loss)), "compiled": Contender(gradient_of(compiled(loss)))}
PEERS = {"released formulation": Contender(gradient_of(released_formulation))}

CASES = [
    Case(
        name="Mumford-Shah loss",
        inputs=make_inputs,
        ours=OURS,
        peers=PEERS,
        sizes=[Sizes((256, 256), batch=4, classes=classes) for classes in (2, 3, 4)],
        aims=[
            Aim("eager", "released formulation", speed=2, memory=0.75),
            Aim("compiled", "released formulation", speed=4, memory=0.3),
        ],
        difference=relative_difference,
    ),
    Case(
        name="Mumford-Shah loss by size",
        inputs=make_inputs,
        ours=OURS,
        peers=PEERS,
        sizes=[Sizes(shape, classes=2) for shape in SQUARES + CUBES],
        difference=relative_difference,
        unit="voxel",
        plot=True,
    ),
]
