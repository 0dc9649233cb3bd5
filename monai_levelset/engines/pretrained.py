"""Start from the weights of an earlier run."""

from __future__ import annotations

from pathlib import Path

from ignite.engine import Engine
from torch import nn

from monai_levelset.data.checkpoints import check_checkpoint


class PretrainedWeights:
    """Handler that loads a network's weights, checked before any training starts.

    Args:
        path: a file `check_checkpoint` understands.
        network: the network; its wrapper for parallel training is looked through.

    Raises:
        DataError: on attaching, where the file is missing, corrupt or of another network.

    Example:
        >>> PretrainedWeights("none.pt", nn.Linear(1, 1)).attach(Engine(lambda engine, batch: None))
        Traceback (most recent call last):
        ...
        monai_levelset.data.errors.DataError: none.pt: ...
    """

    def __init__(self, path: str | Path, network: nn.Module) -> None:
        self.path, self.network = path, network

    def attach(self, engine: Engine) -> None:
        """Load the weights now; a checkpoint that is resumed later replaces them."""
        network = getattr(self.network, "module", self.network)
        network.load_state_dict(check_checkpoint(self.path, network))
