"""Level sets to start a classical solver from, when nothing is known about the object."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .geometry import _gaussian, check_spacing, spatial_dims
from .precision import wide

_BINS = 256


def checkerboard(shape: Sequence[int], period: float = 10.0, *, levels: int = 1) -> Tensor:
    """Products of sines, positive on the white squares of a checkerboard: many small seeds everywhere.

    The start that Getreuer (2012) recommends for Chan-Vese, and scikit-image's (`period=10`). Level function
    m is moved by m period/(2 levels) along all axes, so that all phases occur.

    Args:
        shape: of the image, 2 or 3 sizes.
        period: of the pattern in voxels: two squares.
        levels: M, number of level functions.

    Returns:
        `(1, M, *shape)` in [-1, 1], float32.

    Raises:
        ValueError: not 2 or 3 sizes, `period` below 2 or `levels` below 1.

    Example:
        >>> (checkerboard((4, 4), period=4.0)[0, 0] > 1e-6).int()
        tensor([[0, 0, 0, 0],
                [0, 1, 0, 0],
                [0, 0, 0, 0],
                [0, 0, 0, 1]], dtype=torch.int32)
    """
    if len(shape) not in (2, 3) or period < 2 or levels < 1:
        raise ValueError(
            f"`shape` needs 2 or 3 sizes, `period` at least 2 voxels and `levels` at least 1, got "
            f"{tuple(shape)}, {period} and {levels}."
        )
    boards = []
    for m in range(levels):
        axes = [torch.arange(n) + m * period / (2 * levels) for n in shape]
        waves = torch.meshgrid(*(torch.sin(a * (2 * math.pi / period)) for a in axes), indexing="ij")
        boards.append(torch.stack(waves).prod(0))
    return torch.stack(boards)[None]


def intensity_start(
    image: Tensor, *, levels: int = 1, scale: float = 0.0, spacing: Sequence[float] | None = None
) -> Tensor:
    """Splits the grey values where the Chan-Vese energy without its length term is least.

    2^M classes of the grey values with the smallest possible variance within (Otsu 1979 for M = 1), found
    exactly on a histogram of 256 bins by dynamic programming. Neighbouring classes differ in the sign of one
    level function only (Gray code). Of a vector image the channel with the largest variance is used.

    Args:
        image: `(B, C, *spatial)`, comparable intensities in all channels.
        levels: M, number of level functions.
        scale: standard deviation in mm of a Gaussian applied first, so that noise does not make classes of
            its own; 0 for none.
        spacing: mm per voxel, one per axis; default 1.

    Returns:
        `(B, M, *spatial)`: signed distance, in grey values, to the nearest threshold of the level function,
        in units of the standard deviation. For M = 1 positive where bright. A constant image gives 0
        everywhere.

    Raises:
        ValueError: wrong shape, dtype or spacing, `levels` not in 1 ... 6, `scale` negative.

    Example:
        >>> import torch
        >>> grey = torch.tensor([0.0, 0.1, 0.2, 0.9, 1.0]).view(1, 1, 1, 5)
        >>> (intensity_start(grey) > 0).int()
        tensor([[[[0, 0, 0, 1, 1]]]], dtype=torch.int32)
    """
    dims = spatial_dims(image, "image")
    h = check_spacing(spacing, dims)
    if not 1 <= levels <= 6 or scale < 0:
        raise ValueError(
            f"`levels` must be 1 ... 6 (2 ... 64 phases), `scale` not negative; got {levels}, {scale}."
        )
    channel = _widest_channel(wide(image).detach())
    grey = (_gaussian(channel, scale, h) if scale > 0 else channel).flatten(1)
    low, high = grey.amin(1, keepdim=True), grey.amax(1, keepdim=True)
    grey = (grey - low) / (high - low).clamp_min(torch.finfo(grey.dtype).tiny)
    thresholds = _class_thresholds(grey, 2**levels)
    phi = _gray_code_distance(grey, thresholds, levels)
    width = grey.std(1, correction=0).view(-1, 1, 1)
    phi = torch.where(width > 0, phi / width.clamp_min(1e-6), 0)
    return phi.view(image.shape[0], levels, *image.shape[-dims:])


def _widest_channel(image: Tensor) -> Tensor:
    """The channel with the largest variance, `(B, 1, *spatial)`."""
    if image.shape[1] == 1:
        return image
    best = image.flatten(2).var(2, correction=0).argmax(1).view(-1, *(1,) * (image.ndim - 1))
    return image.gather(1, best.expand(-1, 1, *image.shape[2:]))


def _class_thresholds(grey: Tensor, classes: int) -> Tensor:
    """Thresholds `(B, classes - 1)` of grey values in [0, 1], halfway between the classes' means."""
    bins = (grey * _BINS).long().clamp(0, _BINS - 1)
    share = _histogram(bins).to(grey.dtype) / grey.shape[1]
    centre = (torch.arange(_BINS, dtype=grey.dtype, device=grey.device) + 0.5) / _BINS - 0.5
    mass, first, second = (_from_to(share * centre**k) for k in range(3))
    variance = second - first.square() / mass.clamp_min(1e-12)
    edges = _best_partition(variance.clamp_min(0), classes)
    total = torch.stack(
        [m[torch.arange(len(m)).unsqueeze(1), edges[:, :-1], edges[:, 1:]] for m in (mass, first)]
    )
    means = total[1] / total[0].clamp_min(1e-12) + 0.5
    return (means[:, 1:] + means[:, :-1]) / 2


def _histogram(bins: Tensor) -> Tensor:
    """Counts in integers: float32 stops counting at 2^24, fewer than the voxels of air around a patient."""
    return bins.new_zeros(len(bins), _BINS).scatter_add(1, bins, bins.new_ones(1, 1).expand_as(bins))


def _from_to(x: Tensor) -> Tensor:
    """Sums of x[i:j] for all i <= j, `(B, n + 1, n + 1)`."""
    ends = torch.nn.functional.pad(x.cumsum(1), (1, 0))
    return (ends.unsqueeze(1) - ends.unsqueeze(2)).triu()


def _best_partition(cost: Tensor, classes: int) -> Tensor:
    """Edges `(B, classes + 1)` of the intervals that cover all bins at the least total cost."""
    n = cost.shape[1]
    forbidden = torch.ones(n, n, dtype=torch.bool, device=cost.device).triu(1).logical_not()
    cost = cost.masked_fill(forbidden, torch.inf)
    best, choices = cost[:, 0], []
    for _ in range(classes - 1):
        best, choice = (best.unsqueeze(2) + cost).min(1)
        choices.append(choice)
    edges = [torch.full_like(choices[0][:, :1], n - 1)]
    for choice in reversed(choices):
        edges.append(choice.gather(1, edges[-1]))
    edges.append(torch.zeros_like(edges[0]))
    return torch.cat(edges[::-1], 1)


def _gray_code_distance(grey: Tensor, thresholds: Tensor, levels: int) -> Tensor:
    """Signed distance `(B, M, N)` to the nearest threshold at which bit m of the Gray code flips."""
    away = grey.unsqueeze(1) - thresholds.unsqueeze(2)
    number = (away > 0).sum(1)
    code = number ^ (number >> 1)
    phi = []
    for m in range(levels):
        flips = [j - 1 for j in range(1, 2**levels) if (j & -j) == 2**m]
        inside = (code >> m) & 1
        phi.append(away[:, flips].abs().amin(1) * (2 * inside - 1))
    return torch.stack(phi, 1)
