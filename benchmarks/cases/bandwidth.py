"""Fused losses beside a copy on the device that moves the least bytes they have to: which part is reached."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from monai_levelset.losses import level_set_loss

from ..calls import compiled, gradient_of
from ..case import Aim, Case, Contender, Function, Sizes
from . import level_set, mumford_shah


class Inputs(NamedTuple):
    """The loss's inputs, and two buffers whose copy moves as many bytes as the loss has to."""

    loss: tuple[Tensor, Tensor]
    source: Tensor
    target: Tensor


def with_buffers(make_inputs: Function) -> Function:
    """Least traffic of forward and backward: both read both inputs, the backward pass writes the gradient."""

    def make(sizes: Sizes, device: torch.device) -> Inputs:
        first, second = make_inputs(sizes, device)
        moved = 3 * first.nbytes + 2 * second.nbytes
        buffer = torch.zeros(moved // 2, dtype=torch.uint8, device=device)
        return Inputs((first, second), buffer, torch.empty_like(buffer))

    return make


def bandwidth_case(name: str, make_inputs: Function, loss: Function) -> Case:
    """Times as fast as the copy is the part of the memory bandwidth that the loss reaches."""
    run = gradient_of(loss), gradient_of(compiled(loss))
    eager, fused = (Contender(lambda inputs, f=f: f(inputs.loss)) for f in run)
    return Case(
        name=f"{name}, part of the bandwidth",
        inputs=with_buffers(make_inputs),
        ours={"eager": eager, "compiled": fused},
        peers={"copy of the least bytes": Contender(lambda inputs: inputs.target.copy_(inputs.source))},
        sizes=[Sizes((512, 512), batch=64, classes=classes) for classes in (2, 4)],
        aims=[Aim("compiled", "copy of the least bytes", speed=0.5)],
        devices=("cuda",),
    )


CASES = [
    bandwidth_case("Mumford-Shah loss", mumford_shah.make_inputs, mumford_shah.loss),
    bandwidth_case("level-set loss", level_set.make_inputs, level_set_loss),
]
