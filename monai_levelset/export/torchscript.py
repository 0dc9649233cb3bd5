"""The configurations inside an exported network."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Mapping

import torch

__all__ = ["with_configs"]

_FOLDER = "/extra/"


def with_configs(network: bytes, configs: Mapping[str, str]) -> bytes:
    """A TorchScript file whose embedded configurations are replaced; code and weights stay.

    `ckpt_export` puts `metadata.json` and `inference.json` into the file, where MONAI Deploy reads them.

    Args:
        network: content of the file.
        configs: name of a configuration file -> its text.

    Returns:
        Content of the new file: an embedded file whose name is in `configs` holds that text.
    """
    with zipfile.ZipFile(io.BytesIO(network)) as archive:
        inside = [name.split(_FOLDER)[1] for name in archive.namelist() if _FOLDER in name]
    extra = dict.fromkeys(sorted(inside), "")
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.\w+` is deprecated")
        module = torch.jit.load(io.BytesIO(network), map_location="cpu", _extra_files=extra)
        torch.jit.save(module, buffer, _extra_files={k: configs.get(k, text) for k, text in extra.items()})
    return buffer.getvalue()
