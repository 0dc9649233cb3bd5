"""Similarity transforms between the frame of an image and the frame of a shape prior."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .geometry import _dot, check_spacing


def rotation_matrix(angle: Tensor) -> Tensor:
    """Rotation matrices from an angle (2D) or an axis times an angle (3D), in radians.

    In 2D a positive angle turns axis 0 towards axis 1. Differentiable, also at zero.

    Args:
        angle: `(B, 1)` for 2D or `(B, 3)` for 3D.

    Returns:
        `(B, D, D)`.

    Raises:
        ValueError: another number of columns.

    Example:
        >>> import math, torch
        >>> rotation_matrix(torch.tensor([[math.pi / 2]])).round().abs()
        tensor([[[0., 1.],
                 [1., 0.]]])
    """
    if angle.ndim != 2 or angle.shape[1] not in (1, 3):
        raise ValueError(f"`angle` must be (B, 1) for 2D or (B, 3) for 3D, got shape {tuple(angle.shape)}.")
    if angle.shape[1] == 1:
        c, s = angle.cos(), angle.sin()
        return torch.stack([torch.cat([c, -s], 1), torch.cat([s, c], 1)], 1)
    length = (angle.square().sum(1) + 1e-24).sqrt()[:, None, None]
    zero = torch.zeros_like(angle[:, 0])
    x, y, z = angle.unbind(1)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).view(-1, 3, 3)
    half = torch.sinc(length / (2 * math.pi))
    eye = torch.eye(3, dtype=angle.dtype, device=angle.device)
    return eye + torch.sinc(length / math.pi) * skew + 0.5 * half * half * (skew @ skew)


class Similarity(NamedTuple):
    """Batch of similarity transforms A(x) = S R x + T from image to prior coordinates.

    Coordinates are in mm (voxels where spacing is 1), in tensor order, relative to the centre of the grid
    they belong to. So the identity lays the centres of image and prior on each other, whatever their sizes.

    Attributes:
        scale: S, `(B,)`, positive.
        rotation: R, `(B, D, D)`.
        translation: T, `(B, D)`, in mm of the prior's frame.

    Example:
        >>> import torch
        >>> pose = Similarity.identity(1, 2)._replace(scale=torch.tensor([2.0]))
        >>> pose.apply(torch.tensor([[[1.0, 3.0]]]))
        tensor([[[2., 6.]]])
    """

    scale: Tensor
    rotation: Tensor
    translation: Tensor

    @classmethod
    def identity(
        cls, batch: int, dims: int, *, dtype: torch.dtype = torch.float32, device: torch.device | None = None
    ) -> Similarity:
        """The transforms that change nothing.

        Args:
            batch: number of transforms.
            dims: 2 or 3.
            dtype: floating type.
            device: where the tensors live.

        Returns:
            Similarity of `batch` identities.
        """
        eye = torch.eye(dims, dtype=dtype, device=device).repeat(batch, 1, 1)
        ones = torch.ones(batch, dtype=dtype, device=device)
        return cls(ones, eye, torch.zeros(batch, dims, dtype=dtype, device=device))

    @classmethod
    def from_parameters(cls, scale: Tensor, angle: Tensor, translation: Tensor) -> Similarity:
        """Build from 4 (2D) or 7 (3D) numbers per item.

        Args:
            scale: `(B,)`.
            angle: `(B, 1)` or `(B, 3)`, see `rotation_matrix`.
            translation: `(B, D)` mm.

        Returns:
            The batch of transforms.
        """
        return cls(scale, rotation_matrix(angle), translation)

    def apply(self, points: Tensor) -> Tensor:
        """Map points of the image to the prior.

        Args:
            points: `(B, N, D)` mm relative to the image's centre.

        Returns:
            `(B, N, D)` mm relative to the prior's centre.
        """
        turned = points @ self.rotation.transpose(1, 2)
        return self.scale[:, None, None] * turned + self.translation[:, None]

    def inverse(self) -> Similarity:
        """The transforms from prior to image.

        Returns:
            Similarity B with B(A(x)) = x.
        """
        back = self.rotation.transpose(1, 2)
        moved = (back @ self.translation[:, :, None])[:, :, 0]
        return Similarity(1 / self.scale, back, -moved / self.scale[:, None])

    def compose(self, first: Similarity) -> Similarity:
        """The transforms that apply `first` and then this one.

        Args:
            first: transforms applied before.

        Returns:
            x -> self(first(x)).
        """
        moved = (self.rotation @ first.translation[:, :, None])[:, :, 0]
        translation = self.scale[:, None] * moved + self.translation
        return Similarity(self.scale * first.scale, self.rotation @ first.rotation, translation)

    def grid(
        self, shape: Sequence[int], prior_shape: Sequence[int], spacing: Sequence[float] | None = None
    ) -> Tensor:
        """Sampling grid for `torch.nn.functional.grid_sample` with `align_corners=True`.

        Args:
            shape: spatial shape of the image.
            prior_shape: spatial shape of the prior.
            spacing: mm per voxel of both; default 1.

        Returns:
            `(B, *shape, D)`, normalised coordinates in the prior, last axis first.
        """
        h = check_spacing(spacing, len(shape))
        return self.grid_from_turned(self.turned(shape, h), prior_shape, h)

    def turned(self, shape: Sequence[int], spacing: Sequence[float] | None = None) -> list[Tensor]:
        """The D components of S R x at every voxel centre x of an image, each `(B, 1, *shape)` mm.

        Args:
            shape: spatial shape of the image.
            spacing: mm per voxel; default 1.

        Returns:
            One tensor per axis.
        """
        axes = voxel_axes(shape, check_spacing(spacing, len(shape)), self.scale)
        linear = self.scale[:, None, None] * self.rotation
        return [
            _dot([per_item(linear[:, a, b], len(axes)) for b in range(len(axes))], axes)
            for a in range(len(axes))
        ]

    def grid_from_turned(
        self, turned: list[Tensor], prior_shape: Sequence[int], h: Sequence[float]
    ) -> Tensor:
        """As `grid`, from the output of `turned`."""
        d = len(h)
        extent = [max(n - 1, 1) * s / 2 for n, s in zip(prior_shape, h, strict=True)]
        y = [(turned[a] + per_item(self.translation[:, a], d)) / extent[a] for a in reversed(range(d))]
        return torch.stack([c[:, 0] for c in y], dim=-1)

    def warp(
        self, prior: Tensor, shape: Sequence[int] | None = None, spacing: Sequence[float] | None = None
    ) -> Tensor:
        """Resample prior(A(x)) on the image grid, linearly; outside the prior its border value holds.

        A signed distance comes back in mm of the prior's frame: divide by `scale` for mm of the image.

        Args:
            prior: `(B, C, *prior_shape)` or `(1, C, *prior_shape)`.
            shape: spatial shape of the image; default that of the prior.
            spacing: mm per voxel of both; default 1.

        Returns:
            `(B, C, *shape)`.

        Example:
            >>> import torch
            >>> pose = Similarity.identity(1, 2)._replace(translation=torch.tensor([[0.0, 1.0]]))
            >>> pose.warp(torch.arange(4.0).expand(1, 1, 2, 4))[0, 0, 0].round()
            tensor([1., 2., 3., 3.])
        """
        prior_shape = prior.shape[2:]
        grid = self.grid(prior_shape if shape is None else shape, prior_shape, spacing)
        return sample(prior, grid)


def sample(prior: Tensor, grid: Tensor) -> Tensor:
    """Linear interpolation of a prior, shared by all items or one each, at a normalised grid."""
    source = prior.expand(grid.shape[0], *prior.shape[1:])
    return F.grid_sample(source, grid, mode="bilinear", padding_mode="border", align_corners=True)


def voxel_axes(shape: Sequence[int], h: Sequence[float], like: Tensor) -> list[Tensor]:
    """Voxel centres in mm relative to the centre of the grid, shaped to broadcast along each axis."""
    d = len(h)
    return [
        ((torch.arange(n, dtype=like.dtype, device=like.device) - (n - 1) / 2) * s).view(
            *(n if a == axis else 1 for a in range(d))
        )
        for axis, (n, s) in enumerate(zip(shape, h, strict=True))
    ]


def per_item(x: Tensor, d: int) -> Tensor:
    """View numbers `(B,)` as `(B, 1, 1, ...)` to multiply them with tensors of d spatial axes."""
    return x.view(-1, 1, *(1,) * d)
