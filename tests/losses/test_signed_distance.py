"""The losses of a signed-distance head, against distances and formulas written out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from monai_levelset.levelset import signed_distance
from monai_levelset.losses import MeanTeacherLoss, SignedDistanceLoss
from monai_levelset.networks import SignedDistanceHead


def squares() -> torch.Tensor:
    """Three classes: two squares, in two items."""
    label = torch.zeros(2, 16, 16, dtype=torch.long)
    label[0, 2:8, 2:8], label[0, 9:14, 6:12], label[1, 4:12, 4:12] = 1, 2, 1
    return nn.functional.one_hot(label, 3).movedim(-1, 1).float()


def test_it_is_the_sum_of_both_terms() -> None:
    torch.manual_seed(0)
    target, phi, scores = squares(), torch.rand(2, 2, 16, 16) - 0.5, torch.randn(2, 3, 16, 16)
    labeled = torch.rand(2, 1, 16, 16) > 0.3
    distances = [[signed_distance(target[b : b + 1, c : c + 1])[0, 0] for c in (1, 2)] for b in (0, 1)]
    expected_phi = torch.stack([torch.stack(pair) for pair in distances]).div(5).clamp(-1, 1)
    both = labeled.expand(2, 2, 16, 16)
    learned = (phi - expected_phi)[both].square().mean()
    agreed = ((20 * phi).sigmoid() - scores.softmax(1)[:, 1:]).square().mean()
    loss = SignedDistanceLoss(reach=5, steepness=20, consistency=0.7)
    torch.testing.assert_close(loss(phi, scores, target, labeled), learned + 0.7 * agreed)


def test_true_distances_and_sharp_scores_cost_nothing() -> None:
    target = squares()
    phi = signed_distance(target[:, 1:].flatten(0, 1).unsqueeze(1)).view(2, 2, 16, 16) / 10
    loss = SignedDistanceLoss(reach=10, steepness=1000)
    everywhere = torch.ones(2, 1, 16, 16, dtype=torch.bool)
    assert float(loss(phi.clamp(-1, 1), 40 * target, target, everywhere)) < 1e-6


def test_targets_without_label_are_not_learned() -> None:
    target, phi = squares(), torch.zeros(2, 2, 16, 16, requires_grad=True)
    labeled = torch.zeros(2, 1, 16, 16, dtype=torch.bool)
    loss = SignedDistanceLoss(consistency=0)(phi, torch.zeros(2, 3, 16, 16), target, labeled)
    loss.backward()
    assert loss.item() == 0
    assert phi.grad is not None
    assert float(phi.grad.abs().max()) == 0


def test_a_network_learns_distances_from_half_of_the_labels() -> None:
    torch.manual_seed(0)
    target = squares()
    network = SignedDistanceHead(nn.Conv2d(3, 5, 1), classes=3)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
    loss = MeanTeacherLoss(distance=SignedDistanceLoss(reach=3, steepness=5))
    weight = torch.tensor([1.0, 0.0]).view(2, 1, 1, 1).expand(2, 1, 16, 16)
    first = None
    for _ in range(60):
        parts = loss.parts(network(target), target, weight, target)
        optimizer.zero_grad()
        sum(parts.values()).backward()
        optimizer.step()
        first = parts["distance"].item() if first is None else first
    assert parts["distance"].item() < 0.5 * first
    phi = network(target)[:, 3:]
    assert torch.equal(phi > 0, target[:, 1:] > 0.5)


@pytest.mark.parametrize("name", ["reach", "steepness", "consistency"])
def test_numbers_out_of_range_are_named(name: str) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        SignedDistanceLoss(**{name: -1.0})


def test_channels_that_do_not_fit_are_named() -> None:
    target, everywhere = squares(), torch.ones(2, 1, 16, 16, dtype=torch.bool)
    with pytest.raises(ValueError, match="all but the first channel"):
        SignedDistanceLoss()(torch.zeros(2, 3, 16, 16), target, target, everywhere)
    with pytest.raises(ValueError, match="at least 2, got 1"):
        SignedDistanceHead(nn.Identity(), classes=1)
