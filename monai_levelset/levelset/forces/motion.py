"""The learned force: a network's motion and modulation maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..geometry import _central, _dot, _pad, check_spacing, curvature, spatial_dims
from ..heaviside import _check, dirac
from ..precision import wide


class MotionForce:
    """Carries the contour along a motion map and smooths it where a modulation map allows.

    Velocity delta(phi) (<V, grad phi> + g kappa), kappa = div(grad phi/|grad phi|), delta(x) =
    (1 + cos(pi x/eps))/2 for |x| < eps, else 0: 1 on the contour, so that V and g are in mm (voxels) per unit
    of time. A network predicts V and g (Wang et al. 2019; Zheng et al., eq. 5, which should read
    phi_t = |grad phi| F).

    The contour moves with velocity **-V**: phi_t = <V, grad phi> carries the level lines against V. So V
    points away from where the contour should be, V = grad|D| for the true distance D, and V = grad phi (the
    inner normal) makes the inside grow. `evolve` takes explicit steps with central differences, so put
    `DistanceRegularization` beside it.

    Args:
        field: V, `(B, D, *spatial)`, one channel per spatial axis in tensor order. Gradients flow into it.
        modulation: g, `(B, 1, *spatial)`, usually in [0, 1], 0 where corners are to stay sharp. Gradients
            flow into it. Steps are stable for dt g < h^2/(2 D).
        eps: half width of delta in the unit of phi; the paper's is 9.
        detach_curvature: treat kappa as a constant in the backward pass, as the reference does. Gradients
            still flow into g.
        spacing: mm per voxel; default 1.

    Raises:
        ValueError: wrong shape of `field` or `modulation`, `eps` not positive, wrong spacing.

    Example:
        >>> import torch
        >>> front = torch.arange(6.0).expand(1, 1, 6, 6) - 2
        >>> right = torch.zeros(1, 2, 6, 6)
        >>> right[:, 1] = 0.5
        >>> force = MotionForce(right, torch.zeros(1, 1, 6, 6), eps=2.0)
        >>> force(front)[0, 0, 3]
        tensor([0.0000, 0.2500, 0.5000, 0.2500, 0.0000, 0.0000])
    """

    def __init__(
        self,
        field: Tensor,
        modulation: Tensor,
        *,
        eps: float = 9.0,
        detach_curvature: bool = True,
        spacing: Sequence[float] | None = None,
    ) -> None:
        _check(eps, "sine")
        dims = spatial_dims(field, "field")
        if not torch.jit.is_tracing():
            _check_maps(field, modulation, dims)
        self.field, self.modulation = wide(field), wide(modulation)
        self.eps, self.detach_curvature = eps, detach_curvature
        self.spacing = check_spacing(spacing, dims)

    def __call__(self, phi: Tensor) -> Tensor:
        """Velocity, see the class."""
        phi = wide(phi)
        transport = _dot(self.field.split(1, dim=1), _central(_pad(phi), self.spacing))
        kappa = curvature(phi.detach() if self.detach_curvature else phi, self.spacing)
        band = self.eps * dirac(phi, self.eps, "sine")
        return band * torch.addcmul(transport, self.modulation, kappa)


def _check_maps(field: Tensor, modulation: Tensor, dims: int) -> None:
    expected = (field.shape[0], 1, *field.shape[2:])
    if field.shape[1] != dims:
        raise ValueError(
            f"`field` needs one channel per spatial axis, (B, {dims}, ...), got {tuple(field.shape)}."
        )
    if modulation.shape != expected:
        raise ValueError(f"`modulation` must be {expected} like `field`, got {tuple(modulation.shape)}.")
