"""Two-phase data term from grey values: each side of the contour is about constant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from ..geometry import spatial_dims
from ..heaviside import HeavisideKind, _check, dirac, heaviside
from ..precision import wide
from .base import item_sum, voxel_volume


class ChanVeseForce:
    """Data term of active contours without edges: splits the image into two regions of constant intensity.

    Energy (Chan and Vese 2001, eq. 3; for vector images Chan, Sandberg and Vese 2000), averaged over the
    channels of the image I::

        E = weight sum [l1 (I - c1)^2 H(phi) + l2 (I - c2)^2 (1 - H(phi)) + nu H(phi)] dx

    The means c1 inside and c2 outside are taken anew from phi at every call. With `regions="smooth"` they are
    weighted by H and 1 - H; they then minimise E, so the velocity

        weight delta(phi) (l2 (I - c2)^2 - l1 (I - c1)^2 - nu)

    is exactly the negative gradient of E per voxel volume although it does not differentiate c1 and c2. With
    `regions="hard"` the means and the energy are those of the sharp regions phi > 0 and phi <= 0 (Getreuer
    2012) and only delta is smooth: the same in the limit of a thin delta. It is the default
    because H of `arctan` is far from 0 and 1 around the contour, so that smooth means mix and small objects
    are lost.

    The image is centred per item and channel, so offsets as large as those of HU cost no precision. Its scale
    matters: l and nu compete with the weight of the length, `CurvatureForce`. To give the channels weights,
    multiply them by the weights' roots.

    Args:
        image: I, `(B, C, *spatial)` or `(1, C, *spatial)`. Gradients flow into it.
        weight: of the whole term.
        inside_weight: l1.
        outside_weight: l2.
        area_weight: nu, cost of each mm^D inside, in squared intensity.
        spacing: mm per voxel, for the energy; default 1.
        regions: `smooth` or `hard`, see above.
        eps: half width of delta, in the unit of phi.
        kind: family of H and delta. The default's delta is nowhere zero, so that regions may appear anywhere.

    Raises:
        ValueError: wrong shape of `image`, unknown `regions` or `kind`, `eps` not positive.

    Example:
        >>> import torch
        >>> image = torch.tensor([0.0, 0.0, 1.0, 3.0]).view(1, 1, 1, 4)
        >>> phi = torch.tensor([-1.0, -1.0, 1.0, 1.0]).view(1, 1, 1, 4)
        >>> force = ChanVeseForce(image, regions="hard")
        >>> inside, outside = force.means(phi)
        >>> inside.item(), outside.item()
        (2.0, 0.0)
        >>> (force(phi) > 0)[0, 0, 0]
        tensor([False, False, False,  True])
    """

    def __init__(
        self,
        image: Tensor,
        *,
        weight: float = 1.0,
        inside_weight: float = 1.0,
        outside_weight: float = 1.0,
        area_weight: float = 0.0,
        spacing: Sequence[float] | None = None,
        regions: Literal["smooth", "hard"] = "hard",
        eps: float = 1.0,
        kind: HeavisideKind = "arctan",
    ) -> None:
        _check(eps, kind)
        self._region_kind = region_kind(regions, kind)
        self.offset, self.image = centre(image)
        self.weight, self.area_weight = weight, area_weight
        self.inside_weight, self.outside_weight = inside_weight, outside_weight
        self.spacing, self.eps, self.kind = spacing, eps, kind
        self._power = self.image.square().mean(1, keepdim=True) if inside_weight != outside_weight else None

    def __call__(self, phi: Tensor) -> Tensor:
        """Velocity, see the class."""
        c1, c2 = self._centred_means(phi)
        l1, l2 = self.inside_weight, self.outside_weight
        slope, level = 2 * (l1 * c1 - l2 * c2), (l2 * c2 * c2 - l1 * c1 * c1)
        gain = (slope * self.image).mean(1, keepdim=True) + (level.mean(1, keepdim=True) - self.area_weight)
        if self._power is not None:
            gain = gain + (l2 - l1) * self._power
        return self.weight * dirac(phi, self.eps, self.kind) * gain

    def energy(self, phi: Tensor) -> Tensor:
        """Weighted variance within the two regions and cost of the area, `(B,)`."""
        c1, c2 = self._centred_means(phi)
        inside = heaviside(phi, self.eps, self._region_kind)
        first = self.inside_weight * (self.image - c1).square().mean(1, keepdim=True) + self.area_weight
        second = self.outside_weight * (self.image - c2).square().mean(1, keepdim=True)
        total = item_sum(inside * first + (1 - inside) * second)
        return self.weight * voxel_volume(self.spacing, phi) * total

    def means(self, phi: Tensor) -> tuple[Tensor, Tensor]:
        """Mean intensities c1 inside and c2 outside; the whole image's for a side without any voxel.

        Args:
            phi: level sets `(B, 1, *spatial)`.

        Returns:
            c1 and c2, each `(B, C)`, in the image's intensities.

        Raises:
            ValueError: the shape of `phi` does not suit the image's.
        """
        c1, c2 = self._centred_means(phi)
        return (c1 + self.offset).flatten(1), (c2 + self.offset).flatten(1)

    def _centred_means(self, phi: Tensor) -> tuple[Tensor, Tensor]:
        check_grid(phi, self.image)
        if phi.shape[1] != 1:
            raise ValueError(f"`phi` must be (B, 1, *spatial), got shape {tuple(phi.shape)}.")
        inside = heaviside(phi, self.eps, self._region_kind)
        return region_mean(inside, self.image), region_mean(1 - inside, self.image)


def region_kind(regions: str, kind: HeavisideKind) -> HeavisideKind:
    """Family of the Heaviside function that weights the means.

    Args:
        regions: `smooth` or `hard`.
        kind: family used elsewhere.

    Returns:
        `kind` for `smooth`, else `hard`.

    Raises:
        ValueError: unknown `regions`.

    Example:
        >>> region_kind("hard", "arctan")
        'hard'
    """
    if regions not in ("smooth", "hard"):
        raise ValueError(f"`regions` must be 'smooth' or 'hard', got {regions!r}.")
    return kind if regions == "smooth" else "hard"


def centre(image: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of each item and channel, `(B, C, 1, ...)`, and the image without it.

    Args:
        image: `(B, C, *spatial)`.

    Returns:
        The means and the centred image.

    Raises:
        ValueError: wrong shape or dtype.

    Example:
        >>> import torch
        >>> offset, centred = centre(torch.tensor([1.0, 3.0]).view(1, 1, 1, 2))
        >>> offset.item(), centred.flatten()
        (2.0, tensor([-1.,  1.]))
    """
    spatial_dims(image, "image")
    image = wide(image)
    offset = image.mean(tuple(range(2, image.ndim)), keepdim=True)
    return offset, image - offset


