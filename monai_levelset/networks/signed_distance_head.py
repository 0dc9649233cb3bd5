"""A segmentation network that also tells how far each voxel is from the contours."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SignedDistanceHead(nn.Module):
    """A network whose last channels are signed distances in training, and which hides them otherwise.

    The dual task of Luo et al. (AAAI 2021): one network gives the scores of the classes and, per structure, a
    level function in [-1, 1], positive inside. `SignedDistanceLoss` teaches the second and asks both for the
    same contours, also where there is no label.

    Args:
        network: gives `classes` + number of structures channels.
        classes: number of classes, background included.

    Raises:
        ValueError: `classes` is less than 2.

    Example:
        >>> network = SignedDistanceHead(nn.Conv2d(1, 4 + 3, 3, padding=1), classes=4)
        >>> image = torch.rand(2, 1, 8, 8)
        >>> network.train()(image).shape, network.eval()(image).shape
        (torch.Size([2, 7, 8, 8]), torch.Size([2, 4, 8, 8]))
    """

    def __init__(self, network: nn.Module, classes: int) -> None:
        super().__init__()
        if not classes >= 2:
            raise ValueError(f"`classes` counts the background too and must be at least 2, got {classes}.")
        self.network, self.classes = network, classes

    def forward(self, image: Tensor) -> Tensor:
        """Scores `(B, classes, *spatial)`; in training followed by the level functions."""
        output: Tensor = self.network(image)
        scores = output[:, : self.classes]
        if not self.training:
            return scores
        return torch.cat([scores, output[:, self.classes :].tanh()], 1)
