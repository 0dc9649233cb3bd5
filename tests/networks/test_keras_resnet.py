"""Keras' ResNet-50 converted, against its graph written out with Keras' own arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from monai_levelset.data import DataError
from monai_levelset.networks import DilatedResNet, load_imagenet_weights
from monai_levelset.networks.keras_resnet import convert_keras_resnet50, read_layers_model

KERAS_MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)
WIDTH = 1 / 16
BLOCKS = {2: "abc", 3: "abcd", 4: "abcdef", 5: "abc"}


def layers() -> dict[str, np.ndarray]:
    """Random weights of a narrow ResNet-50, by Keras' names."""
    random, found = np.random.default_rng(0), {}

    def add(conv: str, norm: str, size: int, inputs: int, outputs: int) -> None:
        found[f"{conv}/kernel"] = random.normal(
            0, (size * size * inputs) ** -0.5, (size, size, inputs, outputs)
        )
        found[f"{conv}/bias"] = random.normal(0, 0.2, outputs)
        for name, low, high in (("gamma", 0.3, 1), ("beta", -1, 1), ("moving_mean", -1, 1)):
            found[f"{norm}/{name}"] = random.uniform(low, high, outputs)
        found[f"{norm}/moving_variance"] = random.uniform(1e-4, 2, outputs)

    inputs = int(64 * WIDTH)
    add("conv1", "bn_conv1", 7, 3, inputs)
    for stage, blocks in BLOCKS.items():
        n = int(32 * WIDTH) * 2 ** (stage - 1)
        for i, block in enumerate(blocks):
            name = f"{stage}{block}_branch"
            add(f"res{name}2a", f"bn{name}2a", 1, inputs, n)
            add(f"res{name}2b", f"bn{name}2b", 3, n, n)
            add(f"res{name}2c", f"bn{name}2c", 1, n, 4 * n)
            if i == 0:
                add(f"res{name}1", f"bn{name}1", 1, inputs, 4 * n)
            inputs = 4 * n
    return {name: array.astype(np.float32) for name, array in found.items()}


def keras(arrays: Mapping[str, np.ndarray], rgb: Tensor) -> Tensor:
    """Keras' graph, the image in [0, 1]: BGR minus its mean, biases, eps 1e-3, stride in the first 1 x 1."""
    w = {name: torch.from_numpy(array).double() for name, array in arrays.items()}

    def conv(x: Tensor, name: str, norm: str, stride: int = 1, padding: int = 0) -> Tensor:
        x = F.conv2d(x, w[f"{name}/kernel"].permute(3, 2, 0, 1), w[f"{name}/bias"], stride, padding)
        mean, variance = w[f"{norm}/moving_mean"], w[f"{norm}/moving_variance"]
        return F.batch_norm(x, mean, variance, w[f"{norm}/gamma"], w[f"{norm}/beta"], eps=1e-3)

    bgr = 255 * rgb.flip(1) - torch.tensor([103.939, 116.779, 123.68]).double().view(3, 1, 1)
    x = F.max_pool2d(F.pad(conv(bgr, "conv1", "bn_conv1", 2, 3).relu(), (1, 1, 1, 1)), 3, 2)
    for stage, blocks in BLOCKS.items():
        for i, block in enumerate(blocks):
            name, stride = f"{stage}{block}_branch", 1 + (i == 0 and stage > 2)
            y = conv(x, f"res{name}2a", f"bn{name}2a", stride).relu()
            y = conv(y, f"res{name}2b", f"bn{name}2b", padding=1).relu()
            y = conv(y, f"res{name}2c", f"bn{name}2c")
            x = (y + (conv(x, f"res{name}1", f"bn{name}1", stride) if i == 0 else x)).relu()
    return x


def network(**changes: Any) -> DilatedResNet:
    return DilatedResNet(3, "resnet50", width=WIDTH, **{"stride_on_first": True, **changes}).eval()


