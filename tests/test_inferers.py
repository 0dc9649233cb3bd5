"""Inference of 2D networks on images and volumes."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor
from monai.inferers import SimpleInferer

from monai_levelset.inferers import QuarterTurnInferer, SliceBatchInferer
from monai_levelset.networks import ShallowFCN


@pytest.fixture
def network() -> ShallowFCN:
    torch.manual_seed(0)
    return ShallowFCN(in_channels=2, out_channels=3, channels=(4, 8), pools=(2, 3)).eval()


@torch.no_grad()
def test_a_slice_of_a_volume_equals_the_slice_alone(network: ShallowFCN) -> None:
    volume = torch.rand(3, 2, 24, 18, 7)
    scores = SliceBatchInferer(slices=4)(volume, network)
    assert scores.shape == (3, 3, 24, 18, 7)
    for k in range(7):
        torch.testing.assert_close(scores[..., k], network(volume[..., k]), atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("slices", [1, 2, 6, 100])
def test_chunks_make_no_difference(network: ShallowFCN, slices: int) -> None:
    volume, sizes = torch.rand(2, 2, 12, 12, 3), []

    def watched(x: torch.Tensor) -> torch.Tensor:
        sizes.append(len(x))
        return network(x)

    scores = SliceBatchInferer(slices=slices)(volume, watched)
    torch.testing.assert_close(scores, SliceBatchInferer()(volume, network), atol=1e-5, rtol=1e-5)
    assert sum(sizes) == 6
    assert max(sizes) <= slices


@torch.no_grad()
def test_an_image_goes_through_as_it_is(network: ShallowFCN) -> None:
    image = torch.rand(5, 2, 24, 18)
    assert torch.equal(SliceBatchInferer(slices=2)(image, network), network(image))


def test_arguments_reach_the_network() -> None:
    volume = torch.rand(1, 1, 4, 4, 3)
    scores = SliceBatchInferer()(volume, lambda x, factor, plus: factor * x + plus, 2, plus=1)
    torch.testing.assert_close(scores, 2 * volume + 1)


def test_meta_tensors() -> None:
    volume = MetaTensor(torch.rand(1, 1, 4, 4, 3))
    scores = SliceBatchInferer(slices=2)(volume, torch.nn.Identity())
    assert torch.equal(torch.as_tensor(scores), volume)


@torch.no_grad()
@pytest.mark.parametrize("slices", [2, 16])
def test_stacked_slices(slices: int) -> None:
    volume = torch.rand(2, 2, 4, 4, 5)
    scores = SliceBatchInferer(slices=slices, stack=3)(volume, torch.nn.Identity())
    assert scores.shape == (2, 6, 4, 4, 5)
    assert torch.equal(scores[:, 1::3], volume)
    assert torch.equal(scores[:, 0::3, ..., 1:], volume[..., :-1])
    assert torch.equal(scores[:, 2::3, ..., :-1], volume[..., 1:])


def test_a_stacked_image_is_its_own_neighbour() -> None:
    image = torch.rand(1, 2, 4, 4)
    scores = SliceBatchInferer(stack=3)(image, torch.nn.Identity())
    assert torch.equal(scores, image.repeat_interleave(3, 1))


def test_even_stack() -> None:
    with pytest.raises(ValueError, match="odd"):
        SliceBatchInferer(stack=2)


def upwards(x: torch.Tensor) -> torch.Tensor:
    """Two classes' scores: what is there, and what lies one row below."""
    return torch.cat([x, x.roll(-1, 2)], 1)


def test_quarter_turns_by_hand() -> None:
    """A pixel of brightness ln 3 gives the one above it 3 of 4; by the turn, the one to its right, too."""
    image = torch.zeros(1, 1, 3, 3)
    image[..., 1, 1] = torch.tensor(3.0).log()
    found = QuarterTurnInferer(SimpleInferer(), quarter_turns=[0, 1])(image, upwards).exp()[0, 1]
    expected = torch.full((3, 3), 0.5)
    expected[1, 1] = 0.25  # the first class has 3 of 4 in both
    expected[0, 1] = (0.75 + 0.5) / 2  # above, in the image as it is
    expected[1, 2] = (0.5 + 0.75) / 2  # to the right, which a turn to the left brings above
    torch.testing.assert_close(found, expected)


@torch.no_grad()
def test_without_turns_the_probabilities_are_the_networks(network: ShallowFCN) -> None:
    volume = torch.rand(2, 2, 12, 18, 3)
    plain = SliceBatchInferer()
    found = QuarterTurnInferer(plain, quarter_turns=[0])(volume, network)
    torch.testing.assert_close(found.softmax(1), plain(volume, network).softmax(1))


@torch.no_grad()
def test_all_four_turns_turn_with_the_volume(network: ShallowFCN) -> None:
    volume = torch.rand(1, 2, 12, 18, 3)
    infer = QuarterTurnInferer(SliceBatchInferer(slices=2), quarter_turns=[0, 1, 2, 3])
    turned = infer(volume.rot90(1, (2, 3)), network)
    torch.testing.assert_close(turned, infer(volume, network).rot90(1, (2, 3)))


def test_a_class_that_is_impossible_stays_a_number() -> None:
    scores = QuarterTurnInferer(SimpleInferer())(
        torch.full((1, 1, 2, 2), 1e4), lambda x: torch.cat([x, -x], 1)
    )
    assert scores.isfinite().all()
    torch.testing.assert_close(scores.softmax(1)[0, :, 0, 0], torch.tensor([1.0, 0.0]))


def test_no_turn_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="empty: give \\[0\\]"):
        QuarterTurnInferer(SimpleInferer(), quarter_turns=[])
