"""Which process of a parallel training this is."""

from __future__ import annotations

import torch.distributed as dist

__all__ = ["is_first_rank"]


def is_first_rank() -> bool:
    """Whether this process is the one that writes files and speaks; alone, it is.

    Returns:
        True on the first rank.

    Example:
        >>> is_first_rank()
        True
    """
    return not dist.is_initialized() or dist.get_rank() == 0
