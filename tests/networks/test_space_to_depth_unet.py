"""The U-Net with lossless pooling."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from monai_levelset.networks import SpaceToDepthUNet


def network(**changes: object) -> SpaceToDepthUNet:
    torch.manual_seed(0)
    return SpaceToDepthUNet(**{"in_channels": 2, "out_channels": 3, "channels": (4, 8, 16), **changes}).eval()


@given(st.integers(1, 21), st.integers(1, 21))
def test_any_size(height: int, width: int) -> None:
    with torch.no_grad():
        assert network()(torch.rand(2, 2, height, width)).shape == (2, 3, height, width)


def test_parameters_by_hand() -> None:
    blocks = [(2, 4), (16, 8), (32, 16), (4 + 2, 4), (8 + 4, 8)]
    expected = sum(9 * i * o + 9 * o * o + 4 * o for i, o in blocks) + 4 * 3 + 3
    assert sum(p.numel() for p in network().parameters()) == expected


def test_pooling_and_unpooling_lose_nothing() -> None:
    """With every block the identity on the channels it is given, the image comes out as it went in."""
    image = torch.rand(1, 3, 8, 12)
    deep = F.pixel_unshuffle(F.pixel_unshuffle(image, 2), 2)
    assert torch.equal(F.pixel_shuffle(F.pixel_shuffle(deep, 2), 2), image)
    assert (
        F.pixel_unshuffle(image, 2)[0, :4].flatten().sort().values.equal(image[0, 0].flatten().sort().values)
    )


def test_a_single_pixel_reaches_the_coarsest_level() -> None:
    """Max-pooling would hide a pixel behind its brighter neighbour; here each changes the output."""
    net, image = network(norm=("group", {"num_groups": 4})), torch.rand(1, 2, 8, 8)
    image.requires_grad_(True)
    net(image)[0, :, 0, 0].sum().backward()
    assert image.grad is not None
    assert (image.grad.abs().amax(1) > 0).all()


def test_every_parameter_is_trained() -> None:
    net = network(bias_field=True)
    net(torch.rand(2, 2, 16, 16)).square().sum().backward()
    untouched = [name for name, p in net.named_parameters() if p.grad is None or p.grad.abs().max() == 0]
    assert untouched == []


@torch.no_grad()
def test_the_bias_field_is_flat_at_the_start() -> None:
    scores = network(bias_field=True)(torch.rand(2, 2, 9, 9))
    assert scores.shape == (2, 4, 9, 9)
    assert scores[:, -1].abs().max() == 0
    assert scores[:, :-1].abs().max() > 0


@torch.no_grad()
def test_a_shift_by_the_pooling_factor_shifts_the_output() -> None:
    net, image = network(norm="batch"), torch.rand(1, 2, 64, 64)
    shifted = torch.roll(image, (4, 8), (2, 3))
    found, expected = net(shifted), torch.roll(net(image), (4, 8), (2, 3))
    torch.testing.assert_close(found[..., 28:40, 28:40], expected[..., 28:40, 28:40])


@torch.no_grad()
def test_padding_repeats_the_border() -> None:
    net, image = network(), torch.rand(1, 2, 5, 7)
    padded = F.pad(image, [0, 1, 0, 3], mode="replicate")
    torch.testing.assert_close(net(image), net(padded)[..., :5, :7])


@torch.no_grad()
def test_images_of_a_batch_do_not_meet() -> None:
    net, batch = network().train(), torch.rand(3, 2, 8, 8)
    torch.testing.assert_close(net(batch)[1:2], net(batch[1:2]))


@torch.no_grad()
@pytest.mark.parametrize("size", [(16, 16), (13, 18)])
def test_script_and_channels_last(size: tuple[int, int]) -> None:
    net, image = network(bias_field=True), torch.rand(2, 2, *size)
    torch.testing.assert_close(torch.jit.script(net)(image), net(image))
    last = net.to(memory_format=torch.channels_last)
    torch.testing.assert_close(last(image.to(memory_format=torch.channels_last)), net(image))


@torch.no_grad()
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")  # torch's check of the size in its norms
@pytest.mark.parametrize("norm", ["batch", "instance", ("group", {"num_groups": 2})])
def test_norms_and_tracing(norm: object) -> None:
    net, image = network(norm=norm), torch.rand(1, 2, 10, 7)
    torch.testing.assert_close(torch.jit.trace(net, image)(image), net(image))


@torch.no_grad()
def test_autocast() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert network()(torch.rand(1, 2, 8, 8)).isfinite().all()


@pytest.mark.parametrize("channels", [(), (8,), (4, 6), (0, 4), (-4, 4)])
def test_widths(channels: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="two or more multiples of 4"):
        network(channels=channels)
