"""Which modules and packages a bundle's configurations reach."""

from __future__ import annotations

import json
import re
from importlib import metadata
from pathlib import Path

import pytest

from monai_levelset.data.errors import DataError
from monai_levelset.export.reach import config_wishes, reach
from monai_levelset.export.requirements import PIP_NAMES, required_packages
from monai_levelset.export.scripts import script_files

ROOT = Path(__file__).resolve().parents[2]


def write(folder: Path, content: object) -> Path:
    (folder / "configs").mkdir(exist_ok=True)
    path = folder / "configs" / "train.json"
    path.write_text(json.dumps(content))
    return path


def test_targets_and_imports_name_modules_and_what_is_wanted_of_them(tmp_path: Path) -> None:
    content = {
        "imports": ["$from monai_levelset.data import check_items", "$import torch"],
        "a": {"_target_": "monai_levelset.data.measured_cache.MeasuredCacheDataset"},
        "b": {"_target_": "monai_levelset.transforms.FillLabeld", "c": {"_target_": "torch.nn.ReLU"}},
        "d#_target_": "monai_levelset.engines.BestNetwork.attach",
        "e": "a word on monai_levelset.networks.ShallowFCN",
    }
    assert sorted(config_wishes(write(tmp_path, content))) == [
        ("monai_levelset.data", "check_items"),
        ("monai_levelset.data.measured_cache", "MeasuredCacheDataset"),
        ("monai_levelset.engines", "BestNetwork"),
        ("monai_levelset.transforms", "FillLabeld"),
    ]


@pytest.mark.parametrize(
    ("entry", "missing"),
    [
        ({"_target_": "monai_levelset.losses.NoLoss"}, "monai_levelset.losses.NoLoss"),
        ({"_target_": "monai_levelset.no_module.A"}, "monai_levelset.no_module"),
        ("$from monai_levelset.data import nothing", "monai_levelset.data.nothing"),
        ("$import monai_levelset.nowhere", "monai_levelset.nowhere"),
    ],
)
def test_what_does_not_exist_is_named_with_its_place(tmp_path: Path, entry: object, missing: str) -> None:
    with pytest.raises(
        DataError, match=rf"train\.json#x\S*: there is no {re.escape(missing)} in this package"
    ):
        config_wishes(write(tmp_path, {"x": entry}))


def test_imports_are_followed_also_inside_functions_and_relative_ones() -> None:
    lazy = reach([("monai_levelset.data", "simulated_clicks")])  # imports extreme points when it is called
    assert "monai_levelset.transforms.extreme_points" in lazy.modules
    relative = reach([("monai_levelset.levelset", "evolve")])  # from .evolve import evolve
    assert "monai_levelset.levelset.evolve" in relative.modules
    assert "evolve" in relative.names["monai_levelset.levelset"]


def test_one_name_does_not_bring_its_package() -> None:
    found = reach([("monai_levelset.transforms", "FillLabeld")])
    assert list(found.modules) == ["monai_levelset.transforms.in_plane"]
    assert found.names == {"monai_levelset": set(), "monai_levelset.transforms": {"FillLabeld"}}
    assert found.others == {"monai", "torch"}
    assert len(reach([("monai_levelset.transforms", "")]).modules) > 20  # the whole package on demand


def test_the_shipped_package_offers_what_was_wanted_and_can_be_run(tmp_path: Path) -> None:
    """`levelset.evolve` is a module and a function: who asks the package gets the function, as here."""
    files = script_files(
        reach([("monai_levelset.levelset", "evolve"), ("monai_levelset.losses", "PerItemLoss")])
    )
    offered = [line for line in files["scripts/levelset/__init__.py"].splitlines() if "import evolve" in line]
    assert offered == ["from scripts.levelset.evolve import evolve"]
    for name, source in files.items():
        compile(source, name, "exec")
        assert not re.search(r"^\s*(from|import) monai_levelset", source, re.MULTILINE), name


def test_required_packages_have_exact_versions() -> None:
    listed = {"monai-levelset": "0.1.0", "tensorboard": "2.0", "pillow": "10.0.0"}
    found = required_packages(listed, ["PIL", "torch", "numpy", "monai", "tqdm"])
    assert list(found) == ["pillow", "tensorboard", "tqdm"]  # sorted
    assert (found["pillow"], found["tensorboard"]) == ("10.0.0", "2.0")
    assert re.fullmatch(r"\d+(\.\d+)+", found["tqdm"])
    with pytest.raises(DataError, match="no_such_module: a module of the bundle imports it.*pip install"):
        required_packages({}, ["no_such_module"])


def test_every_import_of_the_package_has_a_known_name_on_pypi() -> None:
    declared = {re.split(r"[^\w-]", text)[0] for text in metadata.requires("monai-levelset") or []}
    packages = [path.parent for path in (ROOT / "monai_levelset").glob("*/__init__.py")]
    wishes = [(f"monai_levelset.{p.name}", "") for p in packages if p.name not in ("prediction", "reproduce")]
    imported = {PIP_NAMES.get(name, name) for name in reach(wishes).others}
    assert imported <= declared
