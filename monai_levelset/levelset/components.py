"""Connected components of every mask of a batch, on its device: the largest, or those that touch another."""

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
    inside = _inside(mask, "mask")
    if inside.device.type != "cpu":
        return spread_components(inside)
    kept = np.stack([_largest(item) for item in inside[:, 0].numpy()])
    return torch.from_numpy(kept)[:, None]


def touching_components(mask: Tensor, other: Tensor) -> Tensor:
    """Of every item the components that touch another mask: anatomy that always lies against its neighbour.

    Args:
        mask: `(B, 1, *spatial)`, 2D or 3D, inside where it is not 0.
        other: of the same shape. A component touches it if they share a voxel or the faces of two.

    Returns:
        bool, of the same shape. Where `other` is empty nothing can touch it, and all components are kept.

    Raises:
        ValueError: wrong shapes.

    Example:
        >>> import torch
        >>> mask = torch.tensor([1, 0, 1, 0]).view(1, 1, 1, 4)
        >>> touching_components(mask, torch.tensor([0, 0, 0, 1]).view(1, 1, 1, 4)).int().flatten().tolist()
        [0, 0, 1, 0]
    """
    inside, others = _inside(mask, "mask"), _inside(other, "other")
    if inside.shape != others.shape:
        raise ValueError(
            f"`mask` and `other` need the same shape, got {tuple(mask.shape)} and {tuple(other.shape)}."
        )
    near = _highest_near(others.to(torch.uint8)) > 0
    if inside.device.type != "cpu":
        return spread_touching(inside, near)
    kept = np.stack([_touching(*pair) for pair in zip(inside[:, 0].numpy(), near[:, 0].numpy(), strict=True)])
    return torch.from_numpy(kept)[:, None]


def _inside(mask: Tensor, name: str) -> Tensor:
    if mask.ndim not in (4, 5) or mask.shape[1] != 1:
        raise ValueError(f"`{name}` must be (B, 1, H, W) or (B, 1, D, H, W), got shape {tuple(mask.shape)}.")
    return mask != 0


def _touching(inside: NDArray[np.bool_], near: NDArray[np.bool_]) -> NDArray[np.bool_]:
    if not near.any():
        return inside
    parts, count = ndimage.label(inside)
    touched = np.zeros(count + 1, bool)
    touched[parts[near]] = True
    touched[0] = False
    return touched[parts]


def _largest(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    parts, count = ndimage.label(inside)
    if count < 2:
        return inside
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    largest: NDArray[np.bool_] = parts == sizes.argmax()
    return largest


def spread_components(inside: Tensor) -> Tensor:
    """`largest_components` on any device, for all items at once; `inside` is bool."""
    names = _names(inside)
    sizes = _count(names, inside.flatten(1))
    return ((names == sizes.argmax(1, keepdim=True)) & inside.flatten(1)).view_as(inside)


def spread_touching(inside: Tensor, near: Tensor) -> Tensor:
    """`touching_components` on any device, for all items at once; both are bool, `near` with its margin."""
    names, own, beside = _names(inside), inside.flatten(1), near.flatten(1)
    touched = (_count(names, own & beside) > 0).gather(1, names) & own
    return torch.where(beside.any(1, keepdim=True), touched, own).view_as(inside)


def _count(names: Tensor, counted: Tensor) -> Tensor:
    """How many voxels of each name are counted, `(B, voxels + 1)`."""
    sizes = names.new_zeros(len(names), names.shape[1] + 1)
    return sizes.scatter_add_(1, names, counted.long())


def _names(inside: Tensor) -> Tensor:
    """The number of each voxel's component, `(B, voxels)`; 0 outside.

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
    return names


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
