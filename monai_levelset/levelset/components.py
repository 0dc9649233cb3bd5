"""The largest connected component of every mask of a batch, on its device."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor


def largest_components(mask: Tensor) -> Tensor:
    """Of every item the largest component, connected through the faces of voxels.

    On a CPU SciPy labels one item after the other. On a GPU the whole batch is treated at once, and nothing
    is copied to the host.

    Args:
        mask: `(B, 1, *spatial)`, 2D or 3D, inside where it is not 0.

    Returns:
        bool, of the same shape. Of equally large components one is kept.

    Raises:
        ValueError: wrong shape.

    Example:
        >>> import torch
        >>> mask = torch.tensor([1, 0, 1, 1]).view(1, 1, 1, 4)
        >>> largest_components(mask).int().flatten().tolist()
        [0, 0, 1, 1]
    """
    if mask.ndim not in (4, 5) or mask.shape[1] != 1:
        raise ValueError(f"`mask` must be (B, 1, H, W) or (B, 1, D, H, W), got shape {tuple(mask.shape)}.")
    inside = mask != 0
    if inside.device.type != "cpu":
        return spread_components(inside)
    kept = np.stack([_largest(item) for item in inside[:, 0].numpy()])
    return torch.from_numpy(kept)[:, None]


def _largest(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    parts, count = ndimage.label(inside)
    if count < 2:
        return inside
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    largest: NDArray[np.bool_] = parts == sizes.argmax()
    return largest


def spread_components(inside: Tensor) -> Tensor:
    """`largest_components` on any device, for all items at once; `inside` is bool.

    Every voxel starts as a tree of its own, named by its number. In each round a tree is hooked onto the
    highest name that touches it, and names are followed to their roots. A tree that is not hooked has a
    neighbour that is, so a round at least halves the trees of a component: log2(voxels) rounds are enough.
    """
    batch, shape = len(inside), inside.shape[2:]
    voxels, own = shape.numel(), inside.flatten(1)
    rounds = math.ceil(math.log2(voxels + 1))
    parent = torch.arange(voxels + 1, device=inside.device).repeat(batch, 1)  # 0 is the outside
    names = parent[:, 1:] * own
    for _ in range(rounds):
        near = _highest_near(names.view(inside.shape)).flatten(1) * own
        parent.scatter_reduce_(1, names, near, "amax")
        parent[:, 0] = 0
        for _ in range(rounds):
            parent = parent.gather(1, parent)
        names = parent.gather(1, names)
    sizes = torch.zeros_like(parent).scatter_add_(1, names, own.long())
    largest = sizes.argmax(1, keepdim=True)
    return ((names == largest) & own).view_as(inside)


def _highest_near(names: Tensor) -> Tensor:
    """The highest of each voxel and the voxels at its faces."""
    found = names
    for axis in range(2, names.ndim):
        length = names.shape[axis] - 1
        low, high = names.narrow(axis, 0, length), names.narrow(axis, 1, length)
        edge = torch.zeros_like(names.narrow(axis, 0, 1))
        found = torch.maximum(found, torch.cat([edge, low], axis))
        found = torch.maximum(found, torch.cat([high, edge], axis))
    return found
