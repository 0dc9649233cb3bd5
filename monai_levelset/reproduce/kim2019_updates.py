"""Supervised updates of a network with cross entropy and the level-set loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monai_levelset.losses import LevelSetLoss
from monai_levelset.transforms import BatchAugmentation


class Updates:
    """AdamW with one learning-rate cycle on CE + weight * E (Kim et al. 2019, eq. 8).

    Args:
        network: image `(B, C, H, W)` -> class scores `(B, K, H, W)`.
        weight: lambda; with 0 the energy is not computed.
        augment: moves image and label alike.
        rate: the highest learning rate.
        total: number of updates of the cycle.

    Example:
        >>> import torch
        >>> torch.manual_seed(0) and None
        >>> updates = Updates(nn.Conv2d(1, 2, 1), 4e-4, BatchAugmentation(), rate=0.01, total=5)
        >>> label = F.one_hot(torch.zeros(1, 12, 12, dtype=torch.long), 2).permute(0, 3, 1, 2).float()
        >>> updates(torch.rand(1, 1, 12, 12), label).shape
        torch.Size([])
    """

    def __init__(
        self, network: nn.Module, weight: float, augment: BatchAugmentation, *, rate: float, total: int
    ) -> None:
        self.network, self.weight, self.augment = network, weight, augment
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-4)
        self.scheduler = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, rate, total_steps=total + 1, pct_start=0.1
        )
        self.level_set = LevelSetLoss(softmax=True)

    def __call__(self, image: Tensor, label: Tensor) -> Tensor:
        """One update on a mini-batch with one-hot labels; returns its loss."""
        self.network.train()
        self.optimizer.zero_grad(set_to_none=True)
        image, label = self.augment(image, label)
        loss = self.loss(self.network(image.contiguous(memory_format=torch.channels_last)), label.argmax(1))
        loss.backward()
        self.optimizer.step()
        self.scheduler.step()
        return loss.detach()

    def loss(self, scores: Tensor, label: Tensor) -> Tensor:
        """CE + weight * E of class scores and labels `(B, H, W)`."""
        loss = F.cross_entropy(scores, label)
        return loss + self.weight * self.level_set(scores, label[:, None]) if self.weight else loss
