"""Classical segmentation methods in one call: each only builds its forces and calls `evolve`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from .distance import signed_distance
from .evolve import EvolutionResult, evolve
from .forces import (
    ChanVeseForce,
    CurvatureForce,
    DistanceRegularization,
    EdgeForce,
    Force,
    MultiphaseChanVeseForce,
)
from .geometry import check_spacing, edge_indicator, spatial_dims
from .precision import plain, wide
from .starts import intensity_start


def chan_vese(
    image: Tensor,
    phi: Tensor | None = None,
    *,
    length_weight: float = 0.25,
    inside_weight: float = 1.0,
    outside_weight: float = 1.0,
    area_weight: float = 0.0,
    regions: Literal["smooth", "hard"] = "hard",
    steps: int = 300,
    dt: float = 2.0,
    spacing: Sequence[float] | None = None,
    tolerance: float = 0.0,
    **options: Any,
) -> EvolutionResult:
    """Active contours without edges (Chan and Vese 2001): two regions of about constant intensity.

    Forces: `ChanVeseForce` on the image scaled to [0, 1] per item and channel, and `CurvatureForce`. There is
    no re-initialisation: regions may appear and vanish anywhere.

    Args:
        image: `(B, C, *spatial)`, 2D or 3D, in any unit.
        phi: masks `(B, 1, *spatial)` (bool or integers) to start from, or level sets of a height near 1:
            where |phi| is large, the contour takes many steps to arrive. Default: `intensity_start`, positive
            where the image is bright. scikit-image starts from `checkerboard(image.shape[2:])`; then inside
            and outside may come out swapped.
        length_weight: mu, in mm times squared scaled intensity. Larger: smoother contours, small regions
            vanish.
        inside_weight: l1; smaller than l2 where the inside varies more.
        outside_weight: l2.
        area_weight: nu, cost of each mm^D inside.
        regions: how the means are taken, see `ChanVeseForce`. The default is Getreuer's (2012).
        steps: number of steps at most.
        dt: step size; scikit-image's `dt` times pi.
        spacing: mm per voxel; default 1.
        tolerance: stop when the energy changes by less than this part in ten steps; 0 never does. 1e-3 is
            enough for the default start; from others the energy may stand still for long before regions turn.
        **options: further arguments of `evolve`, such as `compile=True`.

    Returns:
        `EvolutionResult`; `.mask()` is the inside.

    Raises:
        ValueError: wrong shape, dtype or spacing, or a number out of range.

    Example:
        >>> import torch
        >>> image = torch.zeros(1, 1, 32, 32)
        >>> image[..., 8:20, 10:26] = 700.0
        >>> image += 50 * torch.randn(image.shape, generator=torch.manual_seed(0)) - 1000
        >>> int(chan_vese(image).mask().sum())
        192
    """
    _check_weights(length_weight=length_weight, inside_weight=inside_weight, outside_weight=outside_weight)
    unit = scale_intensity(image)
    start = _default_start(unit, 1, spacing) if phi is None else _level_set(phi, unit, spacing, step=0.1)
    data = ChanVeseForce(
        unit,
        inside_weight=inside_weight,
        outside_weight=outside_weight,
        area_weight=area_weight,
        spacing=spacing,
        regions=regions,
    )
    smoothness = CurvatureForce(weight=length_weight, spacing=spacing, eps=1.0, kind="arctan")
    return _evolve(start, [data, smoothness], steps, dt, spacing, tolerance, options)


def multiphase_chan_vese(
    image: Tensor,
    phi: Tensor | None = None,
    *,
    levels: int = 2,
    length_weight: float = 0.05,
    regions: Literal["smooth", "hard"] = "hard",
    steps: int = 300,
    dt: float = 2.0,
    spacing: Sequence[float] | None = None,
    tolerance: float = 0.0,
    **options: Any,
) -> EvolutionResult:
    """Multiphase Chan-Vese (Vese and Chan 2002): 2^M regions of about constant intensity.

    Forces: `MultiphaseChanVeseForce` on the image scaled to [0, 1] per item and channel, and `CurvatureForce`
    for each level function. A border where two level functions change sign counts twice in the length, as in
    the paper.

    Args:
        image: `(B, C, *spatial)`, 2D or 3D, in any unit.
        phi: masks or level functions `(B, M, *spatial)` to start from, as in `chan_vese`. Default:
            `intensity_start`. The energy has many local minima: from `checkerboard` two grey values often
            end in one phase.
        levels: M, if `phi` is not given; 2 for four phases.
        length_weight: mu, in mm times squared scaled intensity.
        regions: see `MultiphaseChanVeseForce`.
        steps: number of steps at most.
        dt: step size.
        spacing: mm per voxel; default 1.
        tolerance: stop when the energy changes by less than this part in ten steps, as in `chan_vese`.
        **options: further arguments of `evolve`.

    Returns:
        `EvolutionResult`; `phase_labels(result.phi)` are the labels 0 ... 2^M - 1, in no order of intensity.

    Raises:
        ValueError: wrong shape, dtype or spacing, or a number out of range.

    Example:
        >>> import torch
        >>> from monai_levelset.levelset import phase_labels
        >>> image = torch.arange(4.0).repeat_interleave(8).expand(1, 1, 16, 32)
        >>> phase_labels(multiphase_chan_vese(image).phi)[0, 0, 8, 4::8]
        tensor([0, 1, 3, 2])
    """
    _check_weights(length_weight=length_weight)
    unit = scale_intensity(image)
    start = _default_start(unit, levels, spacing) if phi is None else _level_set(phi, unit, spacing, step=0.1)
    forces: list[Force] = [
        MultiphaseChanVeseForce(unit, spacing=spacing, regions=regions),
        CurvatureForce(weight=length_weight, spacing=spacing, eps=1.0, kind="arctan"),
    ]
    return _evolve(start, forces, steps, dt, spacing, tolerance, options)


def geodesic_active_contour(
    image: Tensor,
    phi: Tensor,
    *,
    balloon: float = 0.3,
    weight: float = 1.0,
    scale: float | None = None,
    contrast: float | None = None,
    steps: int = 1000,
    dt: float | None = None,
    spacing: Sequence[float] | None = None,
    tolerance: float = 1e-4,
    **options: Any,
) -> EvolutionResult:
    """Geodesic active contours (Caselles, Kimmel and Sapiro 1997): the contour settles on image edges.

    Forces: `EdgeForce` on the edge indicator of the image scaled to [0, 1] per item and channel.
    Re-initialised every five steps.

    Args:
        image: `(B, C, *spatial)`, 2D or 3D, in any unit.
        phi: where to start: masks `(B, 1, *spatial)` (bool or integers), or signed distances.
        balloon: > 0 inflates a seed inside the object, < 0 deflates a contour around it; from about 1 on weak
            edges leak. 0 is enough for a start within a few voxels of the edges.
        weight: of the length; in relation to `balloon`, how smooth and how ready to jump gaps in the edge.
        scale: standard deviation in mm of the Gaussian before the gradient; default 1.5 times the smallest
            spacing. Larger: edges attract from farther, and less noise.
        contrast: gradient, in scaled intensity per mm, that halves the indicator; default: a tenth of the
            largest there can be after the Gaussian, 0.04/scale.
        steps: number of steps at most.
        dt: step size; default: nine tenths of the largest stable one.
        spacing: mm per voxel; default 1.
        tolerance: stop when the energy changes by less than this part in ten steps; 0 never does.
        **options: further arguments of `evolve`.

    Returns:
        `EvolutionResult`; `.mask()` is the inside.

    Raises:
        ValueError: wrong shape, dtype or spacing, or a number out of range.

    Example:
        >>> import torch
        >>> image = torch.zeros(1, 1, 40, 40)
        >>> image[..., 8:32, 8:32] = 100.0
        >>> seed = torch.zeros(1, 1, 40, 40, dtype=torch.bool)
        >>> seed[..., 16:24, 16:24] = True
        >>> result = geodesic_active_contour(image, seed)
        >>> int((result.mask() != (image > 50)).sum())  # the four corners, rounded
        32
    """
    _check_weights(weight=weight)
    if weight == 0 == balloon:
        raise ValueError("`weight` and `balloon` are both 0: nothing would move the contour.")
    unit = scale_intensity(image)
    edge = _edges(unit, scale, contrast, spacing)
    start = _level_set(phi, unit, spacing)
    if dt is None:
        h = check_spacing(spacing, spatial_dims(unit))
        diffusion, drift = 2 * weight * sum(s**-2 for s in h), abs(balloon) + 0.5 * weight / min(h)
        dt = 0.9 / (diffusion + drift * sum(1 / s for s in h))
    force = EdgeForce(edge, weight=weight, balloon=balloon, spacing=spacing, eps=1.5 * _finest(unit, spacing))
    return _evolve(start, [force], steps, dt, spacing, tolerance, {"reinitialize_every": 5, **options})


def drlse(
    image: Tensor,
    phi: Tensor,
    *,
    balloon: float = 1.5,
    length_weight: float = 5.0,
    scale: float | None = None,
    contrast: float | None = None,
    regularization: float | None = None,
    steps: int = 500,
    dt: float | None = None,
    spacing: Sequence[float] | None = None,
    tolerance: float = 0.0,
    **options: Any,
) -> EvolutionResult:
    """Distance regularised level set evolution (Li, Xu, Gui and Fox 2010): edges, without re-initialisation.

    Forces: `EdgeForce(measure="dirac")` on the edge indicator of the image scaled to [0, 1] per item and
    channel, and `DistanceRegularization` with the double-well potential. The paper's constants, but for the
    balloon and the step, see there, and the indicator's contrast, which does not depend on the image's unit.

    Args:
        image: `(B, C, *spatial)`, 2D or 3D, in any unit.
        phi: where to start: masks `(B, 1, *spatial)` (bool or integers), which become the paper's binary step
            of height 2, or level sets.
        balloon: > 0 for a start inside the object, < 0 for one around it; minus the paper's alpha. Larger
            arrives sooner and rests farther beyond the edge; the paper's 3 breaks through weak edges. A
            start of a radius below (D - 1) `length_weight`/`balloon` vanishes.
        length_weight: lambda.
        scale: standard deviation in mm of the Gaussian before the gradient; default 1.5 times the smallest
            spacing.
        contrast: gradient, in scaled intensity per mm, that halves the indicator; default: a tenth of the
            largest there can be after the Gaussian, 0.04/scale. The paper's is 1/255.
        regularization: mu; default 0.2/dt as in the paper for 2D and spacing 1, else as far from the limit of
            stability.
        steps: number of steps.
        dt: step size; default 0.3 for lambda = 5 in 2D and spacing 1, else as far from the limit. The paper's
            1 to 5 are beyond it where g is near 1: the contour still arrives, but rounding decides how.
        spacing: mm per voxel; default 1.
        tolerance: stop when the energy changes by less than this part in ten steps; 0 never does.
        **options: further arguments of `evolve`.

    Returns:
        `EvolutionResult`; `.mask()` is the inside.

    Raises:
        ValueError: wrong shape, dtype or spacing, or a number out of range.

    Example:
        >>> import torch
        >>> from monai_levelset.levelset import drlse, signed_distance
        >>> image = torch.zeros(1, 1, 40, 40)
        >>> image[..., 8:32, 8:32] = 100.0
        >>> around = torch.zeros(1, 1, 40, 40, dtype=torch.bool)
        >>> around[..., 3:37, 3:37] = True
        >>> result = drlse(image, around, balloon=-3.0, steps=300)
        >>> wrong = result.mask() != (image > 50)
        >>> signed_distance(image > 50)[wrong].abs().max()  # in voxels: only some that touch the edge
        tensor(0.5000)
    """
    _check_weights(length_weight=length_weight)
    unit = scale_intensity(image)
    h, finest = check_spacing(spacing, spatial_dims(unit)), _finest(unit, spacing)
    edge = _edges(unit, scale, contrast, spacing)
    start = _level_set(phi, unit, spacing, step=2 * finest)
    stiffness = sum(s**-2 for s in h)
    if dt is None:
        dt = 3 * finest / (max(length_weight, 1.0) * stiffness)
    if regularization is None:
        regularization = 0.4 / (dt * stiffness)
    forces: list[Force] = [
        EdgeForce(edge, weight=length_weight, balloon=balloon, spacing=h, measure="dirac", eps=1.5 * finest),
        DistanceRegularization(weight=regularization, spacing=h),
    ]
    return _evolve(start, forces, steps, dt, spacing, tolerance, options)


def scale_intensity(image: Tensor) -> Tensor:
    """Grey values scaled to [0, 1] per item and channel; a constant channel becomes 0.

    Args:
        image: `(B, C, *spatial)`.

    Returns:
        Tensor of the shape of `image`, float32 for half precision.

    Raises:
        ValueError: wrong shape or dtype.

    Example:
        >>> import torch
        >>> scale_intensity(torch.tensor([-1000.0, 0.0, 1000.0]).view(1, 1, 1, 3))
        tensor([[[[0.0000, 0.5000, 1.0000]]]])
    """
    axes = tuple(range(2, 2 + spatial_dims(image, "image")))
    image = wide(image)
    low = image.amin(axes, keepdim=True)
    width = image.amax(axes, keepdim=True) - low
    return (image - low) / torch.where(width > 0, width, 1)


def _default_start(image: Tensor, levels: int, spacing: Sequence[float] | None) -> Tensor:
    return intensity_start(image, levels=levels, scale=_finest(image, spacing), spacing=spacing)


def _level_set(
    phi: Tensor, image: Tensor, spacing: Sequence[float] | None, step: float | None = None
) -> Tensor:
    """Level sets as they are; masks as signed distances, or as a binary step; one for all serves each."""
    if phi.ndim != image.ndim or phi.shape[2:] != image.shape[2:] or phi.shape[0] not in (1, len(image)):
        raise ValueError(
            f"`phi` {tuple(phi.shape)} and `image` {tuple(image.shape)} must have the same spatial shape and "
            "batch size (a start of batch size 1 serves all items)."
        )
    if not phi.is_floating_point():
        mask = (plain(phi) > 0).to(image.dtype)
        far = [signed_distance(m, spacing) for m in mask.split(1, dim=1)] if step is None else []
        phi = torch.cat(far, dim=1) if step is None else step * (2 * mask - 1)
    return phi.expand(len(image), *phi.shape[1:])


def _check_weights(**weights: float) -> None:
    for name, value in weights.items():
        if not value >= 0:
            raise ValueError(f"`{name}` must not be negative, got {value}: the contour would fray.")


def _finest(image: Tensor, spacing: Sequence[float] | None) -> float:
    return min(check_spacing(spacing, spatial_dims(image)))


def _edges(
    image: Tensor, scale: float | None, contrast: float | None, spacing: Sequence[float] | None
) -> Tensor:
    finest = _finest(image, spacing)
    width = 1.5 * finest if scale is None else scale
    steepest = 0.4 / max(width, 0.8 * finest)
    threshold = 0.1 * steepest if contrast is None else contrast
    return edge_indicator(image, contrast=threshold, scale=width, spacing=spacing)


def _evolve(
    phi: Tensor,
    forces: Sequence[Force],
    steps: int,
    dt: float,
    spacing: Sequence[float] | None,
    tolerance: float,
    options: dict[str, Any],
) -> EvolutionResult:
    merged = {"reinitialize_every": 0, **options}
    return evolve(phi, forces, steps=steps, dt=dt, spacing=spacing, tolerance=tolerance, **merged)
