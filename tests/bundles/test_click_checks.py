"""Both click bundles in MONAI's tools: `verify_metadata`, `verify_net_in_out`, `ckpt_export`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from .click_training import BUNDLES, read

each_bundle = pytest.mark.parametrize("bundle", BUNDLES.values(), ids=BUNDLES)


def files(bundle: Path) -> tuple[str | Path, ...]:
    configs = bundle / "configs"
    return "--meta_file", configs / "metadata.json", "--config_file", configs / "inference.json"


@each_bundle
def test_verify_metadata(bundle: Path, command: Callable[..., None], schema: Path, tmp_path: Path) -> None:
    metadata = bundle / "configs/metadata.json"
    given = ("--filepath", schema, "--hash_val", hashlib.md5(schema.read_bytes()).hexdigest())
    command("verify_metadata", "--meta_file", metadata, *given)
    content = json.loads(metadata.read_text())
    del content["authors"]
    (tmp_path / "metadata.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="authors"):
        command("verify_metadata", "--meta_file", tmp_path / "metadata.json", *given)


@each_bundle
@pytest.mark.parametrize("n", [1, 20])
def test_verify_net_in_out(bundle: Path, n: int, command: Callable[..., None]) -> None:
    command("verify_net_in_out", "network_def", *files(bundle), "--n", str(n), "--device", "cpu")


@each_bundle
def test_the_exported_network_computes_the_same(
    bundle: Path, command: Callable[..., None], tmp_path: Path
) -> None:
    """Traced at one size, used at others."""
    torch.manual_seed(0)
    network = read(bundle, "inference").get_parsed_content("network_def").eval()
    torch.save(network.state_dict(), tmp_path / "model.pt")
    channels = network.backbone.conv1.in_channels
    command(
        *("ckpt_export", "network_def", *files(bundle), "--filepath", tmp_path / "model.ts"),
        *("--ckpt_file", tmp_path / "model.pt", "--use_trace", "True"),
        *("--input_shape", f"[1, {channels}, 64, 64]"),
    )
    exported = torch.jit.load(tmp_path / "model.ts")
    for shape in ((2, channels, 64, 64), (1, channels, 81, 47)):
        image = torch.randn(shape)
        torch.testing.assert_close(exported(image), network(image))
