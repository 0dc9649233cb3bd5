"""Deep-level-set steps by their formula, with autograd through everything."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def deep_level_set(phi: Tensor, field: Tensor, modulation: Tensor, steps: int = 5, dt: float = 5.0) -> Tensor:
    """Zheng et al., eq. 5: phi += dt delta(phi) (<V, grad phi> + g kappa), then distance regularisation.

    Args:
        phi: `(B, 1, H, W)`.
        field: V, `(B, 2, H, W)`.
        modulation: g, `(B, 1, H, W)`.
        steps: T.
        dt: step size.

    Returns:
        phi after T steps.
    """
    for _ in range(steps):
        dy, dx = slopes(phi)
        norm = torch.sqrt(dx**2 + dy**2 + 1e-10)
        kappa = slopes(dy / norm)[0] + slopes(dx / norm)[1]
        advection = field[:, :1] * dy + field[:, 1:] * dx
        phi = phi + dt * delta(phi) * (advection + modulation * kappa)
        phi = phi + 0.2 * double_well(phi)
    return phi


def slopes(x: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences along rows and columns, border replicated."""
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    along_rows = (padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]) / 2
    along_columns = (padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]) / 2
    return along_rows, along_columns


def delta(phi: Tensor, eps: float = 9.0) -> Tensor:
    """(1 + cos(pi x/eps))/2 within eps of the contour."""
    return torch.where(phi.abs() < eps, 0.5 * (1 + torch.cos(math.pi * phi / eps)), torch.zeros_like(phi))


def double_well(phi: Tensor) -> Tensor:
    """div(d_p(|grad phi|) grad phi) of the double-well potential (Li et al. 2010, eqs. 16 to 20)."""
    dy, dx = slopes(phi)
    norm = torch.sqrt(dx**2 + dy**2 + 1e-10)
    slope = torch.where(norm <= 1, torch.sin(2 * math.pi * norm) / (2 * math.pi), norm - 1)
    factor = slope / norm
    return slopes(factor * dy)[0] + slopes(factor * dx)[1]
