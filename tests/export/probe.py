"""Looks at unpacked bundles where monai-levelset is not installed: `python probe.py BUNDLE …` prints JSON.

One process reads all bundles one after the other, and forgets their `scripts` in between, as MONAI Label
does.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import pkgutil
import pydoc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, verify_net_in_out


def main() -> None:
    found = {name: probe(Path(name)) for name in sys.argv[1:]}
    print("RESULT " + json.dumps({"package": package(), "bundles": found}))


def package() -> list[str]:
    """Where monai-levelset would come from."""
    found = ["module"] if importlib.util.find_spec("monai_levelset") else []
    installed = {dist.metadata["Name"] for dist in importlib.metadata.distributions()}
    return found + sorted(name for name in installed if name == "monai-levelset")


def probe(root: Path) -> dict[str, Any]:
    os.chdir(root)
    sys.path.insert(0, str(root))
    try:
        return {
            "missing": [text for config in sorted(root.glob("configs/*.json")) for text in missing(config)],
            "modules": sorted(modules()),
            "network": network(root),
        }
    finally:
        sys.path.remove(str(root))
        for name in [name for name in sys.modules if name.split(".")[0] == "scripts"]:
            del sys.modules[name]


def modules() -> Iterator[str]:
    """Import every shipped module."""
    scripts = importlib.import_module("scripts")
    for found in pkgutil.walk_packages(scripts.__path__, "scripts."):
        yield importlib.import_module(found.name).__name__


def missing(config: Path) -> Iterator[str]:
    """Targets and imported names that do not exist here."""
    for text in strings(json.loads(config.read_text())):
        if text.startswith(("$import ", "$from ")):
            exec(text[1:], {})
        elif "monai_levelset" in text or (text.startswith("scripts.") and pydoc.locate(text) is None):
            yield f"{config.name}: {text}"


def strings(item: Any) -> Iterator[str]:
    if isinstance(item, str):
        yield item
    for value in item.values() if isinstance(item, dict) else item if isinstance(item, list) else ():
        yield from strings(value)


def network(root: Path) -> str:
    """The module of the network, whose output has the metadata's shape for its input; else this raises."""
    configs = root / "configs"
    files = {"meta_file": str(configs / "metadata.json"), "config_file": str(configs / "inference.json")}
    verify_net_in_out("network_def", **files, device="cpu", n=8, any=48)
    parser = ConfigParser()
    parser.read_config(configs / "inference.json")
    return type(parser.get_parsed_content("network_def")).__module__


if __name__ == "__main__":
    main()
