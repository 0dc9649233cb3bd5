"""Dice and cross entropy with weights of voxels."""

from __future__ import annotations

import pytest
import torch
from monai.losses import DiceLoss
from torch import nn

from monai_levelset.losses import WeightedDiceCELoss


def problem(classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(2, classes, 5, 6, generator=generator, dtype=torch.float64)
    target = torch.randn(2, classes, 5, 6, generator=generator, dtype=torch.float64).softmax(1)
    return scores, target


def test_without_weights_it_is_the_mean_of_torch_s_and_monai_s_losses() -> None:
    scores, target = problem()
    dice = DiceLoss(softmax=True, squared_pred=True, batch=True, smooth_nr=1.0, smooth_dr=1.0)
    expected = (nn.functional.cross_entropy(scores, target) + dice(scores, target)) / 2
    torch.testing.assert_close(WeightedDiceCELoss()(scores, target), expected)


def test_by_hand() -> None:
    """Two voxels, two classes, p = 1/2 everywhere; the first voxel weighs 1, the second 1/2."""
    target = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).view(1, 2, 1, 2)
    weight = torch.tensor([1.0, 0.5]).view(1, 1, 1, 2)
    cross_entropy = 1.5 * torch.log(torch.tensor(2.0)) / 2
    first = (2 * 0.5 + 1) / (0.25 + 0.125 + 1 + 1)
    second = (2 * 0.25 + 1) / (0.25 + 0.125 + 0.5 + 1)
    expected = (cross_entropy + 1 - (first + second) / 2) / 2
    torch.testing.assert_close(WeightedDiceCELoss()(torch.zeros(1, 2, 1, 2), target, weight), expected)


def test_voxels_of_weight_0_have_no_influence_and_no_gradient() -> None:
    scores, target = problem()
    weight = torch.ones(2, 1, 5, 6, dtype=torch.float64)
    weight[1] = 0
    scores.requires_grad_()
    loss = WeightedDiceCELoss()(scores, target, weight)
    loss.backward()
    assert scores.grad is not None
    assert float(scores.grad[1].abs().max()) == 0 < float(scores.grad[0].abs().max())
    other = torch.where(weight > 0, target, 1 - target)
    torch.testing.assert_close(WeightedDiceCELoss()(scores, other, weight), loss)


def test_gradients_are_those_of_finite_differences() -> None:
    scores, target = problem(2)
    weight = torch.rand(2, 1, 5, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    loss = WeightedDiceCELoss()
    assert torch.autograd.gradcheck(lambda s: loss(s, target, weight), scores.requires_grad_())


def test_half_precision_scores_are_widened() -> None:
    scores, target = problem()
    found = WeightedDiceCELoss()(scores.half(), target.float())
    assert found.dtype is torch.float32
    torch.testing.assert_close(
        found, WeightedDiceCELoss()(scores.float(), target.float()), atol=1e-3, rtol=1e-3
    )


def test_what_does_not_fit_is_named() -> None:
    scores, target = problem()
    with pytest.raises(ValueError, match="class probabilities of the same shape"):
        WeightedDiceCELoss()(scores, target[:, :1])
    with pytest.raises(ValueError, match="weights with one channel"):
        WeightedDiceCELoss()(scores, target, target)
    with pytest.raises(ValueError, match="smooth"):
        WeightedDiceCELoss(smooth=0)
