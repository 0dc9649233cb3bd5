"""Confidence maps of four extreme points."""

from __future__ import annotations

import torch
from torch import Tensor

from monai_levelset.transforms import confidence_map

from ..calls import compiled, largest_difference
from ..case import Aim, Case, Contender, Function, Sizes
from ..inputs import generator
from ..peers import confidence

Inputs = tuple[Tensor, tuple[int, int]]


def make_inputs(sizes: Sizes, device: torch.device) -> Inputs:
    """Top, bottom, left and right of an object, `(B, 4, 2)`, near the middle of the sides of a box."""
    ends = torch.tensor([[0.2, 0.5], [0.8, 0.5], [0.5, 0.2], [0.5, 0.8]])
    points = ends + 0.1 * torch.rand(sizes.batch, 4, 2, generator=generator())
    rows, columns = sizes.shape
    return (points * torch.tensor(sizes.shape)).to(device), (rows, columns)


def ours(inputs: Inputs) -> Tensor:
    """All maps at once."""
    return confidence_map(*inputs)


def numpy_maps(formula: Function) -> Function:
    """One map after the other."""

    def run(inputs: Inputs) -> Tensor:
        points, shape = inputs
        maps = [torch.from_numpy(formula(p.cpu().numpy(), shape)) for p in points.double()]
        return torch.stack(maps).unsqueeze(1)

    return run


PEERS = {
    "NumPy": Contender(numpy_maps(confidence.confidence_map), memory="numpy"),
    "NumPy, axis by axis": Contender(numpy_maps(confidence.confidence_map_by_axis), memory="numpy"),
}

CASES = [
    Case(
        name="confidence map",
        inputs=make_inputs,
        ours={"eager": Contender(ours), "compiled": Contender(compiled(ours))},
        peers=PEERS,
        sizes=[Sizes((256, 256), batch=12)],
        aims=[Aim("eager", "NumPy", speed=6), Aim("compiled", "NumPy", speed=50)],
        difference=largest_difference,
    )
]
