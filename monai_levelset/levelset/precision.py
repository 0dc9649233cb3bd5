"""Precision: plain tensors in float32 at least for level sets, mixed precision for networks."""

from __future__ import annotations

import torch
from torch import Tensor


def plain(x: Tensor) -> Tensor:
    """The tensor without its subclass (such as MONAI's MetaTensor, several times slower), still in the graph.

    Args:
        x: any tensor.

    Returns:
        `x` itself if it is plain, else a view.

    Example:
        >>> import torch
        >>> type(plain(torch.nn.Parameter(torch.zeros(2)))) is torch.Tensor
        True
    """
    return x if type(x) is Tensor else x.as_subclass(Tensor)


def wide(x: Tensor) -> Tensor:
    """Plain tensor in float32, or float64 if it is: half precision overflows, stalls or rounds steps away.

    Args:
        x: any tensor.

    Returns:
        Tensor of the same values.

    Example:
        >>> import torch
        >>> wide(torch.zeros(2, dtype=torch.float16)).dtype
        torch.float32
    """
    return plain(x) if x.dtype in (torch.float32, torch.float64) else plain(x).float()


def mixed_precision(device: torch.device | str, *, enabled: bool = True) -> torch.autocast:
    """Autocast where it is faster: float16 on a GPU; bfloat16 on a CPU that computes with it, else nothing.

    A processor without such instructions, older than AVX-512, takes many times longer in bfloat16.

    Args:
        device: where the network is.
        enabled: whether to do anything at all.

    Returns:
        A context manager.

    Example:
        >>> import torch
        >>> with mixed_precision("cpu", enabled=False):
        ...     torch.nn.Linear(2, 2)(torch.zeros(1, 2)).dtype
        torch.float32
    """
    kind = torch.device(device).type
    if kind == "cpu":
        fast = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
        return torch.autocast(kind, dtype=torch.bfloat16, enabled=enabled and fast)
    return torch.autocast(kind, dtype=torch.float16, enabled=enabled)
