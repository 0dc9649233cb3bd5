"""The files of a shared bundle."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from monai_levelset.data.errors import DataError, raise_problems
from monai_levelset.doctor.bundles import bundle_findings
from monai_levelset.doctor.weights import stated_hashes
from monai_levelset.export.card import shared_card
from monai_levelset.export.reach import Reached, config_wishes, reach
from monai_levelset.export.rename import renamed_config
from monai_levelset.export.requirements import required_packages
from monai_levelset.export.scripts import script_files
from monai_levelset.export.torchscript import with_configs

__all__ = ["LARGEST_FILE", "bundle_content"]

LARGEST_FILE = 25 * 2**20
"""Bytes; the model zoo wants larger files on a server of their own."""

_LARGE = "large_files.yml"


def bundle_content(root: Path) -> dict[str, bytes]:
    """All files of a bundle that runs without this package.

    Args:
        root: the folder of a bundle of this package.

    Returns:
        Path in the bundle -> content, sorted.

    Raises:
        DataError: `monai-levelset doctor` finds a problem in the bundle, a class does not exist, or a file is
            too large for the model zoo.
    """
    _refuse_problems(root)
    configs = _configs(root)
    reached = reach(
        [wish for path in sorted((root / "configs").glob("*.json")) for wish in config_wishes(path)]
    )
    configs["metadata.json"] = _metadata(configs["metadata.json"], reached)
    models = {name: (root / name).read_bytes() for name in _model_files(root)}
    shared = {name: with_configs(b, configs) if name.endswith(".ts") else b for name, b in models.items()}
    text = {f"configs/{name}": config for name, config in configs.items()} | script_files(reached)
    text["docs/README.md"] = _card(root, models, shared, json.loads(configs["metadata.json"]))
    content = _documents(root) | {name: text.encode() for name, text in text.items()} | shared
    _refuse_large(root, content)
    return dict(sorted(content.items()))


def _refuse_problems(root: Path) -> None:
    found = [f for f in bundle_findings(root) if f.state == "problem" and f.check != "requirements"]
    raise_problems([f"{root}: {finding.message}. To solve it, {finding.fix}." for finding in found])


def _configs(root: Path) -> dict[str, str]:
    paths = [path for path in (root / "configs").iterdir() if path.suffix in (".json", ".conf")]
    return {path.name: _renamed(path) for path in sorted(paths)}


def _renamed(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    return renamed_config(text) if path.suffix == ".json" else text


def _metadata(text: str, reached: Reached) -> str:
    content: dict[str, Any] = json.loads(text)
    listed = content["required_packages_version"]
    content["required_packages_version"] = required_packages(listed, reached.others)
    return json.dumps(content, indent=4, ensure_ascii=False) + "\n"


def _documents(root: Path) -> dict[str, bytes]:
    paths = [root / "LICENSE", root / _LARGE, *(root / "docs").rglob("*")]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths if path.is_file()}


def _model_files(root: Path) -> list[str]:
    """The weights, and what else the model card states; not what trainings left there."""
    files = [f"models/{name}" for name in sorted({"model.pt", *stated_hashes(root)})]
    return [name for name in files if (root / name).is_file() and name not in _elsewhere(root)]


def _elsewhere(root: Path) -> set[str]:
    """The files that `large_files.yml` says where to download."""
    if not (root / _LARGE).is_file():
        return set()
    content = ConfigParser.load_config_file(root / _LARGE)
    return {str(entry["path"]) for entry in content["large_files"]}


def _card(root: Path, old: dict[str, bytes], new: dict[str, bytes], metadata: dict[str, Any]) -> str:
    digests = {_sha256(old[name]): _sha256(new[name]) for name in old}
    packages = {"monai": metadata["monai_version"], "torch": metadata["pytorch_version"]}
    packages |= {"numpy": metadata["numpy_version"], **metadata["required_packages_version"]}
    return shared_card((root / "docs" / "README.md").read_text(encoding="utf-8"), digests, packages)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _refuse_large(root: Path, content: dict[str, bytes]) -> None:
    large = [name for name, data in content.items() if len(data) > LARGEST_FILE]
    if large:
        raise DataError(
            f"{root / large[0]}: {len(content[large[0]]) / 2**20:.1f} MiB, and the model zoo takes "
            f"{LARGEST_FILE // 2**20} MiB at most. Put it on a server and name it in {root / _LARGE}, "
            "with path, url, hash_val and hash_type."
        )
