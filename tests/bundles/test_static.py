"""What can be promised about a bundle without running it: harmless configs, complete metadata, small files.

The rules are those of `monai-levelset doctor`; here they are tested, too.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser
from monai.bundle.properties import InferProperties, TrainProperties

from monai_levelset.doctor.config_rules import (
    expression_problems,
    expressions,
    imported_names,
    include_problems,
    target_problems,
    targets,
)
from monai_levelset.doctor.metadata_schema import metadata_problems

BUNDLES = sorted(path.parent for path in (Path(__file__).resolve().parents[2] / "bundles").glob("*/configs"))
CONFIGS = [config for bundle in BUNDLES for config in sorted((bundle / "configs").glob("*.json"))]
FILES = [
    "LICENSE",
    "docs/README.md",
    "docs/data_license.txt",
    "configs/metadata.json",
    "configs/train.json",
    "configs/evaluate.json",
    "configs/inference.json",
    "configs/multi_gpu_train.json",
    "configs/logging.conf",
]
LARGEST_FILE = 25 * 2**20


def name_of(path: Path) -> str:
    """Test id of a bundle or of one of its configs."""
    return path.name if path in BUNDLES else f"{path.parents[1].name}-{path.stem}"


each_bundle = pytest.mark.parametrize("bundle", BUNDLES, ids=name_of)
each_config = pytest.mark.parametrize("config", CONFIGS, ids=name_of)


@pytest.mark.parametrize(
    "text",
    [
        "$@network_def.to(@device)",
        "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "$[x['image'] for x in @train#dataset#data if x['fold'] != 0]",
        "$sorted(glob.glob(os.path.join(@dataset_dir, '*.nii.gz')))",
        "$monai.handlers.from_engine(['pred', 'label'])",
        "$lambda x: (x > 0.5).float()",
        "$@bundle_root + '/eval'",
        "$import glob",
        "$import operator",
        "$from pathlib import Path",
        "$os.environ.get('MONAI_LEVELSET_DATA', '.')",
        "$torch.load(@path, weights_only=True)",
        "$@network.eval()",
    ],
)
def test_the_checker_passes_what_bundles_need(text: str) -> None:
    assert expression_problems(text, {"glob", "os"}) == []


@pytest.mark.parametrize(
    "text",
    [
        "$__import__('os').system('ls')",
        "$eval('1')",
        "$exec('1')",
        "$open('x', 'w')",
        "$os.system('ls')",
        "$os.remove('x')",
        "$(os).system('ls')",
        "$[o.system('ls') for o in [os]]",
        "$import subprocess",
        "$import os, shutil",
        "$import os.path as p; p.os.system('ls')",
        "$from os import system",
        "$from os import path, popen",
        "$import torch.hub",
        "$torch.hub.load('a', 'b')",
        "$torch.os.system('ls')",
        "$operator.attrgetter('os.system')(torch)('ls')",
        "$from operator import methodcaller",
        "$monai.utils.optional_import('subprocess')",
        "$().__class__.__bases__[0].__subclasses__()",
        "$getattr(torch, 'o' + 's')",
        "$(y := 1)",
        "$torch.load(@path)",
        "$torch.load(@path, weights_only=False)",
        "$[load(@path) for load in [torch.load]]",
        "$[t.load(@path) for t in [torch]]",
        "$from torch import load",
        "$np.load(@path, allow_pickle=True)",
        "$import (",
        "$monai.utils.run_cmd(['ls'])",
        "$monai.bundle.run(config_file=@path)",
        "$pathlib.Path('x').unlink()",
        "$unknown",
        "$1 +",
    ],
)
def test_the_checker_refuses_what_could_harm(text: str) -> None:
    assert expression_problems(text, {"operator", "os", "pathlib"}) != []


@each_config
def test_expressions_are_on_the_allow_list(config: Path) -> None:
    names = imported_names(config.parents[1])
    problems = {f"{place}: {text}": expression_problems(text, names) for place, text in expressions(config)}
    assert {text: found for text, found in problems.items() if found} == {}


@pytest.mark.parametrize("name", ["DiceLoss", "monai.losses.DiceLoss", "torch.optim.Adam", "torch.zeros"])
def test_targets_of_known_packages_pass(name: str) -> None:
    assert target_problems(name) == []


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "torch.os.system",
        "subprocess.run",
        "monai.NoSuchClass",
        "NoSuchClass",
        "torch.hub.load",
        "torch.load",
        "$os.system",
        "@x",
        "monai.bundle.run",
    ],
)
def test_other_targets_are_refused(name: str) -> None:
    assert target_problems(name) != []


@each_config
def test_targets_come_from_known_packages_and_exist(config: Path) -> None:
    assert [problem for _, name in targets(config) for problem in target_problems(name)] == []


@each_config
def test_included_files_stay_inside_the_bundle(config: Path) -> None:
    assert include_problems(config) == []


@each_bundle
def test_the_folder_is_complete_and_small(bundle: Path) -> None:
    assert [name for name in FILES if not (bundle / name).is_file()] == []
    shipped = [path for folder in ("configs", "docs", "models") for path in (bundle / folder).rglob("*")]
    assert [path for path in shipped if path.is_file() and path.stat().st_size > LARGEST_FILE] == []


@each_bundle
def test_metadata_is_complete(bundle: Path) -> None:
    metadata = json.loads((bundle / "configs/metadata.json").read_text())
    assert metadata_problems(metadata) == []


@each_bundle
@pytest.mark.parametrize(("file", "properties"), [("train", TrainProperties), ("inference", InferProperties)])
def test_the_standard_ids_are_there(bundle: Path, file: str, properties: dict[str, dict[str, Any]]) -> None:
    parser = ConfigParser()
    parser.read_config(bundle / f"configs/{file}.json")
    required = [entry["id"] for entry in properties.values() if entry["required"]]
    required += {"train": ["training", "run", "network"], "inference": ["run"]}[file]
    assert [name for name in required if name not in parser] == []


@each_bundle
def test_weights_are_safe_to_load_and_named_by_their_hash(bundle: Path) -> None:
    weights = bundle / "models/model.pt"
    if not weights.is_file():
        assert (bundle / "large_files.yml").is_file(), "neither models/model.pt nor large_files.yml"
        return
    assert torch.load(weights, map_location="cpu", weights_only=True)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert digest in (bundle / "docs/README.md").read_text(), "docs/README.md states another SHA-256"
