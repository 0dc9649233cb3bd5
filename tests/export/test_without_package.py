"""Shared bundles where monai-levelset is not installed: all is there, and it computes the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from monai_levelset.bundles import bundle_folders, find_bundle, inference_config
from monai_levelset.data import load_datalist, simulated_clicks, write_clicks
from monai_levelset.data.grids import read_array
from monai_levelset.data.image_files import find_files
from monai_levelset.data.phantoms import generate_phantoms
from tests.bundles.common import config_files, progress, run_workflow

from .bare import Done, run_bare

Shared = Callable[[str], Path]
PROBE = Path(__file__).with_name("probe.py")
LV = "lv_mri_levelset_segmentation"
NAMES = [root.name for root in bundle_folders()]
FAST = (LV, "natural_levelset_segmentation")
each_bundle = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in NAMES]
)
LOAD = """
import sys, torch
from monai.bundle import download, load
zipped, name = sys.argv[1:]
download(name=name, url=zipped, bundle_dir="zoo", progress=False)
sys.path.insert(0, "zoo/" + name)
words = {"bundle_dir": "zoo", "source": "github", "workflow_type": "inference"}
network = load(name, **words, args_file={"initialize": []})
torch.save(network.state_dict(), "loaded.pt")
print("RESULT", type(network).__module__)
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Phantoms for a bundle."""
    folder, drawn = tmp_path_factory.mktemp("phantoms"), dict[str, Path]()

    def draw(name: str) -> Path:
        if name not in drawn:
            recipe = json.loads((find_bundle(name) / "configs/quickstart.json").read_text())
            drawn[name] = folder / name
            generate_phantoms(recipe["sample"]["task"], drawn[name], cases=6, seed=1)
        return drawn[name]

    return draw


def words_of(done: Done) -> str:
    """What a process printed after RESULT."""
    assert done.returncode == 0, done.stderr[-3000:]
    return next(line for line in done.stdout.splitlines() if line.startswith("RESULT ")).split(" ", 1)[1]


def images_of(name: str, data: Path, folder: Path) -> dict[str, Any]:
    """A test image of the phantoms, with clicks for a bundle that wants some."""
    item = load_datalist(data / "datalist.json", "test")[0]
    image, label = Path(item["image"]), Path(item["label"])
    (folder / "images").mkdir(parents=True)
    shutil.copy(image, folder / "images")
    config = inference_config(find_bundle(name))
    if "clicks" not in config:
        return {"dataset_dir": folder / "images"}
    clicks = simulated_clicks([label], config["structures"], axcodes=config.get("axcodes"), every=8)
    write_clicks(clicks, folder / "clicks.json")
    return {"dataset_dir": folder / "images", "clicks": folder / "clicks.json"}


def run_shared(site: Path, folder: Path, *words: str, **settings: Any) -> Done:
    """`python -m monai.bundle run …` in the folder of a shared bundle."""
    options = [str(word) for name, value in settings.items() for word in (f"--{name}", value)]
    return run_bare(site, folder, "-m", "monai.bundle", "run", *words, *options)


def test_every_bundle_is_complete_without_the_package(site: Path, shared: Shared, tmp_path: Path) -> None:
    """Every module and target of every configuration exists; the networks' shapes are the metadata's."""
    broken = Path(shutil.copytree(shared(LV), tmp_path / LV))
    (broken / "configs/joint.json").write_text('{"x": {"_target_": "scripts.networks.Missing"}}')
    done = run_bare(site, tmp_path, PROBE, *[shared(name) for name in NAMES], broken)
    result = json.loads(words_of(done))
    assert result["package"] == []
    assert result["bundles"][str(broken)]["missing"] == ["joint.json: scripts.networks.Missing"]
    for name in NAMES:
        found = result["bundles"][str(shared(name))]
        assert found["missing"] == [], name
        assert found["network"].startswith("scripts.networks."), name
        files = [p.relative_to(shared(name)) for p in (shared(name) / "scripts").rglob("*.py")]
        modules = {".".join(p.with_suffix("").parts).removesuffix(".__init__") for p in files}
        assert {*found["modules"], "scripts"} == modules, name


def test_the_package_cannot_be_imported_there(site: Path, tmp_path: Path) -> None:
    done = run_bare(site, tmp_path, "-c", "import numpy, monai_levelset")
    assert "ModuleNotFoundError: No module named 'monai_levelset'" in done.stderr


@each_bundle
def test_predictions_equal_those_of_the_package(
    name: str, site: Path, shared: Shared, data: Callable[[str], Path], tmp_path: Path
) -> None:
    given = images_of(name, data(name), tmp_path)
    run_workflow(find_bundle(name), "inference", **given, output_dir=tmp_path / "ours", device="cpu")
    words = ("--config_file", "configs/inference.json")
    done = run_shared(site, shared(name), *words, **given, output_dir=tmp_path / "theirs", device="cpu")
    assert done.returncode == 0, done.stderr[-3000:]
    ours, theirs = find_files(tmp_path / "ours"), find_files(tmp_path / "theirs")
    assert len(ours) == 1
    assert {path.name for path in ours.values()} == {path.name for path in theirs.values()}
    for case, path in ours.items():
        expected, grid = read_array(path)
        values, other = read_array(theirs[case])
        assert expected.any()
        np.testing.assert_array_equal(values, expected)
        assert repr(other) == repr(grid)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_training_runs(
    name: str, site: Path, shared: Shared, data: Callable[[str], Path], tmp_path: Path
) -> None:
    """Four updates of the bundle's first training, and the network they give is saved."""
    copy = Path(shutil.copytree(shared(name), tmp_path / name))
    before = {path: path.read_bytes() for path in (copy / "models").glob("*.pt")}
    recipe = json.loads((copy / "configs/quickstart.json").read_text())["trainings"][0]
    few = {"max_updates": 4, "val_interval": 2, "log_interval": 1, "device": "cpu"}
    settings = {**recipe["settings"], **few, "dataset_dir": data(name)}
    words = ("training", "--config_file", config_files(copy, *recipe["configs"]))
    done = run_shared(site, copy, *words, **settings)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(progress(done.stdout + done.stderr)) == 4
    weights = [path for path in (copy / "models").glob("*.pt") if path.read_bytes() != before.get(path)]
    assert {path.name for path in weights} & {"model.pt", "liver_network.pt"}
    assert all(torch.load(path, weights_only=True) is not None for path in weights)


