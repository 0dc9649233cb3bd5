"""What can be promised about a bundle without running it: harmless configs, complete metadata, small files.

A bundle's configs are executed by MONAI, so each ``$`` expression is parsed and compared with an allow-list,
and each ``_target_`` must come from MONAI, torch, ignite or this package.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import pydoc
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
from monai.bundle import ConfigParser
from monai.bundle.config_item import ComponentLocator
from monai.bundle.properties import InferProperties, TrainProperties

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

PACKAGES = ("monai", "torch", "ignite", "monai_levelset")
MODULES = {*PACKAGES, "glob", "json", "math", "numpy", "operator", "os", "pathlib"}
PREDEFINED = {"monai", "torch", "np", "numpy"}  # what MONAI's ConfigParser offers without an import
BUILTINS = set(
    "abs all any bool dict enumerate filter float int isinstance len list map max min print range reversed "
    "round set sorted str sum tuple zip".split()
)
OF_OS = re.compile(r"os\.(path(\.\w+)?|environ(\.get)?)")
FORBIDDEN_ATTRIBUTES = set(
    "ConfigExpression attrgetter builtins exec execl execv hub methodcaller optional_import os popen remove "
    "rename rmdir rmtree spawn spawnv subprocess sys system unlink write_bytes write_text".split()
)
NODES = (
    *(ast.Expression, ast.Call, ast.keyword, ast.Name, ast.Load, ast.Store, ast.Attribute, ast.Constant),
    *(ast.List, ast.Tuple, ast.Dict, ast.Set, ast.Subscript, ast.Slice, ast.Starred, ast.IfExp),
    *(ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.operator, ast.unaryop, ast.boolop, ast.cmpop),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.comprehension),
    *(ast.Lambda, ast.arguments, ast.arg, ast.JoinedStr, ast.FormattedValue),
)
REFERENCE = re.compile(r"@\w+(?:(?:#|::)\w+)*")


def check_expression(text: str, names: set[str]) -> list[str]:
    """Problems of one ``$`` expression, or an empty list; `names` are those the bundle's imports define."""
    source = REFERENCE.sub("_reference_", text.removeprefix("$").strip())
    if source.startswith(("import ", "from ")):
        return [f"imports {module}" for module in imports(source).values() if not is_allowed_module(module)]
    try:
        tree = ast.parse(source, mode="eval")
    except SyntaxError as error:
        return [f"syntax: {error.msg}"]
    nodes = list(ast.walk(tree))
    bound = {node.arg for node in nodes if isinstance(node, ast.arg)}
    bound |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    known = BUILTINS | PREDEFINED | names | bound | {"_reference_"}
    problems = [f"{type(node).__name__} is not allowed" for node in nodes if not isinstance(node, NODES)]
    for node in nodes:
        if isinstance(node, ast.Name) and node.id not in known:
            problems.append(f"unknown name {node.id}")
        if isinstance(node, ast.Attribute):
            problems += check_attribute(node)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            safe = "weights_only=True" in ast.unparse(node)
            problems += [] if safe else ["torch.load without weights_only=True"]
    return problems


def check_attribute(node: ast.Attribute) -> list[str]:
    """Problems of ``….attribute``: private names, processes, changes of the file system."""
    dotted = ast.unparse(node)
    if dotted.split(".")[0] == "os":
        return [] if OF_OS.fullmatch(dotted) else [f"{dotted} is not allowed"]
    if node.attr.startswith("_") or node.attr in FORBIDDEN_ATTRIBUTES:
        return [f".{node.attr} is not allowed"]
    return []


def imports(source: str) -> dict[str, str]:
    """Name that an import statement defines -> module that it comes from."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import):
            found |= {alias.asname or alias.name.split(".")[0]: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        else:
            found["statement"] = ast.unparse(node)
    return found


def is_allowed_module(name: str) -> bool:
    """Whether a dotted name may be imported; of `os` only itself and `os.path`: `OF_OS` sees each use."""
    parts = name.split(".")
    if parts[0] == "os":
        return name in ("os", "os.path")
    return parts[0] in MODULES and not FORBIDDEN_ATTRIBUTES & set(parts)


@functools.cache
def locator() -> ComponentLocator:
    """MONAI's table of the classes that a config may name without their module."""
    return ComponentLocator(excludes=["metadata"])


def full_target(name: str) -> str:
    """`_target_` with its module."""
    if "." in name:
        return name
    module = locator().get_component_module_name(name)
    return f"{module[0] if isinstance(module, list) else module}.{name}"


def walk(item: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """All strings of a config with the place where they stand."""
    if isinstance(item, dict):
        for key, value in item.items():
            yield from walk(value, f"{path}#{key}")
    elif isinstance(item, list):
        for index, value in enumerate(item):
            yield from walk(value, f"{path}#{index}")
    elif isinstance(item, str):
        yield path, item


def expressions(config: Path) -> list[tuple[str, str]]:
    """Place and text of all ``$`` expressions of a config."""
    return [(place, text) for place, text in walk(json.loads(config.read_text())) if text.startswith("$")]


def imported_names(bundle: Path) -> set[str]:
    """Names that the import statements of a bundle's configs define."""
    configs = (bundle / "configs").glob("*.json")
    texts = [text[1:].strip() for config in configs for _, text in expressions(config)]
    return {name for text in texts if text.startswith(("import ", "from ")) for name in imports(text)}


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
    assert check_expression(text, {"glob", "os"}) == []


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
        "$pathlib.Path('x').unlink()",
        "$unknown",
        "$1 +",
    ],
)
def test_the_checker_refuses_what_could_harm(text: str) -> None:
    assert check_expression(text, {"operator", "os", "pathlib"}) != []


