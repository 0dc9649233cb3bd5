"""Confidence maps of four extreme points."""

from __future__ import annotations

import torch
from torch import Tensor

from monai_levelset.transforms import confidence_map

from ..calls import compiled, largest_difference
from ..case import Aim, Case, Contender, Sizes
from ..inputs import generator
from ..peers.confidence import confidence_map as numpy_formula

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


def numpy_maps(inputs: Inputs) -> Tensor:
    """One map after the other."""
    points, shape = inputs
    return torch.stack([torch.from_numpy(numpy_formula(p.cpu().numpy(), shape)) for p in points]).unsqueeze(1)


CASES = [
    Case(
        name="confidence map",
        inputs=make_inputs,
        ours={"eager": Contender(ours), "compiled": Contender(compiled(ours))},
        peers={"NumPy": Contender(numpy_maps, memory="numpy")},
        sizes=[Sizes((256, 256), batch=12)],
        aims=[Aim("eager", "NumPy", speed=6), Aim("compiled", "NumPy", speed=50)],
        difference=largest_difference,
    )
]
