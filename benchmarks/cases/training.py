"""What the losses add to a training step of MONAI's U-Net: paper 003 pays 18 %."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from monai_levelset.losses import level_set_loss, mumford_shah_loss

from ..calls import compiled
from ..case import Aim, Case, Contender, Function, Sizes
from ..inputs import blob_image, blob_mask


class Inputs:
    """A batch, and a network with its optimiser."""

    def __init__(self, sizes: Sizes, device: torch.device) -> None:
        from monai.networks.nets import UNet

        self.image, self.label = blob_image(sizes).to(device), blob_mask(sizes).long().to(device)
        torch.manual_seed(0)
        self.network = UNet(len(sizes.shape), 1, 2, (16, 32, 64, 128, 256), (2, 2, 2, 2), num_res_units=2).to(
            device
        )
        with torch.no_grad():
            self.scores = self.network(self.image)
        self.scores.requires_grad_()
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-4)


def step(added: Function | None) -> Function:
    """Forward, cross entropy and the added loss of the softmax, backward, update."""

    def run(inputs: Any) -> Tensor:
        scores = inputs.network(inputs.image)
        loss = F.cross_entropy(scores, inputs.label[:, 0])
        if added:
            loss = loss + added(scores, inputs.image, inputs.label)
        loss.backward()
        inputs.optimizer.step()
        inputs.optimizer.zero_grad()
        return loss.detach()

    return run


def alone(added: Function) -> Function:
    """Only the added loss, from the scores of the network to their gradient."""

    def run(inputs: Any) -> Tensor:
        loss = added(inputs.scores, inputs.image, inputs.label)
        return torch.autograd.grad(loss, inputs.scores)[0]

    return run


def level_set(scores: Tensor, image: Tensor, label: Tensor) -> Tensor:
    """Paper 003's weight."""
    return 4e-4 * level_set_loss(scores.softmax(1), label)


def mumford_shah(scores: Tensor, image: Tensor, label: Tensor) -> Tensor:
    """Papers 002 and 004's weight."""
    return 1e-6 * mumford_shah_loss(scores.softmax(1), image, tv_weight=1e-3, reduction="sum")


LOSSES = {
    "level_set_loss": level_set,
    "mumford_shah_loss": mumford_shah,
    "level_set_loss, compiled": compiled(level_set),
    "mumford_shah_loss, compiled": compiled(mumford_shah),
}
STEP = "step with cross entropy alone"

CASES = [
    Case(
        name="training step",
        inputs=Inputs,
        ours={f"with {name}": Contender(step(loss)) for name, loss in LOSSES.items()},
        peers={STEP: Contender(step(None))},
        sizes=[Sizes((256, 256), batch=4)],
    ),
    Case(
        name="share of a training step",
        inputs=Inputs,
        ours={name: Contender(alone(loss)) for name, loss in LOSSES.items()},
        peers={STEP: Contender(step(None))},
        sizes=[Sizes((256, 256), batch=4)],
        aims=[Aim(name, STEP, part=0.03) for name in LOSSES],
    ),
]
