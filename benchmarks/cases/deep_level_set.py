"""Steps of the deep level set, forward and backward through all of them."""

from __future__ import annotations

import torch
from torch import Tensor

from monai_levelset.levelset import deep_level_set

from ..calls import compiled
from ..case import Aim, Case, Contender, Function, Sizes
from ..inputs import disc_level_set, generator
from ..peers.deep_level_set import deep_level_set as plain_steps

Inputs = tuple[Tensor, Tensor, Tensor, int]


def make_inputs(sizes: Sizes, device: torch.device) -> Inputs:
    """phi, V and g, leaves that want gradients, and the number of steps."""
    field = 0.3 * torch.randn(sizes.batch, len(sizes.shape), *sizes.shape, generator=generator())
    modulation = 0.04 * torch.rand(sizes.batch, 1, *sizes.shape, generator=generator())
    phi, field, modulation = (
        x.to(device).requires_grad_() for x in (disc_level_set(sizes), field, modulation)
    )
    return phi, field, modulation, sizes.iterations


def ours(checkpoint: bool) -> Function:
    """Our steps; curvature and regularisation are constants to the backward pass, as in the reference."""

    def run(phi: Tensor, field: Tensor, modulation: Tensor, steps: int) -> Tensor:
        return deep_level_set(phi, field, modulation, steps=steps, dt=5.0, checkpoint=checkpoint).phi

    return run


def gradients_of(function: Function) -> Function:
    """Forward, mean square, backward to all three inputs."""

    def run(inputs: Inputs) -> tuple[Tensor, ...]:
        *leaves, steps = inputs
        return torch.autograd.grad(function(*leaves, steps).square().mean(), leaves)

    return run


CASES = [
    Case(
        name="deep level set",
        inputs=make_inputs,
        ours={
            "eager": Contender(gradients_of(ours(checkpoint=False))),
            "checkpoint": Contender(gradients_of(ours(checkpoint=True))),
            "compiled": Contender(gradients_of(compiled(ours(checkpoint=False)))),
        },
        peers={"plain steps": Contender(gradients_of(plain_steps))},
        sizes=[Sizes((256, 256), batch=12, iterations=5)],
        aims=[Aim("checkpoint", "plain steps", memory=0.3)],
        unit="pixel-step",
        memory_per_unit=True,
    )
]