def check_grid(phi: Tensor, image: Tensor) -> None:
    """Complain when level sets and image do not share a grid.

    Args:
        phi: `(B, M, *spatial)`.
        image: `(B, C, *spatial)` or `(1, C, *spatial)`.

    Raises:
        ValueError: different spatial shapes, or batch sizes that do not broadcast.

    Example:
        >>> import torch
        >>> check_grid(torch.zeros(2, 1, 4, 4), torch.zeros(1, 3, 4, 4))
    """
    if phi.shape[2:] != image.shape[2:] or image.shape[0] not in (1, phi.shape[0]):
        raise ValueError(
            f"`phi` {tuple(phi.shape)} and the force's image {tuple(image.shape)} must have the same spatial "
            "shape and batch size (an image of batch size 1 serves all items)."
        )


def region_mean(weights: Tensor, centred: Tensor) -> Tensor:
    """Weighted mean of a centred image; 0, the mean of the whole image, where the weights sum to nothing.

    Args:
        weights: `(B, 1, *spatial)`, not negative.
        centred: `(B, C, *spatial)`.

    Returns:
        `(B, C, 1, ...)`.

    Example:
        >>> import torch
        >>> weights = torch.tensor([0.0, 0.0, 2.0]).view(1, 1, 1, 3)
        >>> region_mean(weights, torch.tensor([-1.0, 0.0, 1.0]).view(1, 1, 1, 3))
        tensor([[[[1.]]]])
    """
    axes = tuple(range(2, weights.ndim))
    size = weights.sum(axes, keepdim=True).clamp_min(1e-6)
    return (weights * centred).sum(axes, keepdim=True) / size
