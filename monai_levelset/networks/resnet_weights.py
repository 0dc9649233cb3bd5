"""Start a dilated ResNet from ImageNet: torchvision's files, Keras' ResNet-50, more depth, more channels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from monai.utils import optional_import
from torch import Tensor, nn

from monai_levelset.data.checkpoints import _differences, _load, _network_state
from monai_levelset.data.errors import DataError
from monai_levelset.networks.dilated_resnet import DilatedResNet
from monai_levelset.networks.keras_resnet import convert_keras_resnet50, read_layers_model


def load_imagenet_weights(network: nn.Module, path: str | Path, *, image_channels: int) -> None:
    """Load the weights of a ResNet that was trained on ImageNet.

    The network then takes images in RGB, (x - mean)/std with x in [0, 1] and ImageNet's mean and std (0.485,
    0.456, 0.406; 0.229, 0.224, 0.225), whatever file they come from. A grey image, `image_channels` 1, is
    treated as if repeated three times: its weights are the sum over the colours. Channels behind the image
    (heat map, confidence map) start with weights of **zero**: the first output is that of the image alone,
    and training finds what the maps are good for.

    A ResNet-101 also takes the weights of a ResNet-50 and starts as exactly that network, see
    `extended_resnet50`.

    Args:
        network: a `DilatedResNet`, or a network that has one as its `backbone`.
        path: torchvision's state dict, `.pth` (read with `weights_only=True`) or `.safetensors` (needs the
            package safetensors), or the `model.json` of Keras' ResNet-50 for TensorFlow.js, for which the
            network must be made with `stride_on_first=True`. Classifiers in it are left out.
        image_channels: the first so many channels of the input are the image: 3 for RGB or 1 for grey.

    Raises:
        DataError: the file is missing, corrupt or of another network.
        ValueError: `network` has no dilated ResNet, or has it of another kind than the file; or
            `image_channels` is neither 1 nor 3, or more than it has.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "resnet.pth"
        >>> torch.save(DilatedResNet(3, "resnet18", width=0.25).state_dict(), path)
        >>> network = DilatedResNet(5, "resnet18", width=0.25)
        >>> load_imagenet_weights(network, path, image_channels=3)
        >>> network.conv1.weight.abs().sum((0, 2, 3)) > 0
        tensor([ True,  True,  True, False, False])
    """
    backbone = _backbone(network)
    path = Path(path)
    if path.suffix == ".json":
        if not backbone.stride_on_first:
            raise ValueError(
                f"{path} has its strides elsewhere: make the ResNet with `stride_on_first=True`."
            )
        state = convert_keras_resnet50(read_layers_model(path))
    else:
        content = _safetensors(path) if path.suffix == ".safetensors" else _load(path)
        state = {k: v for k, v in _network_state(path, content).items() if not k.startswith("fc.")}
    own = backbone.state_dict()
    if "conv1.weight" in state:
        channels = own["conv1.weight"].shape[1]
        state["conv1.weight"] = with_channels(state["conv1.weight"], channels, image_channels)
    if backbone.name == "resnet101" and "layer3.6.conv1.weight" not in state:
        state = extended_resnet50(state, own)
    counts = {k: v for k, v in own.items() if k.endswith("num_batches_tracked")}  # old files have none
    _check_fits(path, counts | state, own)
    backbone.load_state_dict(counts | state)


def with_channels(weight: Tensor, channels: int, image_channels: int) -> Tensor:
    """Weights of a first convolution for an image with further channels; these start at zero.

    Args:
        weight: for RGB, `(N, 3, h, w)`.
        channels: of the input.
        image_channels: how many of them are the image, 3 or 1; see `load_imagenet_weights`.

    Returns:
        `(N, channels, h, w)`.

    Raises:
        ValueError: see `load_imagenet_weights`.

    Example:
        >>> with_channels(torch.ones(1, 3, 1, 1), 2, 1).flatten()
        tensor([3., 0.])
    """
    if image_channels not in (1, 3) or image_channels > channels:
        raise ValueError(
            f"`image_channels` must be 1 or 3, and not more than {channels}, got {image_channels}."
        )
    image = weight if image_channels == 3 else weight.sum(1, keepdim=True)
    rest = weight.new_zeros(len(weight), channels - image_channels, *weight.shape[2:])
    return torch.cat([image, rest], 1)


def extended_resnet50(state: Mapping[str, Tensor], resnet101: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A ResNet-101 that computes what a ResNet-50 does: the third stage's last 17 blocks do nothing yet.

    They keep the weights that they have, but the last norm of each has weight and bias 0, so that the block
    gives back its input, which is not negative. In training the gradient reaches these two first.

    Args:
        state: state dict of a ResNet-50.
        resnet101: state dict of a ResNet-101, with weights as they were drawn.

    Returns:
        State dict of the ResNet-101.

    Example:
        >>> fifty, more = (DilatedResNet(3, n, width=0.125) for n in ("resnet50", "resnet101"))
        >>> more.load_state_dict(extended_resnet50(fifty.state_dict(), more.state_dict()))
        <All keys matched successfully>
        >>> image = torch.rand(1, 3, 32, 32)
        >>> torch.equal(fifty.eval()(image)[4], more.eval()(image)[4])
        True
    """
    added = {k: v for k, v in resnet101.items() if k.startswith("layer3.") and int(k.split(".")[1]) > 5}
    silent = (".bn3.weight", ".bn3.bias")
    return dict(state) | {k: torch.zeros_like(v) if k.endswith(silent) else v for k, v in added.items()}


def _backbone(network: nn.Module) -> DilatedResNet:
    for candidate in (network, getattr(network, "backbone", None)):
        if isinstance(candidate, DilatedResNet):
            return candidate
    raise ValueError(f"{type(network).__name__} is no DilatedResNet and has none as its `backbone`.")


def _safetensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise DataError(f"{path}: the weights do not exist. Correct the path.")
    load_file, installed = optional_import("safetensors.torch", name="load_file")
    if not installed:
        raise DataError(f"{path}: reading it needs the package safetensors. Install it, or take a .pth file.")
    try:
        state: dict[str, Tensor] = load_file(path)
    except Exception as error:  # the package's own kinds of errors
        raise DataError(f"{path}: not a file of safetensors ({error}). Copy it again.") from error
    return state


def _check_fits(path: Path, state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    problems = _differences(state, own)
    if problems:
        more = f" ... and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise DataError(
            f"{path}: these are weights of another network: {'; '.join(problems[:5])}{more}. Give those of "
            "the ResNet that you made."
        )
