"""Items keep their own value in a sum of losses."""

from __future__ import annotations

import pytest
import torch
from monai.losses import DiceCELoss, DiceLoss
from torch import nn

from monai_levelset.losses import PerItemLoss


def parts() -> list[nn.Module]:
    return [nn.CrossEntropyLoss(reduction="none"), DiceLoss(softmax=True, reduction="none")]


def drawn() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    label = (torch.rand(4, 1, 6, 5, generator=generator) > 0.6).float()
    return torch.randn(4, 2, 6, 5, generator=generator), torch.cat([1 - label, label], 1)


def test_each_item_has_the_value_it_has_alone() -> None:
    scores, target = drawn()
    loss = PerItemLoss(parts(), weights=[1.0, 0.5])
    for k, value in enumerate(loss(scores, target)):
        alone = DiceCELoss(softmax=True, lambda_dice=0.5, lambda_ce=1.0)(scores[k : k + 1], target[k : k + 1])
        torch.testing.assert_close(value, alone)


def test_values_per_item_are_taken_as_they_are() -> None:
    class Sums(nn.Module):
        def forward(self, scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            return (scores * target).flatten(1).sum(1)

    scores, target = drawn()
    torch.testing.assert_close(
        PerItemLoss([Sums()], [3.0])(scores, target), 3 * (scores * target).sum((1, 2, 3))
    )


def test_a_loss_that_averages_over_items_is_refused() -> None:
    with pytest.raises(ValueError, match=r'CrossEntropyLoss averages over the items: set `reduction="none"`'):
        PerItemLoss([nn.CrossEntropyLoss()])(*drawn())


def test_as_many_weights_as_losses() -> None:
    with pytest.raises(ValueError, match="2 losses need as many weights, got 1"):
        PerItemLoss(parts(), [1.0])


def test_the_mean_over_items() -> None:
    scores, target = drawn()
    loss = PerItemLoss(parts(), reduction="mean")(scores, target)
    torch.testing.assert_close(loss, PerItemLoss(parts())(scores, target).mean())
    with pytest.raises(ValueError, match="none or mean"):
        PerItemLoss(parts(), reduction="sum")
