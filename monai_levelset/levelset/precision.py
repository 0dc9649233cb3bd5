"""What every function does with its tensors first: plain ones, in float32 at least."""

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
