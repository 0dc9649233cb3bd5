"""The head with pyramid pooling."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_levelset.networks import PyramidPoolingHead


def head(**changes: Any) -> PyramidPoolingHead:
    torch.manual_seed(0)
    return PyramidPoolingHead(8, 3, mid_channels=4, **changes).eval()


@settings(max_examples=20)
@given(st.integers(1, 13), st.integers(1, 13))
@torch.no_grad()
def test_any_size(height: int, width: int) -> None:
    assert head()(torch.rand(2, 8, height, width)).shape == (2, 3, height, width)


def test_parameters_by_hand() -> None:
    expected = 4 * 8 * 2 + 9 * 16 * 4 + 2 * 4 + 4 * 3 + 3
    assert sum(p.numel() for p in head().parameters()) == expected


@torch.no_grad()
def test_averages_by_hand() -> None:
    """With the 3 x 3 convolution reading one channel of the averages only, the output is that average."""
    net = head(sizes=(1, 2))
    net.join[0].weight.zero_()
    net.join[0].weight[:, 8 + 4, 1, 1] = 1  # the first channel of the second grid
    net.reduce[1].weight.zero_()
    net.reduce[1].weight[0, 5] = 1
    net.last.weight.fill_(1 / 4)
    features = torch.rand(1, 8, 8, 8)
    found = net(features)[0, 0] * (1 + 1e-5) ** 0.5
    quarters = features[0, 5].reshape(2, 4, 2, 4).mean((1, 3))
    torch.testing.assert_close(found[::7, ::7], quarters)
    torch.testing.assert_close(found[0, 3], 0.625 * quarters[0, 0] + 0.375 * quarters[0, 1])


@torch.no_grad()
def test_every_place_sees_the_whole_image() -> None:
    features = torch.rand(1, 8, 30, 30)
    changed = features.clone()
    changed[..., 29, 29] += 5
    net = head()
    assert (net(changed) != net(features)).any(1).float().mean() > 0.9


def test_one_image_in_training() -> None:
    net = head().train()
    net(torch.rand(1, 8, 5, 5)).square().sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


@torch.no_grad()
def test_the_map_is_float32_under_autocast() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert head()(torch.rand(1, 8, 5, 5)).dtype == torch.float32


@torch.no_grad()
def test_whole_network_in_half_precision() -> None:
    assert head().bfloat16()(torch.rand(1, 8, 5, 5).bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("sizes", [(), (0, 1), (1,) * 9])
def test_bad_sizes(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="`sizes` must be positive, and no more than the 8 channels"):
        head(sizes=sizes)
