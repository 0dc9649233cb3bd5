"""The liver bundle's tools: `verify_metadata`, `verify_net_in_out`, `ckpt_export`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser

from .liver import LIVER_BUNDLE

METADATA = LIVER_BUNDLE / "configs/metadata.json"
FILES = ("--meta_file", METADATA, "--config_file", LIVER_BUNDLE / "configs/inference.json")


def test_verify_metadata(command: Callable[..., None], schema: Path) -> None:
    given = ("--filepath", schema, "--hash_val", hashlib.md5(schema.read_bytes()).hexdigest())
    command("verify_metadata", "--meta_file", METADATA, *given)


@pytest.mark.parametrize("n", [1, 13])
def test_verify_net_in_out(command: Callable[..., None], n: int) -> None:
    command("verify_net_in_out", "network_def", *FILES, "--n", str(n), "--device", "cpu")


def test_the_exported_network_computes_the_same(command: Callable[..., None], tmp_path: Path) -> None:
    parser = ConfigParser()
    parser.read_config(LIVER_BUNDLE / "configs/inference.json")
    torch.manual_seed(0)
    network = parser.get_parsed_content("network_def").eval()
    assert sum(parameter.numel() for parameter in network.parameters()) == 23_938
    torch.save(network.state_dict(), tmp_path / "model.pt")
    words = ("--filepath", tmp_path / "model.ts", "--ckpt_file", tmp_path / "model.pt")
    command("ckpt_export", "network_def", *words, *FILES)
    exported = torch.jit.load(tmp_path / "model.ts")
    for shape in ((2, 1, 96, 112), (1, 1, 61, 47)):
        image = torch.randn(shape)
        torch.testing.assert_close(exported(image), network(image))
