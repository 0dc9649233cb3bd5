"""Networks that need no training, and copies of the click bundles with them, for the tests of both."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .common import Array


class BrightInside(nn.Module):
    """Object where the first channel is bright and the clicks' confidence map, the last, is not low."""

    def __init__(self, level: float = 0.0, confidence: float = 0.2) -> None:
        super().__init__()
        self.level, self.confidence = nn.Parameter(torch.tensor(level)), confidence

    def forward(self, inputs: Tensor) -> Tensor:
        bright = torch.sigmoid(8 * (inputs[:, :1] - self.level))
        inside = bright * (inputs[:, -1:] > self.confidence)
        return torch.cat([1 - inside, inside], 1)


def with_stub(
    bundle: Path, folder: Path, *, size: int = 32, network: Mapping[str, Any] | None = None, **settings: Any
) -> Path:
    """A copy of a bundle whose network is `BrightInside`, on small crops, with weights."""
    copy = folder / bundle.name
    shutil.copytree(bundle, copy, ignore=shutil.ignore_patterns("models", "eval", "predictions"))
    file = copy / "configs" / "inference.json"
    config = json.loads(file.read_text())
    stub = {"_target_": "tests.bundles.clicks.BrightInside", **(network or {})}
    config |= {"size": [size, size], "network_def": stub, "device": "cpu", **settings}
    file.write_text(json.dumps(config))
    (copy / "models").mkdir()
    arguments = {key: value for key, value in stub.items() if key != "_target_"}
    torch.save(BrightInside(**arguments).state_dict(), copy / "models" / "model.pt")
    return copy


def in_world(affine: Array, voxels: Sequence[Sequence[float]]) -> list[list[float]]:
    """Clicks in mm."""
    return [(affine[:3, : len(v)] @ v + affine[:3, 3]).tolist() for v in voxels]
