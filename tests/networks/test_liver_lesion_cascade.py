"""The cascade's decision against the two stages done one after the other."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

from monai_levelset.networks import InsideScaled, LiverLesionCascade, LiverLesionInferer, SpaceToDepthUNet
from monai_levelset.networks.liver_lesion_cascade import cascade_scores


class Above(nn.Module):
    """Object where the centre channel exceeds a threshold."""

    def __init__(self, threshold: float, sign: float = 1.0) -> None:
        super().__init__()
        self.threshold, self.sign = threshold, sign

    def forward(self, image: Tensor) -> Tensor:
        score = self.sign * (image[:, image.shape[1] // 2, None] - self.threshold)
        return torch.cat([-score, score], 1)


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_the_largest_score_is_the_decision_of_both_stages(seed: int) -> None:
    torch.manual_seed(seed)
    liver, lesion = torch.randn(2, 2, 5, 6), torch.randn(2, 2, 5, 6)
    expected = torch.where(liver.argmax(1) == 0, 0, 1 + lesion.argmax(1))
    assert torch.equal(cascade_scores(liver, lesion).argmax(1), expected)


def test_a_stack_of_slices() -> None:
    """Liver above 0.3; a lesion is darker than 0.5 there, and what is dark outside is none."""
    cascade = LiverLesionCascade(Above(0.3), Above(0.5, -1.0))
    image = torch.tensor([0.1, 0.4, 0.6]).expand(1, 3, 4, 3)
    assert cascade(image).argmax(1)[0, 0].tolist() == [0, 2, 1]


def test_gradients_reach_both_networks() -> None:
    cascade = LiverLesionCascade(SpaceToDepthUNet(3, 2, (4, 8)), InsideScaled(SpaceToDepthUNet(3, 2, (4, 8))))
    cascade(torch.rand(1, 3, 8, 8)).square().sum().backward()
    for network in (cascade.liver, cascade.lesion):
        assert any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in network.parameters())


@pytest.fixture
def volume() -> Tensor:
    """A liver of 10 x 10 x 4 at 0.8 with a lesion of 3 x 3 x 2 at 0.4, and a small bright organ beside it."""
    image = torch.zeros(1, 1, 24, 20, 6)
    image[..., 2:12, 3:13, 1:5] = 0.8
    image[..., 5:8, 5:8, 2:4] = 0.4
    image[..., 15:20, 3:8, 1:5] = 0.9
    return image


class Cascade(LiverLesionCascade):
    def __init__(self) -> None:
        super().__init__(Above(0.6), Above(0.6, -1.0))


def test_a_volume(volume: Tensor) -> None:
    """The lesion, a hole of what the first network finds, is filled; the smaller organ goes."""
    found = LiverLesionInferer(slices=4)(volume, Cascade()).argmax(1)[0]
    expected = torch.zeros(24, 20, 6, dtype=torch.long)
    expected[2:12, 3:13, 1:5] = 1
    expected[5:8, 5:8, 2:4] = 2
    assert torch.equal(found, expected)


@pytest.mark.parametrize("window", [(10, 10), (4, 4), (16, 12), None])
def test_the_window_changes_nothing_for_networks_without_surroundings(
    volume: Tensor, window: tuple[int, int] | None
) -> None:
    """Also one smaller than the liver, which is enlarged."""
    whole = LiverLesionInferer()(volume, Cascade())
    assert torch.equal(LiverLesionInferer(window=window)(volume, Cascade()).argmax(1), whole.argmax(1))


def test_lesions_reach_into_the_margin() -> None:
    image = torch.zeros(1, 1, 12, 12, 3)
    image[..., 3:9, 3:9, :] = 0.8
    image[..., 8:11, 4:6, :] = 0.4  # at the surface, missed by the first network
    for margin, seen in ((0, 0), (1, 2), (3, 6)):
        found = LiverLesionInferer(margin=margin)(image, LiverLesionCascade(Above(0.6), Dark()))
        assert int((found.argmax(1)[..., 1] == 2).sum()) == seen


class Dark(nn.Module):
    """What is neither outside (0 or the floor) nor bright."""

    def forward(self, image: Tensor) -> Tensor:
        x = image[:, 1:2]
        dark = ((x > 0.1) & (x < 0.6)).float()
        return torch.cat([1 - dark, dark], 1)


def test_a_volume_without_liver_is_empty() -> None:
    scores = LiverLesionInferer(margin=2, window=(8, 8))(torch.zeros(2, 1, 16, 16, 3), Cascade())
    assert scores.shape == (2, 3, 16, 16, 3)
    assert not scores.argmax(1).any()


def test_inside_scaled_is_relative_to_the_mean_inside() -> None:
    image = torch.zeros(2, 1, 2, 2)
    image[0, 0, 0] = torch.tensor([0.4, 0.6])
    found = InsideScaled(nn.Identity(), scale=5.0)(image)
    np.testing.assert_allclose(found[0, 0], [[-0.5, 0.5], [0, 0]], atol=1e-6)
    assert torch.equal(found[1], torch.zeros(1, 2, 2))
    brighter = torch.where(image > 0, image + 0.2, 0)
    torch.testing.assert_close(InsideScaled(nn.Identity(), scale=5.0)(brighter), found)
