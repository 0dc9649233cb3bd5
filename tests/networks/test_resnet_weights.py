"""ImageNet weights: torchvision's files, more channels, a ResNet-101 from a ResNet-50."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from monai_levelset.data import DataError
from monai_levelset.networks import DilatedResNet, load_imagenet_weights
from monai_levelset.networks.resnet_weights import with_channels


def network(channels: int = 3, name: Any = "resnet50", **changes: Any) -> DilatedResNet:
    return DilatedResNet(channels, name, **{"width": 0.125, **changes}).eval()


def trained(name: Any = "resnet50") -> DilatedResNet:
    """A network whose norms do something."""
    torch.manual_seed(1)
    net = network(name=name, output_stride=32)
    for key, value in net.state_dict().items():
        if value.ndim == 1:
            value.uniform_(0.5, 1) if key.endswith(("var", "weight")) else value.normal_()
    return net


def torchvision(path: Path, name: Any = "resnet50") -> DilatedResNet:
    """Write a state dict as torchvision does: with a classifier, and as its oldest files without counts."""
    net = trained(name)
    state = {k: v for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    torch.save(state | {"fc.weight": torch.rand(10, 256), "fc.bias": torch.rand(10)}, path)
    return net


@torch.no_grad()
@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "resnet101"])
def test_torchvision_layout(name: str, tmp_path: Path) -> None:
    source, net = torchvision(tmp_path / "r.pth", name), network(name=name)
    load_imagenet_weights(net, tmp_path / "r.pth", image_channels=3)
    image = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(net(image)[2], source(image)[2])
    expected = source(image)[4]
    torch.testing.assert_close(net(image)[4][..., ::4, ::4] / expected.max(), expected / expected.max())


@torch.no_grad()
def test_maps_of_clicks_start_without_influence(tmp_path: Path) -> None:
    source, net = torchvision(tmp_path / "r.pth"), network(5)
    load_imagenet_weights(net, tmp_path / "r.pth", image_channels=3)
    image = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(net(torch.cat([image, torch.rand(2, 2, 32, 32)], 1))[0], source(image)[0])


def test_maps_of_clicks_are_learnt(tmp_path: Path) -> None:
    torchvision(tmp_path / "r.pth")
    net = network(5)
    load_imagenet_weights(net, tmp_path / "r.pth", image_channels=3)
    net(torch.rand(2, 5, 32, 32))[4].square().mean().backward()
    assert net.conv1.weight.grad is not None
    assert (net.conv1.weight.grad.abs().amax((0, 2, 3)) > 0).all()


@torch.no_grad()
def test_grey_image_is_a_repeated_one(tmp_path: Path) -> None:
    source, net = torchvision(tmp_path / "r.pth"), network(3)
    load_imagenet_weights(net, tmp_path / "r.pth", image_channels=1)
    grey, maps = torch.rand(1, 1, 32, 32), torch.rand(1, 2, 32, 32)
    torch.testing.assert_close(net(torch.cat([grey, maps], 1))[0], source(grey.expand(1, 3, 32, 32))[0])


@torch.no_grad()
def test_resnet101_starts_as_the_resnet50(tmp_path: Path) -> None:
    torchvision(tmp_path / "r.pth")
    fifty, more = network(), network(name="resnet101")
    for net in (fifty, more):
        load_imagenet_weights(net, tmp_path / "r.pth", image_channels=3)
    image = torch.rand(2, 3, 40, 56)
    for a, b in zip(fifty(image), more(image), strict=True):
        assert torch.equal(a, b)
    for i in range(6, 23):
        block = more.layer3[i]
        assert not block.bn3.weight.any()
        assert block.conv1.weight.any()


def test_the_added_blocks_learn(tmp_path: Path) -> None:
    torchvision(tmp_path / "r.pth")
    net = network(name="resnet101")
    load_imagenet_weights(net, tmp_path / "r.pth", image_channels=3)
    net(torch.rand(1, 3, 32, 32))[4].square().mean().backward()
    assert all(net.layer3[i].bn3.weight.grad.any() for i in range(6, 23))


def test_the_backbone_of_a_network(tmp_path: Path) -> None:
    source = torchvision(tmp_path / "r.pth")
    whole = nn.Module()
    whole.backbone = network()
    load_imagenet_weights(whole, tmp_path / "r.pth", image_channels=3)
    assert torch.equal(whole.backbone.layer1[0].conv1.weight, source.layer1[0].conv1.weight)


def test_safetensors(tmp_path: Path) -> None:
    file, net = tmp_path / "r.safetensors", network()
    with pytest.raises(DataError, match="r.safetensors: the weights do not exist"):
        load_imagenet_weights(net, file, image_channels=3)
    safetensors = pytest.importorskip("safetensors.torch")
    source = trained()
    safetensors.save_file(source.state_dict(), file)
    load_imagenet_weights(net, file, image_channels=3)
    assert torch.equal(net.conv1.weight, source.conv1.weight)
    file.write_bytes(b"no weights")
    with pytest.raises(DataError, match="r.safetensors: not a file of safetensors"):
        load_imagenet_weights(net, file, image_channels=3)


def test_safetensors_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "safetensors.torch", None)
    (tmp_path / "r.safetensors").touch()
    with pytest.raises(DataError, match="needs the package safetensors. Install it, or take a .pth"):
        load_imagenet_weights(network(), tmp_path / "r.safetensors", image_channels=3)


def test_weights_of_another_network(tmp_path: Path) -> None:
    torchvision(tmp_path / "r.pth", "resnet34")
    net = network()
    before = net.conv1.weight.clone()
    with pytest.raises(DataError, match="r.pth: these are weights of another network: .* and .* more. Give"):
        load_imagenet_weights(net, tmp_path / "r.pth", image_channels=3)
    assert torch.equal(net.conv1.weight, before)
    with pytest.raises(DataError, match="the checkpoint does not exist"):
        load_imagenet_weights(net, tmp_path / "none.pth", image_channels=3)
    with pytest.raises(ValueError, match="Linear is no DilatedResNet and has none"):
        load_imagenet_weights(nn.Linear(1, 1), tmp_path / "r.pth", image_channels=3)


@pytest.mark.parametrize(("channels", "image_channels"), [(5, 2), (2, 3), (3, 0)])
def test_bad_channels(channels: int, image_channels: int) -> None:
    weight: Tensor = torch.rand(4, 3, 7, 7)
    with pytest.raises(ValueError, match="must be 1 or 3, and not more than"):
        with_channels(weight, channels, image_channels)
