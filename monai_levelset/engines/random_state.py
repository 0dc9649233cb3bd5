"""State of the global random generators."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

__all__ = ["RandomState"]


class RandomState:
    """State of the global random generators of Python, NumPy and torch (CPU and GPUs), for checkpoints.

    Example:
        >>> import torch
        >>> state = RandomState().state_dict()
        >>> first = torch.rand(1)
        >>> RandomState().load_state_dict(state)
        >>> bool(torch.rand(1) == first)
        True
    """

    def state_dict(self) -> dict[str, Any]:
        """The states, in types that `torch.load(weights_only=True)` accepts."""
        kind, keys, *rest = np.random.get_state()  # noqa: NPY002 - the global generator is the one MONAI uses
        return {
            "python": random.getstate(),
            "numpy": [kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put the generators back into these states."""
        version, internal, gauss = state["python"]
        random.setstate((version, tuple(internal), gauss))
        kind, keys, *rest = state["numpy"]
        np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
        torch.set_rng_state(state["torch"].cpu())
        if state["cuda"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all([s.cpu() for s in state["cuda"]])
