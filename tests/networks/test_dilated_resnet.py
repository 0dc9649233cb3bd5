"""ResNets with dilation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_levelset.networks import DilatedResNet

Size = tuple[int, int]


def network(name: Any = "resnet34", **changes: Any) -> DilatedResNet:
    torch.manual_seed(0)
    net = DilatedResNet(**{"in_channels": 3, "name": name, "width": 0.125, **changes})
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # an untrained norm would hide errors
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return net.eval()


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("resnet18", 11_176_512),
        ("resnet34", 21_284_672),
        ("resnet50", 23_508_032),
        ("resnet101", 42_500_160),
    ],
)
def test_number_of_parameters(name: Any, parameters: int) -> None:
    """Those of torchvision's networks without `fc`."""
    with torch.device("meta"):
        assert sum(p.numel() for p in DilatedResNet(3, name).parameters()) == parameters


@pytest.mark.parametrize("name", ["resnet34", "resnet50"])
def test_names_and_shapes_of_torchvision(name: Any) -> None:
    with torch.device("meta"):
        shapes = {key: tuple(value.shape) for key, value in DilatedResNet(3, name).state_dict().items()}
    assert shapes["conv1.weight"] == (64, 3, 7, 7)
    assert shapes["bn1.running_var"] == (64,)
    assert shapes["layer2.0.downsample.0.weight"] == ((512, 256) if name == "resnet50" else (128, 64)) + (
        1,
        1,
    )
    assert shapes["layer4.2.conv2.weight"] == (512, 512, 3, 3)
    assert ("layer4.2.conv3.weight" in shapes) == (name == "resnet50")
    assert ("layer1.0.downsample.0.weight" in shapes) == (name == "resnet50")
    assert not [key for key in shapes if key.startswith("fc") or key.endswith("conv1.bias")]


@settings(max_examples=10)
@given(st.integers(1, 40), st.integers(1, 40))
@torch.no_grad()
def test_strides_and_channels(height: int, width: int) -> None:
    net = network("resnet18")
    features = net(torch.rand(2, 3, height, width))
    assert tuple(x.shape[1] for x in features) == net.channels
    for x, stride in zip(features, (2, 4, 8, 8, 8), strict=True):
        assert x.shape[2:] == (-(-height // stride), -(-width // stride))


@torch.no_grad()
@pytest.mark.parametrize("size", [(64, 64), (65, 49), (40, 71)])
@pytest.mark.parametrize(
    ("name", "first"), [("resnet34", False), ("resnet50", False), ("resnet50", True), ("resnet101", False)]
)
def test_every_fourth_feature_is_that_of_the_strided_network(name: Any, first: bool, size: Size) -> None:
    image = torch.rand(1, 3, *size, dtype=torch.double)
    strided = network(name, output_stride=32, stride_on_first=first).double()
    expected = strided(image)
    for output_stride in (8, 16):
        net = network(name, output_stride=output_stride, stride_on_first=first).double()
        net.load_state_dict(strided.state_dict())
        found, step = net(image), 32 // output_stride
        torch.testing.assert_close(found[4][..., ::step, ::step], expected[4])
        torch.testing.assert_close(found[3][..., :: max(step // 2, 1), :: max(step // 2, 1)], expected[3])
        torch.testing.assert_close(found[:3], expected[:3])


@torch.no_grad()
def test_where_the_stride_is_matters() -> None:
    image = torch.rand(1, 3, 64, 64)
    assert not torch.allclose(
        network("resnet50")(image)[4], network("resnet50", stride_on_first=True)(image)[4]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "resnet20"}, "Unknown network 'resnet20': choose one of resnet18"),
        ({"output_stride": 4}, "8, 16 or 32, got 4"),
        ({"name": "resnet34", "stride_on_first": True}, "which resnet34 has not"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network(**arguments)
