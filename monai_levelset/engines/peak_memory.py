"""The most memory that this process has used."""

from __future__ import annotations

import sys

import torch

__all__ = ["peak_memory"]


def peak_memory(device: torch.device | str) -> int | None:
    """The most memory used so far: of a GPU what torch has allocated there, else of the process.

    Args:
        device: where the network is.

    Returns:
        Bytes; None where the system does not tell.

    Example:
        >>> peak = peak_memory("cpu")
        >>> peak is None or peak > 10**6
        True
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return None
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024