@each_config
def test_expressions_are_on_the_allow_list(config: Path) -> None:
    names = imported_names(config.parents[1])
    problems = {f"{place}: {text}": check_expression(text, names) for place, text in expressions(config)}
    assert {text: found for text, found in problems.items() if found} == {}


def check_target(name: str) -> list[str]:
    """Problems of a `_target_`: it must exist and be defined by one of the known packages."""
    target = full_target(name)
    if target.split(".")[0] not in PACKAGES or FORBIDDEN_ATTRIBUTES & set(target.split(".")):
        return [f"{target} is not of {', '.join(PACKAGES)}"]
    found = pydoc.locate(target)
    if found is None:
        return [f"{target} does not exist"]
    home = (getattr(found, "__module__", None) or target).split(".")[0]
    return [] if home in PACKAGES else [f"{target} is defined in {home}"]


@pytest.mark.parametrize("name", ["DiceLoss", "monai.losses.DiceLoss", "torch.optim.Adam", "torch.zeros"])
def test_targets_of_known_packages_pass(name: str) -> None:
    assert check_target(name) == []


@pytest.mark.parametrize(
    "name",
    ["os.system", "torch.os.system", "subprocess.run", "monai.NoSuchClass", "NoSuchClass", "torch.hub.load"],
)
def test_other_targets_are_refused(name: str) -> None:
    assert check_target(name) != []


@each_config
def test_targets_come_from_known_packages_and_exist(config: Path) -> None:
    strings = walk(json.loads(config.read_text()))
    targets = [text for place, text in strings if place.endswith("#_target_")]
    assert [problem for name in targets for problem in check_target(name)] == []


@each_config
def test_included_files_stay_inside_the_bundle(config: Path) -> None:
    texts = [text for _, text in walk(json.loads(config.read_text())) if text.startswith("%")]
    files = [match[1] for text in texts if (match := re.match(r"%(.+?\.(?:json|ya?ml))", text))]
    bundle = config.parents[1]
    for name in files:
        found = [(root / name).resolve() for root in (bundle, config.parent) if (root / name).is_file()]
        assert found, f"{name} does not exist"
        assert found[0].is_relative_to(bundle)


VERSION = {"type": "string", "pattern": r"^\d+(\.\d+)+([-+.]?\w+)*$"}
TEXT = {"type": "string", "minLength": 3}
TENSOR = {
    "type": "object",
    "required": ["type", "format", "num_channels", "spatial_shape", "dtype", "value_range", "channel_def"],
    "properties": {
        "type": {"enum": ["image", "tuples", "probabilities"]},
        "format": TEXT,
        "num_channels": {"type": "integer", "minimum": 1},
        "spatial_shape": {"type": "array", "minItems": 1},
        "dtype": TEXT,
        "value_range": {"type": "array"},
        "is_patch_data": {"type": "boolean"},
        "channel_def": {"type": "object", "minProperties": 1, "additionalProperties": {"type": "string"}},
    },
}
TENSORS = {"type": "object", "minProperties": 1, "additionalProperties": TENSOR}
METADATA = {
    "type": "object",
    "properties": {
        "schema": {"type": "string", "pattern": r"meta_schema_20240725\.json$"},
        "version": VERSION,
        "changelog": {"type": "object", "minProperties": 1, "additionalProperties": TEXT},
        "monai_version": VERSION,
        "pytorch_version": VERSION,
        "numpy_version": VERSION,
        "required_packages_version": {"type": "object", "additionalProperties": VERSION},
        "supported_apps": {"type": "object"},
        **dict.fromkeys(
            ["name", "task", "description", "authors", "copyright", "data_source", "data_type"], TEXT
        ),
        "network_data_format": {
            "type": "object",
            "required": ["inputs", "outputs"],
            "properties": {"inputs": TENSORS, "outputs": TENSORS},
        },
    },
}
METADATA["required"] = list(METADATA["properties"])  # type: ignore[call-overload]


@each_bundle
def test_the_folder_is_complete_and_small(bundle: Path) -> None:
    assert [name for name in FILES if not (bundle / name).is_file()] == []
    shipped = [path for folder in ("configs", "docs", "models") for path in (bundle / folder).rglob("*")]
    assert [path for path in shipped if path.is_file() and path.stat().st_size > LARGEST_FILE] == []


@each_bundle
def test_metadata_is_complete(bundle: Path) -> None:
    metadata = json.loads((bundle / "configs/metadata.json").read_text())
    jsonschema.validate(metadata, METADATA)
    assert metadata["version"] in metadata["changelog"]
    assert "image" in metadata["network_data_format"]["inputs"]
    assert "pred" in metadata["network_data_format"]["outputs"]


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
