"""Forces of contours that stop at image edges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ..geometry import _pad, _shift, _unit, check_spacing, curvature_times_gradient, gradient, spatial_dims
from ..heaviside import HeavisideKind, dirac, heaviside
from ..precision import wide
from .base import item_sum, voxel_volume
from .curvature import CurvatureForce


class EdgeForce:
    """Draws the contour to image edges: geodesic active contours and the edge terms of DRLSE.

    g is an edge indicator, small on edges and 1 elsewhere. With the length measured in g, the contour is a
    curve of least length: it is smooth and falls into the valleys of g from a few voxels away, the width of
    the smoothing in `edge_indicator(image, scale=...)`. From farther away a balloon force drives it there.

    * `measure="gradient"`: weight |grad phi| div(g grad phi/|grad phi|) + balloon g |grad phi| (Caselles,
      Kimmel and Sapiro 1997, eq. 22; the balloon inside the metric as in their section 4). All level lines
      move. The parts grad g . grad phi and g |grad phi| are upwinded, so they stay stable without any
      diffusion across the level lines: stable for dt (balloon + weight max|grad g|) < h/D and dt weight <
      h^2/(2 D). Give `evolve` re-initialisation: edges compress the level lines.
    * `measure="dirac"`: delta(phi) (weight div(g grad phi/|grad phi|) + balloon g), the edge terms of DRLSE
      (Li et al. 2010, eq. 30). Central differences: needs `DistanceRegularization` or re-initialisation
      beside it.

    Both go down the energy E = weight sum g delta(phi) |grad phi| dx - balloon sum g H(phi) dx (length and
    area measured in g); the balloon part of `dirac` is exactly its negative gradient per voxel volume.

    Args:
        edge: g, `(B, 1, *spatial)` or `(1, 1, *spatial)`, such as `edge_indicator(image, scale=1.5)`.
            Gradients flow into it.
        weight: of the length: lambda of DRLSE.
        balloon: > 0 inflates, < 0 deflates: minus the alpha of DRLSE, whose phi is negative inside. The
            contour stays on an edge while balloon g < weight |dg/dn| somewhere on its slope; else it leaks.
        spacing: mm per voxel; default 1.
        measure: `gradient` or `dirac`, see above.
        eps: half width of delta, in the unit of phi.
        kind: family of H and delta.

    Raises:
        ValueError: wrong shape of `edge`, unknown `measure` or `kind`, `eps` not positive.

    Example:
        >>> import torch
        >>> x = torch.arange(33.0) - 16
        >>> r = (x[:, None] ** 2 + x**2).sqrt()
        >>> edge = 1 - torch.exp(-((r - 10) ** 2) / 8)  # a ring of radius 10
        >>> force = EdgeForce(edge[None, None])
        >>> small, large = (force((radius - r)[None, None])[0, 0, 16, 16 + radius] for radius in (8, 12))
        >>> bool(small > 0), bool(large < 0)
        (True, True)
    """

    def __init__(
        self,
        edge: Tensor,
        *,
        weight: float = 1.0,
        balloon: float = 0.0,
        spacing: Sequence[float] | None = None,
        measure: Literal["gradient", "dirac"] = "gradient",
        eps: float = 1.5,
        kind: HeavisideKind = "sine",
    ) -> None:
        self._h = check_spacing(spacing, spatial_dims(edge, "edge"))
        if edge.shape[1] != 1:
            raise ValueError(f"`edge` must have one channel, (B, 1, *spatial), got {tuple(edge.shape)}.")
        edge = wide(edge)
        self._length = CurvatureForce(
            weight=weight, edge=edge, spacing=spacing, measure=measure, eps=eps, kind=kind
        )
        self._slope = gradient(edge, self._h)[:, 0].split(1, dim=1)
        self.edge, self.weight, self.balloon, self.spacing = edge, weight, balloon, spacing
        self.measure, self.eps, self.kind = measure, eps, kind

    def __call__(self, phi: Tensor) -> Tensor:
        """Velocity, see the class."""
        if self.measure == "dirac":
            growth = self.balloon * dirac(phi, self.eps, self.kind) * self.edge
            return self._length(phi) + growth
        smoothing = self.edge * curvature_times_gradient(phi, self._h)
        advection, steepness = self._upwind(phi)
        return self.weight * (smoothing + advection) + self.balloon * self.edge * steepness

    def energy(self, phi: Tensor) -> Tensor:
        """Length less balloon times area, both measured in g, `(B,)`."""
        area = voxel_volume(self.spacing, phi) * item_sum(self.edge * heaviside(phi, self.eps, self.kind))
        return self._length.energy(phi) - self.balloon * area

    def _upwind(self, phi: Tensor) -> tuple[Tensor, Tensor]:
        """The product grad g . grad phi, and Godunov's |grad phi| of a front moving with the balloon."""
        phi = wide(phi)
        padded, sign = _pad(phi), 1.0 if self.balloon >= 0 else -1.0
        advection, squares = torch.zeros_like(phi), torch.full_like(phi, 1e-12)
        for axis, (step, slope) in enumerate(zip(self._h, self._slope, strict=True)):
            ahead = (_shift(padded, _unit(axis, len(self._h))) - phi) / step
            behind = (phi - _shift(padded, _unit(axis, len(self._h), -1))) / step
            advection = advection + slope.clamp_min(0) * ahead + slope.clamp_max(0) * behind
            rise = torch.maximum(sign * ahead, -sign * behind).clamp_min(0)
            squares = squares + rise.square()
        return advection, squares.sqrt()
