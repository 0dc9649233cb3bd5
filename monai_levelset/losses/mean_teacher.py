"""Sum of the losses of a mean-teacher training, each of which can be left out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .level_set import LevelSetLoss
from .mumford_shah import MumfordShahLoss
from .signed_distance import SignedDistanceLoss
from .weighted_dice_ce import WeightedDiceCELoss

#: Label of voxels that the level-set loss does not look at.
_IGNORED = 255
#: Weight above which a person labelled a voxel: 1, but for rounding in the augmentation.
_CERTAIN = 0.995


class MeanTeacherLoss(nn.Module):
    """What a network learns from labels of persons, labels of its teacher, and the images themselves.

        L = L_seg(scores, target, weight) + lambda L_levelset(scores, target where weight = 1)
            + beta L_MS(scores, image where weight < 1) + gamma L_SDF(phi, scores, target)

    Args:
        segmentation: loss of scores, class probabilities and weights per voxel.
        level_set: loss of scores and labels on the voxels that a person labelled, with `ignore_index=255`;
            None: none.
        level_set_weight: lambda.
        mumford_shah: loss of scores and images on the voxels that no one labelled; None: none.
        mumford_shah_weight: beta.
        distance: loss of the level functions of a `SignedDistanceHead`; None: none.
        distance_weight: gamma.

    Raises:
        ValueError: a weight is negative, or the level-set loss ignores no label.

    Example:
        >>> from monai_levelset.losses import MumfordShahLoss
        >>> loss = MeanTeacherLoss(
        ...     mumford_shah=MumfordShahLoss(softmax=True, per_voxel=True, reduction="mean"),
        ...     mumford_shah_weight=0.1)
        >>> scores, target = torch.zeros(2, 2, 8, 8), torch.ones(2, 2, 8, 8) / 2
        >>> weight = torch.tensor([1.0, 0.5]).view(2, 1, 1, 1).expand(2, 1, 8, 8)
        >>> parts = loss.parts(scores, target, weight, torch.rand(2, 1, 8, 8))
        >>> [*parts]
        ['segmentation', 'mumford_shah']
    """

    def __init__(
        self,
        segmentation: nn.Module | None = None,
        *,
        level_set: LevelSetLoss | None = None,
        level_set_weight: float = 1.0,
        mumford_shah: MumfordShahLoss | None = None,
        mumford_shah_weight: float = 1.0,
        distance: SignedDistanceLoss | None = None,
        distance_weight: float = 1.0,
    ) -> None:
        super().__init__()
        for name, value in {
            "level_set_weight": level_set_weight,
            "mumford_shah_weight": mumford_shah_weight,
            "distance_weight": distance_weight,
        }.items():
            if not value >= 0:
                raise ValueError(f"`{name}` weighs a loss and must not be negative, got {value}.")
        if level_set is not None and level_set.ignore_index != _IGNORED:
            raise ValueError(
                f"Give the level-set loss `ignore_index={_IGNORED}`, the label of voxels without a person's; "
                f"got {level_set.ignore_index}."
            )
        self.segmentation = WeightedDiceCELoss() if segmentation is None else segmentation
        self.level_set, self.level_set_weight = level_set, level_set_weight
        self.mumford_shah, self.mumford_shah_weight = mumford_shah, mumford_shah_weight
        self.distance, self.distance_weight = distance, distance_weight

    def forward(self, input: Tensor, target: Tensor, weight: Tensor, image: Tensor) -> Tensor:
        """Sum of `parts`, whose arguments it takes."""
        return torch.stack(list(self.parts(input, target, weight, image).values())).sum()

    def parts(self, input: Tensor, target: Tensor, weight: Tensor, image: Tensor) -> dict[str, Tensor]:
        """Weighted terms by name, for logging; their sum is the loss.

        Args:
            input: scores `(B, K, *spatial)`, and after them the K - 1 level functions of a
                `SignedDistanceHead`, where the network has one.
            target: class probabilities `(B, K, *spatial)`.
            weight: `(B, 1, *spatial)`, 1 where a person labelled and less elsewhere.
            image: `(B, C, *spatial)`.

        Returns:
            `segmentation` and, where there are such losses, `level_set`, `mumford_shah` and `distance`:
            scalars.
        """
        input, phi = input[:, : target.shape[1]], input[:, target.shape[1] :]
        parts = {"segmentation": self.segmentation(input, target, weight)}
        if self.level_set is not None:
            label = torch.where(weight < _CERTAIN, _IGNORED, target.argmax(1, keepdim=True))
            parts["level_set"] = self.level_set_weight * self.level_set(input, label)
        if self.mumford_shah is not None:
            parts["mumford_shah"] = self.mumford_shah_weight * self.mumford_shah(
                input, image, weight < _CERTAIN
            )
        if self.distance is not None:
            parts["distance"] = self.distance_weight * self.distance(phi, input, target, weight >= _CERTAIN)
        return parts
