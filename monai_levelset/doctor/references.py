"""Whether a bundle's configuration has what its references and MONAI's commands ask for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from monai.bundle.properties import InferProperties, TrainProperties
from monai.bundle.reference_resolver import ReferenceResolver

from monai_levelset.doctor.config_rules import strings

__all__ = ["reference_problems"]

_REQUIRED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "train.json": (TrainProperties, ["training", "run", "network"]),
    "inference.json": (InferProperties, ["run"]),
}
_GIVEN_BY_MONAI = "_meta_"
_TEXT = re.compile(r"^[@$%]")


def reference_problems(config: Path) -> list[str]:
    """What is missing in `train.json` or `inference.json`; nothing of it is executed.

    Args:
        config: one of these two files of a bundle, with valid JSON.

    Returns:
        One text per entry that MONAI's commands need, or that another entry refers to by `@`, and that is
        not there.

    Example:
        >>> import json, tempfile
        >>> file = Path(tempfile.mkdtemp()) / "inference.json"
        >>> _ = file.write_text(json.dumps({"run": ["$@evaluater.run()"], "evaluator": {}}))
        >>> reference_problems(file)[-1]
        '#run#0: @evaluater is not defined'
    """
    parser = ConfigParser()
    parser.read_config(config)
    try:
        parser.resolve_macro_and_relative_ids()
    except (KeyError, ValueError) as error:
        return [f"a % reference leads nowhere: {error}"]
    properties, others = _REQUIRED[config.name]
    required = [entry["id"] for entry in properties.values() if entry["required"]] + others
    missing = [f"{name} is missing, which MONAI's commands need" for name in required if name not in parser]
    undefined = [
        f"{place}: @{name} is not defined"
        for place, text in strings(parser.config)
        if _TEXT.match(text)
        for name in sorted(_references(text))
        if name not in parser
    ]
    return [*missing, *undefined]


def _references(text: str) -> set[str]:
    found = ReferenceResolver.match_refs_pattern(text)
    return {name for name in found if not name.startswith(_GIVEN_BY_MONAI)}
