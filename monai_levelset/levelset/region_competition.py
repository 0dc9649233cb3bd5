"""Class probabilities and the image's own intensities, weighed against each other."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .geometry import spatial_dims
from .precision import wide


def region_competition(
    probability: Tensor, image: Tensor, *, weight: float = 1.0, bins: int = 32, band: int = 10
) -> Tensor:
    """Probabilities after the regions have competed for the voxels by their intensities.

    Each class has a histogram of the image, filled with its probabilities as weights, and becomes more
    probable where the intensity is typical of it:

        p'_c is proportional to p_c h_c(I)^weight

    It is the data term of region competition (Zhu and Yuille, PAMI 1996) with histograms instead of normal
    densities (Kim et al., IEEE TIP 2005), and with p as prior. The log odds of p' are what drives a level set
    in `RegionForce`. The background is judged by its surroundings of the other classes only: what lies far
    away, such as other organs, tells nothing about the contour. Each bin gets one count more, so that a class
    of few voxels cannot claim others by them.

    Args:
        probability: p `(B, K, *spatial)`, 2D or 3D; the first class is the background.
        image: I `(B, 1, *spatial)`, in any unit; each item has histograms of its own.
        weight: 0 gives p back, but for a floor of 0.001 under each class.
        bins: of the histograms, between the least and the largest intensity of an item.
        band: how far the background counts around the other classes, in voxels; of volumes within the slices
            along the last axis.

    Returns:
        p', of the same shape, in float32 or wider. Where no voxel is foreground, the background claims no
        intensity, which favours a class that is unsure everywhere.

    Raises:
        ValueError: the shapes do not fit, or a number is out of range.

    Example:
        >>> import torch
        >>> image = torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0, 1.0]).view(1, 1, 1, 6).expand(1, 1, 6, 6)
        >>> unsure = torch.tensor([0.1, 0.2, 0.6, 0.7, 0.9, 0.9]).view(1, 1, 1, 6).expand(1, 1, 6, 6)
        >>> found = region_competition(torch.cat([1 - unsure, unsure], 1), image)
        >>> (found[0, 1, 0] > 0.5).int().tolist()
        [0, 0, 0, 1, 1, 1]
    """
    spatial_dims(probability, "probability")
    if image.shape != probability[:, :1].shape:
        raise ValueError(
            f"Probabilities {tuple(probability.shape)} need an image with one channel on the same grid, got "
            f"{tuple(image.shape)}."
        )
    if not (weight >= 0 and bins >= 2 and band >= 0):
        raise ValueError(
            f"`weight` and `band` must not be negative and `bins` at least 2, got {weight}, {band}, {bins}."
        )
    p, intensity = wide(probability), wide(image).flatten(1)
    low, high = intensity.amin(1, keepdim=True), intensity.amax(1, keepdim=True)
    scaled = (intensity - low) / (high - low).clamp_min(torch.finfo(intensity.dtype).tiny)
    place = (scaled * (bins - 1)).round().long()[:, None].expand(-1, p.shape[1], -1)
    counted = torch.cat([p[:, :1] * _near(1 - p[:, :1], band), p[:, 1:]], 1).flatten(2)
    histogram = p.new_zeros(*p.shape[:2], bins).scatter_add_(2, place, counted)
    smooth = F.conv1d(histogram.view(-1, 1, bins), p.new_tensor([[[0.25, 0.5, 0.25]]]), padding=1) + 1
    likelihood = (smooth / smooth.sum(2, keepdim=True)).log().view_as(histogram)
    return (p.clamp_min(1e-3).log() + weight * likelihood.gather(2, place).view_as(p)).softmax(1)


def _near(foreground: Tensor, band: int) -> Tensor:
    """Where some voxel within `band` is more likely foreground than not, `(B, 1, *spatial)`, bool."""
    found = (foreground > 0.5).to(foreground.dtype)
    in_plane = found.ndim - 2 if found.ndim == 4 else 2
    pool = F.max_pool2d if found.ndim == 4 else F.max_pool3d
    for axis in range(in_plane):
        size = [1] * (found.ndim - 2)
        size[axis] = 2 * band + 1
        found = pool(found, size, 1, [n // 2 for n in size])
    return found > 0
