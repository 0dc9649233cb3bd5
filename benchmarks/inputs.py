"""Images, masks and maps to measure on, the same on every machine."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .case import Sizes


def generator() -> torch.Generator:
    """Random numbers, drawn on the CPU so that every device gets the same."""
    return torch.Generator().manual_seed(0)


def radius(shape: tuple[int, ...]) -> Tensor:
    """Distance of each voxel from the centre in units of the shortest side, of `shape`."""
    axes = [(torch.arange(n) - (n - 1) / 2) / min(shape) for n in shape]
    squares = torch.zeros(shape)
    for axis in torch.meshgrid(*axes, indexing="ij"):
        squares += axis**2
    return squares.sqrt()


def blob_image(sizes: Sizes) -> Tensor:
    """A bright wavy blob and noise, `(B, 1, *shape)`, about 0 to 1; each item another blob."""
    r = radius(sizes.shape)
    waves = torch.linspace(0, 6 * math.pi, sizes.shape[-1]).sin() * 0.03
    edges = [0.25 + 0.1 * i / sizes.batch for i in range(sizes.batch)]
    blobs = torch.stack([(r + waves < edge).float() for edge in edges]).unsqueeze(1)
    return 0.2 + 0.6 * blobs + 0.05 * torch.randn(blobs.shape, generator=generator())


def blob_mask(sizes: Sizes) -> Tensor:
    """The blobs and some holes and specks, `(B, 1, *shape)`, 0 or 1."""
    mask = blob_image(sizes) > 0.5
    return (mask ^ (torch.rand(mask.shape, generator=generator()) > 0.999)).float()


def disc_level_set(sizes: Sizes) -> Tensor:
    """Signed distance of a disc or ball to start from, `(B, 1, *shape)`, in voxels, positive inside."""
    phi = (0.3 - radius(sizes.shape)) * min(sizes.shape)
    return phi.expand(sizes.batch, 1, *sizes.shape).contiguous()


def probabilities(sizes: Sizes) -> Tensor:
    """Softmax of an unsure guess plus noise, `(B, N, *shape)`."""
    levels = torch.linspace(0, 1, sizes.classes or 2).view(1, -1, *[1] * len(sizes.shape))
    scores = -(blob_image(sizes) - levels).abs()
    return (scores + 0.3 * torch.randn(scores.shape, generator=generator())).softmax(1)
