"""A model zoo's checks of every bundle's network: its properties, TorchScript and ONNX."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow
from torch import Tensor, nn

from monai_levelset.bundles import inference_config
from monai_levelset.data import load_datalist, simulated_clicks, write_clicks
from monai_levelset.data.phantoms import generate_phantoms

from .test_static import BUNDLES

CLICKS = ("fundus_levelset_deepgrow", "prostate_mri_levelset_deepgrow")
each_bundle = pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
#: Exporting a network that moves a level set takes a minute: torch follows every step of it.
each_bundle_slow_where_it_evolves = pytest.mark.parametrize(
    "bundle",
    [pytest.param(path, marks=pytest.mark.slow if path.name in CLICKS else ()) for path in BUNDLES],
    ids=lambda path: path.name,
)
AXES = {0: "batch", 2: "height", 3: "width"}
pytestmark = [
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    # An instance norm always takes the statistics of what it gets; the exporter calls that training.
    pytest.mark.filterwarnings(
        "ignore:ONNX export mode is set to TrainingMode.EVAL, but operator .instance_norm"
    ),
    pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:# 'dynamic_axes' is not recommended"),
    pytest.mark.filterwarnings("ignore:.*legacy TorchScript-based ONNX export.*"),
]


def network_of(bundle: Path) -> nn.Module:
    """The network with the shipped weights."""
    parser = ConfigParser()
    parser.read_config(bundle / "configs/inference.json")
    network: nn.Module = parser.get_parsed_content("network_def").eval()
    network.load_state_dict(torch.load(bundle / "models/model.pt", weights_only=True))
    return network.requires_grad_(False)


def scene(channels: int, batch: int, height: int, width: int) -> Tensor:
    """A bright disc with little noise: on noise alone, a level set's last digits are chance in torch, too."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    disc = ((y - height / 2) ** 2 + (x - width / 2) ** 2 < (min(height, width) / 4) ** 2).float()
    noise = torch.randn(batch, channels, height, width, generator=torch.Generator().manual_seed(0))
    return disc + 0.05 * noise


def channels_of(bundle: Path) -> int:
    metadata = json.loads((bundle / "configs/metadata.json").read_text())
    return int(metadata["network_data_format"]["inputs"]["image"]["num_channels"])


def files_of(bundle: Path, out: Path) -> tuple[str | Path, ...]:
    configs = bundle / "configs"
    return (
        *("--filepath", out, "--ckpt_file", bundle / "models/model.pt"),
        *("--meta_file", configs / "metadata.json", "--config_file", configs / "inference.json"),
    )


@each_bundle
def test_verify_net_in_out(bundle: Path, command: Callable[..., None]) -> None:
    configs = bundle / "configs"
    files = ("--meta_file", configs / "metadata.json", "--config_file", configs / "inference.json")
    command("verify_net_in_out", "network_def", *files, "--n", "8", "--any", "48", "--device", "cpu")


@each_bundle
def test_torchscript_computes_the_same(bundle: Path, command: Callable[..., None], tmp_path: Path) -> None:
    """What `ckpt_export` makes of the shipped weights, and the file that ships."""
    channels, out = channels_of(bundle), tmp_path / "model.ts"
    traced = ("--use_trace", "True", "--input_shape", f"[1,{channels},64,64]")
    words = traced if bundle.name in CLICKS else ()
    command("ckpt_export", "network_def", *files_of(bundle, out), *words)
    network = network_of(bundle)
    for size in ((1, 64, 64), (2, 96, 48)):
        image = scene(channels, *size)
        for file in (out, bundle / "models/model.ts"):
            torch.testing.assert_close(torch.jit.load(file)(image), network(image))


@each_bundle_slow_where_it_evolves
def test_onnx_computes_the_same(bundle: Path, command: Callable[..., None], tmp_path: Path) -> None:
    """Also for another batch, and for another size where size is dynamic."""
    channels, out = channels_of(bundle), tmp_path / "model.onnx"
    evolves = bundle.name in CLICKS
    axes = {0: "batch"} if evolves else AXES
    settings: dict[str, Any] = {"input_names": ["image"], "output_names": ["pred"]}
    settings |= {"dynamic_axes": {"image": axes, "pred": axes}} | ({} if evolves else {"dynamo": False})
    words = ("--use_trace", "True", "--input_shape", f"[2,{channels},64,64]")
    command("onnx_export", "network_def", *files_of(bundle, out), *words, "--converter_kwargs", str(settings))
    gc.collect()  # MONAI's temporary file
    session, network = onnxruntime.InferenceSession(out), network_of(bundle)
    for size in ((2, 64, 64), (1, 64, 64), (3, 64, 64), *(() if evolves else ((1, 96, 48), (2, 48, 72)))):
        image = scene(channels, *size)
        (found,) = session.run(["pred"], {"image": image.numpy()})
        torch.testing.assert_close(torch.from_numpy(found), network(image), atol=1e-4, rtol=1e-4)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Phantoms for a bundle, with clicks for one that wants some."""

    def draw(bundle: Path) -> Path:
        folder = tmp_path_factory.mktemp(bundle.name) / "data"
        recipe = json.loads((bundle / "configs/quickstart.json").read_text())
        generate_phantoms(recipe["sample"]["task"], folder, cases=5, seed=0)
        config = inference_config(bundle)
        if "clicks" in config:
            labels = [item["label"] for item in load_datalist(folder / "datalist.json", "test")]
            clicks = simulated_clicks(labels, config["structures"], axcodes=config.get("axcodes"), every=8)
            write_clicks(clicks, folder / "clicks.json")
        return folder

    return draw


@pytest.mark.slow
@each_bundle
def test_no_property_is_missing(bundle: Path, data: Callable[[Path], Path], tmp_path: Path) -> None:
    """`monai.bundle.properties`, required and optional ones, of training and inference."""
    folder = data(bundle)
    common: dict[str, Any] = {
        "bundle_root": str(bundle),
        "output_dir": str(tmp_path / "out"),
        "device": "cpu",
    }
    clicks = {"clicks": str(folder / "clicks.json")} if bundle.name in CLICKS else {}
    liver = str(bundle / "models/liver_network.pt")
    cascade = {"liver_checkpoint": liver} if Path(liver).is_file() else {}
    settings = {
        "train": {"dataset_dir": str(folder), "ckpt_dir": str(tmp_path / "models"), **cascade},
        "inference": {"dataset_dir": str(folder / "images"), **clicks},
    }
    for kind, given in settings.items():
        file = str(bundle / "configs" / f"{kind}.json")
        workflow = ConfigWorkflow(file, workflow_type=kind, logging_file=False, **common, **given)
        workflow.initialize()
        assert workflow.check_properties() == []
