"""Start from the weights of an earlier run."""

from __future__ import annotations

from pathlib import Path

from ignite.engine import Engine
from torch import nn

from monai_levelset.data.checkpoints import check_checkpoint
from monai_levelset.networks import load_imagenet_weights


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


class ImageNetWeights:
    """Handler that starts the ResNet of a network from ImageNet; see `load_imagenet_weights`.

    Args:
        path: the file of weights.
        network: the network; its wrapper for parallel training is looked through.
        image_channels: 3 or 1: so many channels of the input are the image, maps of clicks follow.

    Raises:
        DataError: on attaching, where the file is missing, corrupt or of another network.

    Example:
        >>> from monai_levelset.networks import DilatedResNet
        >>> handler = ImageNetWeights("none.pth", DilatedResNet(3), image_channels=3)
        >>> handler.attach(Engine(lambda engine, batch: None))
        Traceback (most recent call last):
        ...
        monai_levelset.data.errors.DataError: none.pth: ...
    """

    def __init__(self, path: str | Path, network: nn.Module, *, image_channels: int) -> None:
        self.path, self.network, self.image_channels = path, network, image_channels

    def attach(self, engine: Engine) -> None:
        """Load the weights now; a checkpoint that is resumed later replaces them."""
        load_imagenet_weights(
            getattr(self.network, "module", self.network), self.path, image_channels=self.image_channels
        )
