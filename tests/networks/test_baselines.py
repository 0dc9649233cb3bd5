"""PSPNet, DeepLabv3+ and U-Net, which the deep level set is compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from torch import Tensor, nn

from monai_levelset.networks import (
    DeepLabV3Plus,
    DilatedResNet,
    PSPNet,
    baseline_network,
    load_imagenet_weights,
)
from monai_levelset.networks.baselines import BaselineName

each = pytest.mark.parametrize("name", get_args(BaselineName))
each_resnet = pytest.mark.parametrize("name", ["pspnet", "deeplabv3plus"])


def network(name: Any, in_channels: int = 1, width: float = 0.125, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return baseline_network(name, in_channels, 2, encoder="resnet18", width=width)


def image(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@each
@settings(max_examples=8)
@given(height=st.integers(1, 70), width=st.integers(1, 70))
@torch.no_grad()
def test_any_size(name: str, height: int, width: int) -> None:
    assert network(name, 3).eval()(image(2, 3, height, width)).shape == (2, 2, height, width)


@each
@torch.no_grad()
def test_padding_repeats_the_border(name: str) -> None:
    net, x = network(name).eval(), image(1, 1, 36, 49)
    padded = torch.cat([x, x[..., -1:, :].expand(-1, -1, 5, -1)], 2)
    torch.testing.assert_close(net(padded)[..., :36, :], net(x))


@each
@pytest.mark.parametrize("batch", [1, 2])
def test_gradient_reaches_every_parameter(name: str, batch: int) -> None:
    net = network(name).train()
    target = torch.zeros(batch, 61, 50, dtype=torch.long)
    target[:, 10:40, 20:45] = 1
    nn.functional.cross_entropy(net(image(batch, 1, 61, 50)), target).backward()
    assert [key for key, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []
    assert all(p.grad.isfinite().all() for p in net.parameters() if p.grad is not None)


@each
def test_a_disc_is_learnt(name: str) -> None:
    net, rows = network(name, width=0.25).train(), torch.arange(64.0)
    disc = ((rows[:, None] - 27) ** 2 + (rows - 36) ** 2 < 17**2).long()[None]
    x = disc[:, None] + 0.5 * image(1, 1, 64, 64)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, 60, 0.9)  # the norms' averages catch up
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), disc).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        found = net.eval()(x).argmax(1)
    assert 2 * (found * disc).sum() / (found.sum() + disc.sum()) > 0.95


@each
@torch.no_grad()
def test_weights_go_from_one_to_another(name: str, tmp_path: Path) -> None:
    net, other, x = network(name).eval(), network(name, seed=1).eval(), image(1, 1, 40, 40)
    assert not torch.allclose(net(x), other(x))
    torch.save(net.state_dict(), tmp_path / "weights.pt")
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert torch.equal(net(x), other(x))


@each
@torch.no_grad()
def test_trace_of_any_size(name: str) -> None:
    net = network(name).eval()
    traced = torch.jit.trace(net, image(1, 1, 33, 32), check_trace=False)
    for shape in ((1, 1, 33, 32), (3, 1, 32, 50), (1, 1, 64, 41)):
        torch.testing.assert_close(traced(image(*shape)), net(image(*shape)))


@each
@torch.no_grad()
def test_scores_are_plain_float32(name: str) -> None:
    net = network(name).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = net(MetaTensor(image(1, 1, 30, 30)))
    assert type(found) is Tensor
    assert found.dtype == torch.float32


@each_resnet
def test_imagenet_weights_go_into_the_backbone(name: str, tmp_path: Path) -> None:
    source: Any = DilatedResNet(3, "resnet18", width=0.125)
    net = network(name, 4)
    torch.save(source.state_dict(), tmp_path / "resnet.pth")
    load_imagenet_weights(net, tmp_path / "resnet.pth", image_channels=3)
    backbone: Any = net.backbone
    assert torch.equal(backbone.layer4[1].conv2.weight, source.layer4[1].conv2.weight)
    assert not backbone.conv1.weight[:, 3:].any()


def test_the_known_sizes() -> None:
    """By hand, convolution by convolution. MONAI does not halve the channels on the U-Net's last way up."""
    psp = PSPNet(3, 2, "resnet18")
    assert count(psp.head) == 4 * 512 * 128 + 9 * 1024 * 512 + 2 * 512 + 512 * 2 + 2
    deeplab, n = DeepLabV3Plus(3, 2, "resnet18"), 256
    aspp = 512 * n * (1 + 3 * 9) + 4 * 2 * n + 512 * n + n + 5 * n * n + 2 * n
    decoder = 64 * 48 + 2 * 48 + 9 * (n + 48) * n + 2 * n + 9 * n * n + 2 * n + n * 2 + 2
    assert count(deeplab) - count(deeplab.backbone) == aspp + decoder
    levels = [(1, 64), (64, 128), (128, 256), (256, 512), (512, 1024)]
    down = sum(9 * (a + b) * b + 2 * b + 4 * b for a, b in levels)
    up = sum(4 * a * b + b + 9 * (2 * b + b) * b + 2 * b + 4 * b for b, a in levels[1:])
    last = 4 * 128 * 64 + 64 + 9 * 64 * 64
    assert count(baseline_network("unet", 1, 2)) == down + up + last + 64 * 2 + 2


@torch.no_grad()
@pytest.mark.parametrize(("stride", "rates"), [(8, [12, 24, 36]), (16, [6, 12, 18]), (32, [3, 6, 9])])
def test_dilations_follow_the_stride(stride: Any, rates: list[int]) -> None:
    net = DeepLabV3Plus(1, 2, "resnet18", output_stride=stride, width=0.125, head_channels=8).eval()
    convs = [m for m in net.aspp.modules() if isinstance(m, nn.Conv2d)]
    assert [m.dilation[0] for m in convs] == [1, *rates]
    assert net(image(1, 1, 40, 30)).shape == (1, 2, 40, 30)


@each_resnet
def test_the_resnet_is_that_of_the_arguments(name: Any) -> None:
    net: Any = baseline_network(
        name, 1, 2, encoder="resnet50", output_stride=32, width=0.125, stride_on_first=True
    )
    backbone = net.backbone
    assert (backbone.name, backbone.output_stride, backbone.stride_on_first) == ("resnet50", 32, True)
    usual: Any = network(name)
    assert usual.backbone.output_stride == {"pspnet": 8, "deeplabv3plus": 16}[name]


@each_resnet
@torch.no_grad()
def test_every_place_sees_the_whole_image(name: str) -> None:
    net, x = network(name).eval(), image(1, 1, 257, 257)
    changed = x.clone()
    changed[..., 225:, 225:] += 5
    assert (net(changed) != net(x)).any(1).float().mean() > 0.9


def test_a_config_names_one() -> None:
    config = {
        "_target_": "monai_levelset.networks.baseline_network",
        "name": "deeplabv3plus",
        "in_channels": 5,
        "out_channels": 2,
        "encoder": "resnet18",
        "width": 0.125,
    }
    assert isinstance(ConfigParser({"network": config}).get_parsed_content("network"), DeepLabV3Plus)


def test_unknown_names() -> None:
    with pytest.raises(ValueError, match="Unknown network 'fcn': choose one of pspnet, deeplabv3plus, unet"):
        network("fcn")
    with pytest.raises(ValueError, match="Unknown network 'vgg': choose one of resnet18"):
        baseline_network("pspnet", 1, 2, encoder="vgg")  # type: ignore[arg-type]
