"""The bundle's tools: `verify_metadata`, `verify_net_in_out`, `ckpt_export`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from monai_levelset.networks import ShallowFCN

from .lv import LV_BUNDLE

FILES = (
    "--meta_file",
    LV_BUNDLE / "configs/metadata.json",
    "--config_file",
    LV_BUNDLE / "configs/inference.json",
)


def test_verify_metadata(command: Callable[..., None], schema: Path, tmp_path: Path) -> None:
    metadata = LV_BUNDLE / "configs/metadata.json"
    given = ("--filepath", schema, "--hash_val", hashlib.md5(schema.read_bytes()).hexdigest())
    command("verify_metadata", "--meta_file", metadata, *given)
    content = json.loads(metadata.read_text())
    del content["authors"]
    (tmp_path / "metadata.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="authors"):
        command("verify_metadata", "--meta_file", tmp_path / "metadata.json", *given)


@pytest.mark.parametrize("n", [1, 20])
def test_verify_net_in_out(command: Callable[..., None], n: int) -> None:
    command("verify_net_in_out", "network_def", *FILES, "--n", str(n), "--device", "cpu")


def test_the_exported_network_computes_the_same(command: Callable[..., None], tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = ShallowFCN().eval()
    torch.save(network.state_dict(), tmp_path / "model.pt")
    command(
        "ckpt_export",
        "network_def",
        "--filepath",
        tmp_path / "model.ts",
        "--ckpt_file",
        tmp_path / "model.pt",
        *FILES,
    )
    exported = torch.jit.load(tmp_path / "model.ts")
    for shape in ((2, 1, 120, 120), (1, 1, 61, 47)):
        image = torch.randn(shape)
        torch.testing.assert_close(exported(image), network(image))