def write(folder: Path, arrays: Mapping[str, np.ndarray], **changes: Any) -> Path:
    """A layers model in two files, cut in the middle of an array as the converter does."""
    weights = [{"name": k, "shape": list(v.shape), "dtype": "float32"} | changes for k, v in arrays.items()]
    data = b"".join(np.ascontiguousarray(v, "<f4").tobytes() for v in arrays.values())
    (folder / "shard1").write_bytes(data[:1001])
    (folder / "shard2").write_bytes(data[1001:])
    content = {"weightsManifest": [{"paths": ["shard1", "shard2"], "weights": weights}]}
    (folder / "model.json").write_text(json.dumps(content))
    return folder / "model.json"


@torch.no_grad()
def test_the_converted_network_is_keras() -> None:
    arrays, image = layers(), torch.rand(2, 3, 48, 65).double()
    state = convert_keras_resnet50(arrays, mean=KERAS_MEAN, std=(1.0, 0.5, 2.0))
    prepared = (image - torch.tensor(KERAS_MEAN).double().view(3, 1, 1)) / torch.tensor([1.0, 0.5, 2.0]).view(
        3, 1, 1
    )
    for output_stride, step in ((32, 1), (8, 4)):
        net = network(output_stride=output_stride)
        net.load_state_dict(state, strict=False)
        found = net.double()(prepared)[4][..., ::step, ::step]
        torch.testing.assert_close(found, keras(arrays, image), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_with_imagenet_mean_and_std_only_the_border_differs(tmp_path: Path) -> None:
    arrays, image = layers(), torch.rand(1, 3, 64, 64).double()
    net = network()
    load_imagenet_weights(net, write(tmp_path, arrays), image_channels=3)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    found = net((image.float() - mean.view(3, 1, 1)) / std.view(3, 1, 1))[0]
    exact = network()
    exact.load_state_dict(convert_keras_resnet50(arrays, mean=KERAS_MEAN, std=(1, 1, 1)), strict=False)
    expected = exact(image.float() - torch.tensor(KERAS_MEAN).view(3, 1, 1))[0]
    torch.testing.assert_close(found[..., 2:-2, 2:-2], expected[..., 2:-2, 2:-2], rtol=1e-4, atol=1e-3)
    assert 1e-3 < (found - expected).abs().max() < 0.02 * expected.abs().max()


def test_read_what_was_written(tmp_path: Path) -> None:
    arrays = layers()
    found = read_layers_model(write(tmp_path, arrays))
    assert list(found) == list(arrays)
    assert all(np.array_equal(found[name], arrays[name]) for name in arrays)


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="model.json: no model.json of a TensorFlow.js layers model"):
        read_layers_model(tmp_path / "model.json")
    path = write(tmp_path, layers(), dtype="uint8")
    with pytest.raises(DataError, match="conv1/kernel is not float32. Take the model uncompressed"):
        read_layers_model(path)
    path = write(tmp_path, layers())
    (tmp_path / "shard2").write_bytes(b"1234")
    with pytest.raises(DataError, match="its files end before conv1/kernel. Copy the folder again"):
        read_layers_model(path)
    (tmp_path / "shard2").unlink()
    with pytest.raises(DataError, match="shard2: cannot be read"):
        read_layers_model(path)
    path.write_text("[]")
    with pytest.raises(DataError, match="no model.json"):
        read_layers_model(path)


def test_layers_that_are_missing_or_wrong() -> None:
    arrays = layers()
    with pytest.raises(DataError, match="'bn4c_branch2b/gamma' with 1 axes, which is missing"):
        convert_keras_resnet50({k: v for k, v in arrays.items() if k != "bn4c_branch2b/gamma"})
    with pytest.raises(DataError, match="which has shape"):
        convert_keras_resnet50(arrays | {"conv1/kernel": arrays["conv1/bias"]})


def test_the_network_must_stride_where_keras_does(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`stride_on_first=True`"):
        load_imagenet_weights(network(stride_on_first=False), write(tmp_path, layers()), image_channels=3)