def test_a_bundle_of_ones_own_begins_with_the_weights_of_ours(
    site: Path, shared: Shared, data: Callable[[str], Path], tmp_path: Path
) -> None:
    """Copy, rename, fine-tune: with a learning rate of next to nothing the weights stay next to ours."""
    copy = Path(shutil.copytree(shared(LV), tmp_path / "my_ventricle_segmentation"))
    metadata = json.loads((copy / "configs/metadata.json").read_text())
    metadata |= {"name": "My ventricles", "version": "0.0.1", "changelog": {"0.0.1": "begun from another"}}
    (copy / "configs/metadata.json").write_text(json.dumps(metadata))
    before = torch.load(copy / "models/model.pt", weights_only=True)
    few = {"max_updates": 2, "val_interval": 2, "log_interval": 1, "learning_rate": 1e-7, "device": "cpu"}
    words = ("training", "--config_file", "configs/train.json", "--pretrained", "models/model.pt")
    done = run_shared(site, copy, *words, **few, dataset_dir=data(LV))
    assert done.returncode == 0, done.stderr[-3000:]
    after = torch.load(copy / "models/model.pt", weights_only=True)
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[key], after[key]) for key in before)
    for key, value in before.items():
        torch.testing.assert_close(after[key], value, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "name", [LV, pytest.param("lits_tumor_ct_levelset_segmentation", marks=pytest.mark.slow)]
)
def test_monai_downloads_the_zip_and_loads_the_network(
    name: str, site: Path, zipped: Callable[[str], Path], tmp_path: Path
) -> None:
    result = words_of(run_bare(site, tmp_path, "-c", LOAD, zipped(name).as_uri(), name))
    assert result.startswith("scripts.networks.")
    assert {path.name for path in tmp_path.iterdir()} == {"zoo", "loaded.pt"}
    loaded = torch.load(tmp_path / "loaded.pt", weights_only=True)
    expected = torch.load(find_bundle(name) / "models/model.pt", weights_only=True)
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[key], expected[key]) for key in expected)
