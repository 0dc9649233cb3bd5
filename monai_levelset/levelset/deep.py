"""The deep level set: a few steps of evolution as the last layer of a network."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from .evolve import EvolutionResult, evolve
from .forces import DistanceRegularization, MotionForce
from .geometry import check_spacing, spatial_dims


def deep_level_set(
    phi: Tensor,
    field: Tensor,
    modulation: Tensor,
    *,
    steps: int = 5,
    dt: float = 5.0,
    regularization: float = 0.2,
    eps: float = 9.0,
    detach: bool = True,
    checkpoint: bool = False,
    spacing: Sequence[float] | None = None,
) -> EvolutionResult:
    """Move a predicted level set along predicted maps (Wang et al. 2019; Zheng et al., eq. 5).

    `evolve` with `MotionForce` and `DistanceRegularization`, without re-initialisation:
    phi <- phi + dt delta(phi) (<V, grad phi> + g kappa) + regularization div(d_p(|grad phi|) grad phi).
    By default kappa and the regularisation are constants to the backward pass, as in the reference; the
    motion is differentiated with respect to phi, V and g.

    Half precision is converted, and autocast is off inside: phi comes back in float32, or in float64 for
    float64. It can be traced (`torch.jit.trace`) and compiled (`torch.compile`) as part of a network.

    Args:
        phi: predicted signed distance `(B, 1, *spatial)`, 2D or 3D, positive inside, usually truncated at 30.
        field: V, `(B, D, *spatial)`, mm per unit of time; the contour moves by -V, see `MotionForce`.
        modulation: g in [0, 1], `(B, 1, *spatial)`. Curvature steps are stable for dt g < h^2/(2 D) only: a
            larger g roughens the contour instead of smoothing it.
        steps: T, the number of steps.
        dt: step size.
        regularization: share of the distance regularisation per step, in squares of the smallest spacing;
            stable up to 1/(2 D). Over many steps it slows a contour that turns: at 0.2, the disc that
            curvature alone should have shrunk from 14 to 13.1 voxels in 80 steps was still 13.4.
        eps: half width of the band around the contour in which phi moves, in mm.
        detach: see above; `False` gives the exact gradient of the whole, at more time and memory.
        checkpoint: keep only phi of each step for the backward pass and compute the rest again there.
        spacing: mm per voxel; default 1.

    Returns:
        `EvolutionResult`; `result.phi` is what the loss takes. An item with a number that is not finite has
        the code `DIVERGED` and keeps its last good phi; the others are not touched by it.

    Raises:
        ValueError: wrong shapes, a number out of range.

    Example:
        >>> import torch
        >>> x = torch.arange(48.0) - 24
        >>> radius = (x[:, None] ** 2 + x**2).sqrt()[None, None]
        >>> still, outwards = torch.zeros_like(radius), -torch.cat(torch.gradient(radius, dim=(2, 3)), 1)
        >>> result = deep_level_set(8 - radius, outwards, still, steps=4, dt=1.0)
        >>> round((result.mask().sum() / torch.pi).sqrt().item())
        12
    """
    h = check_spacing(spacing, spatial_dims(phi))
    motion = MotionForce(field, modulation, eps=eps, detach_curvature=detach, spacing=h)
    weight = regularization * min(h) ** 2 / dt
    smooth = DistanceRegularization(weight=weight, spacing=h, detach=detach)
    return evolve(
        phi,
        [motion, smooth],
        steps=steps,
        dt=dt,
        spacing=h,
        reinitialize_every=0,
        record_energy=False,
        checkpoint=checkpoint,
    )
