"""Level-set loss, forward and backward."""

from __future__ import annotations

import torch
from torch import Tensor

from monai_levelset.losses import level_set_loss

from ..calls import compiled, gradient_of, relative_difference
from ..case import CUBES, SQUARES, Case, Contender, Sizes
from ..inputs import blob_mask, probabilities
from ..peers.level_set import level_set_loss as plain_formula


def make_inputs(sizes: Sizes, device: torch.device) -> tuple[Tensor, Tensor]:
    """Softmax output, a leaf that wants a gradient, and labels."""
    return probabilities(sizes).to(device).requires_grad_(), blob_mask(sizes).long().to(device)


OURS = {
    "eager": Contender(gradient_of(level_set_loss)),
    "compiled": Contender(gradient_of(compiled(level_set_loss))),
}
PEERS = {"plain formula": Contender(gradient_of(plain_formula))}

CASES = [
    Case(
        name="level-set loss",
        inputs=make_inputs,
        ours=OURS,
        peers=PEERS,
        sizes=[Sizes((256, 256), batch=4, classes=classes) for classes in (2, 3, 4)],
        difference=relative_difference,
    ),
    Case(
        name="level-set loss by size",
        inputs=make_inputs,
        ours=OURS,
        peers=PEERS,
        sizes=[Sizes(shape, classes=2) for shape in SQUARES + CUBES],
        difference=relative_difference,
        unit="voxel",
        plot=True,
    ),
]
