"""Smooth Heaviside functions and their derivatives."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from .precision import wide

HeavisideKind = Literal["sine", "arctan", "tanh", "hard"]


def _check(eps: float, kind: str) -> None:
    if kind not in get_args(HeavisideKind):
        known = ", ".join(get_args(HeavisideKind))
        raise ValueError(f"Unknown Heaviside kind {kind!r}: choose one of {known}.")
    if not 0 < eps < math.inf:
        raise ValueError(f"`eps` is the half width of the transition and must be positive, got {eps}.")


def heaviside(phi: Tensor, eps: float = 1.5, kind: HeavisideKind = "sine") -> Tensor:
    """Smooth step: 0 far outside (phi < 0), 1 far inside (phi > 0), 1/2 on the contour.

    | kind     | H(x)                                     | support of its derivative |
    |----------|------------------------------------------|---------------------------|
    | `sine`   | (1 + x/eps + sin(pi x/eps)/pi)/2, |x|<eps | compact, C1 (C2 for H)    |
    | `arctan` | 1/2 + atan(x/eps)/pi (Chan and Vese 2001) | everywhere, slow decay    |
    | `tanh`   | (1 + tanh(x/eps))/2 (Kim et al. 2019)     | everywhere, fast decay    |
    | `hard`   | 1 where x > 0, else 0                     | none                      |

    Args:
        phi: level set of any shape, in the unit of `eps` (voxels or mm).
        eps: half width of the transition, positive.
        kind: family, see the table.

    Returns:
        Tensor of the shape of `phi`, in [0, 1]; float32 for half precision.

    Raises:
        ValueError: `eps` is not positive or `kind` is unknown.

    Example:
        >>> import torch
        >>> heaviside(torch.tensor([-2.0, 0.0, 2.0])).round(decimals=4)
        tensor([0.0000, 0.5000, 1.0000])
    """
    _check(eps, kind)
    phi = wide(phi)
    if kind == "sine":
        t = (phi / eps).clamp(-1, 1)
        return 0.5 * (1 + t + torch.sin(math.pi * t) / math.pi)
    if kind == "arctan":
        return 0.5 + torch.atan(phi / eps) / math.pi
    if kind == "tanh":
        return 0.5 * (1 + torch.tanh(phi / eps))
    return (phi > 0).to(phi.dtype)


def dirac(phi: Tensor, eps: float = 1.5, kind: HeavisideKind = "sine") -> Tensor:
    """Derivative of `heaviside` with respect to phi, exactly; zero everywhere for `hard`.

    Args:
        phi: level set of any shape.
        eps: half width of the transition, positive.
        kind: as in `heaviside`.

    Returns:
        Tensor of the shape of `phi`, not negative, with integral 1 over phi.

    Raises:
        ValueError: `eps` is not positive or `kind` is unknown.

    Example:
        >>> import torch
        >>> dirac(torch.tensor([-2.0, 0.0, 2.0]), eps=2.0)
        tensor([0.0000, 0.5000, 0.0000])
    """
    _check(eps, kind)
    phi = wide(phi)
    if kind == "sine":
        t = (phi / eps).clamp(-1, 1)
        return (1 + torch.cos(math.pi * t)) * (0.5 / eps)
    if kind == "arctan":
        return (eps / math.pi) / (phi * phi + eps * eps)
    if kind == "tanh":
        return (1 - torch.tanh(phi / eps) ** 2) * (0.5 / eps)
    return torch.zeros_like(phi)


def dirac_derivative(phi: Tensor, eps: float = 1.5, kind: HeavisideKind = "sine") -> Tensor:
    """Derivative of `dirac` with respect to phi; zero everywhere for `hard`.

    Args:
        phi: level set of any shape.
        eps: half width of the transition, positive.
        kind: as in `heaviside`.

    Returns:
        Tensor of the shape of `phi`: positive outside, negative inside.

    Raises:
        ValueError: `eps` is not positive or `kind` is unknown.

    Example:
        >>> import torch
        >>> dirac_derivative(torch.tensor([0.0, 1.0]), eps=1.0, kind="arctan")
        tensor([-0.0000, -0.1592])
    """
    _check(eps, kind)
    phi = wide(phi)
    if kind == "sine":
        t = (phi / eps).clamp(-1, 1)
        return torch.sin(math.pi * t) * (-0.5 * math.pi / eps**2)
    if kind == "arctan":
        return phi * (-2 * eps / math.pi) / (phi * phi + eps * eps) ** 2
    if kind == "tanh":
        t = torch.tanh(phi / eps)
        return t * (t * t - 1) / eps**2
    return torch.zeros_like(phi)
