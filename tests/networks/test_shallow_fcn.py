"""The shallow FCN: parameter counts, sizes, bilinear up-convolutions, equivariance."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from monai_levelset.networks import ShallowFCN

LIVER = {"channels": (16, 32, 64), "pools": (2, 2, 2), "ups": ((16, 8),)}


def count(network: ShallowFCN) -> int:
    return sum(p.numel() for p in network.parameters())


def seeded(**arguments) -> ShallowFCN:
    torch.manual_seed(0)
    return ShallowFCN(**arguments).eval()


@torch.no_grad()
def upsampled(network: ShallowFCN, coarse: Tensor) -> Tensor:
    return network.up(coarse.expand(1, 2, *coarse.shape[-2:]))[0, 0]


def test_parameter_counts_of_the_paper() -> None:
    assert count(ShallowFCN()) == 51_238
    assert count(ShallowFCN(**LIVER)) == 23_938


def test_parameter_count_by_hand() -> None:
    widths = (1, 16, 32, 32, 32, 32, 64)
    convolutions = sum(9 * a * b + b for a, b in pairwise(widths))
    assert count(ShallowFCN()) == convolutions + (64 * 2 + 2) + 2 * 9 + 2 * 25


def test_all_parameters_are_trainable_and_get_a_gradient() -> None:
    network = seeded()
    torch.nn.functional.cross_entropy(
        network(torch.rand(2, 1, 36, 36)), torch.randint(2, (2, 36, 36))
    ).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


@settings(max_examples=25)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([{}, LIVER]), st.integers(1, 3))
def test_output_size_is_input_size(height: int, width: int, arguments: dict, batch: int) -> None:
    output = ShallowFCN(**arguments)(torch.rand(batch, 1, height, width))
    assert output.shape == (batch, 2, height, width)
    assert output.isfinite().all()


def test_padding_does_not_touch_images_of_a_fitting_size() -> None:
    network, image = seeded(), torch.rand(1, 1, 48, 42)
    padded = torch.nn.functional.pad(image[..., :45, :40], [0, 2, 0, 3], mode="replicate")
    with torch.no_grad():
        assert torch.equal(network(image[..., :45, :40]), network(padded)[..., :45, :40])


@pytest.mark.parametrize("arguments", [{}, LIVER], ids=["ventricle", "liver"])
def test_upsampling_keeps_a_constant(arguments: dict) -> None:
    network = seeded(**arguments)
    fine, s = upsampled(network, torch.full((12, 9), 3.0)), network.stride
    torch.testing.assert_close(fine[s:-s, s:-s], torch.full_like(fine[s:-s, s:-s], 3.0))


@pytest.mark.parametrize("arguments", [{}, LIVER], ids=["ventricle", "liver"])
@pytest.mark.parametrize("axis", [0, 1])
def test_upsampling_keeps_a_ramp(arguments: dict, axis: int) -> None:
    network = seeded(**arguments)
    s = network.stride
    coarse = torch.arange(12.0).expand(12, 12)
    fine = upsampled(network, coarse if axis == 1 else coarse.T)[2 * s : -2 * s, 2 * s : -2 * s]
    steps = fine.diff(dim=axis)
    torch.testing.assert_close(steps, torch.full_like(steps, 1 / s), atol=1e-5, rtol=0)
    assert fine.diff(dim=1 - axis).abs().max() < 1e-5


def test_torchscript_equals_eager() -> None:
    network = seeded()
    scripted = torch.jit.script(network)
    for size in ((30, 36), (31, 37)):
        image = torch.rand(2, 1, *size)
        with torch.no_grad():
            assert torch.equal(scripted(image), network(image))


@pytest.mark.parametrize("arguments", [{}, LIVER], ids=["ventricle", "liver"])
def test_a_shift_by_the_stride_shifts_the_output(arguments: dict) -> None:
    network = seeded(**arguments)
    s, n = network.stride, 24
    image = torch.rand(1, 1, n * s, n * s)
    with torch.no_grad():
        here, there = network(image), network(image.roll((s, 2 * s), (2, 3)))
    inner = slice(9 * s, (n - 7) * s)  # further from the border than the field of view reaches
    moved = there[..., inner, inner]
    expected = here.roll((s, 2 * s), (2, 3))[..., inner, inner]
    torch.testing.assert_close(moved, expected, atol=1e-5, rtol=1e-4)
    assert moved.std() > 1e-5


@pytest.mark.parametrize("std", [0.01, 0.1])
def test_init_std(std: float) -> None:
    network = seeded(init_std=std)
    weights = torch.cat([p.detach().flatten() for n, p in network.named_parameters() if "weight" in n])
    assert weights.std().item() == pytest.approx(std, rel=0.02)
    assert abs(weights.mean().item()) < std / 50
    assert all(p.abs().max() == 0 for n, p in network.named_parameters() if "bias" in n)


def test_default_start_has_the_variance_of_he_and_no_opinion() -> None:
    network = seeded()
    for layer in network.features:
        if isinstance(layer, torch.nn.Conv2d):
            fan_in = layer.weight[0].numel()
            assert layer.weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.15)
    with torch.no_grad():
        probability = network(torch.randn(2, 1, 60, 60)).softmax(1)
    assert (probability - 0.5).abs().max() < 0.2


def test_start_depends_on_torchs_seed_alone() -> None:
    first, again = seeded(), seeded()
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    torch.manual_seed(1)
    again.reset_parameters()
    assert not torch.equal(first.classify.weight, again.classify.weight)


def test_more_channels_and_classes() -> None:
    assert ShallowFCN(3, 4)(torch.rand(1, 3, 25, 19)).shape == (1, 4, 25, 19)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": (8, 8)}, "One pool per convolution: got 2"),
        ({"pools": (2, 2, 1, 1, 1, 1)}, "must undo the subsampling"),
        ({"ups": ((3, 2), (2, 3))}, "leaves holes"),
    ],
)
def test_refused_layers(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ShallowFCN(**arguments)
