"""What a bundle's ``metadata.json`` must hold: the model zoo's schema, so that no network is needed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import Any

import jsonschema

__all__ = ["METADATA_SCHEMA", "metadata_problems", "missing_packages"]

_VERSION = {"type": "string", "pattern": r"^\d+(\.\d+)+([-+.]?\w+)*$"}
_TEXT = {"type": "string", "minLength": 3}
_TENSOR = {
    "type": "object",
    "required": ["type", "format", "num_channels", "spatial_shape", "dtype", "value_range", "channel_def"],
    "properties": {
        "type": {"enum": ["image", "tuples", "probabilities"]},
        "format": _TEXT,
        "num_channels": {"type": "integer", "minimum": 1},
        "spatial_shape": {"type": "array", "minItems": 1},
        "dtype": _TEXT,
        "value_range": {"type": "array"},
        "is_patch_data": {"type": "boolean"},
        "channel_def": {"type": "object", "minProperties": 1, "additionalProperties": {"type": "string"}},
    },
}
_TENSORS = {"type": "object", "minProperties": 1, "additionalProperties": _TENSOR}
_TEXTS = ["name", "task", "description", "authors", "copyright", "data_source", "data_type"]
_PROPERTIES: dict[str, Any] = {
    "schema": {"type": "string", "pattern": r"meta_schema_20240725\.json$"},
    "version": _VERSION,
    "changelog": {"type": "object", "minProperties": 1, "additionalProperties": _TEXT},
    "monai_version": _VERSION,
    "pytorch_version": _VERSION,
    "numpy_version": _VERSION,
    "required_packages_version": {"type": "object", "additionalProperties": _VERSION},
    "supported_apps": {"type": "object"},
    **dict.fromkeys(_TEXTS, _TEXT),
    "network_data_format": {
        "type": "object",
        "required": ["inputs", "outputs"],
        "properties": {
            "inputs": {**_TENSORS, "required": ["image"]},
            "outputs": {**_TENSORS, "required": ["pred"]},
        },
    },
}

METADATA_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": _PROPERTIES,
    "required": list(_PROPERTIES),
}
"""JSON schema of a bundle's metadata."""


def metadata_problems(content: Mapping[str, Any]) -> list[str]:
    """What is wrong with a bundle's metadata.

    Args:
        content: what ``metadata.json`` holds.

    Returns:
        One text per problem, with its place.

    Example:
        >>> metadata_problems({})[0]
        "'schema' is a required property"
    """
    errors = jsonschema.Draft7Validator(METADATA_SCHEMA).iter_errors(content)
    problems = [_placed(error) for error in errors]
    if not problems and content["version"] not in content["changelog"]:
        problems.append(f"changelog does not name the version {content['version']}")
    return problems


def missing_packages(content: Mapping[str, Any]) -> list[str]:
    """Packages that a bundle requires and that are not installed, whatever their version.

    Args:
        content: what ``metadata.json`` holds.

    Returns:
        Their names.

    Example:
        >>> missing_packages({"required_packages_version": {"numpy": "1.0", "no-such-package": "2.0"}})
        ['no-such-package']
    """
    required = content.get("required_packages_version")
    names = required if isinstance(required, Mapping) else {}
    return [name for name in names if name != "monai-levelset" and not _is_installed(name)]


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _placed(error: jsonschema.ValidationError) -> str:
    place = "#".join(map(str, error.absolute_path))
    return f"{place}: {error.message}" if place else str(error.message)
