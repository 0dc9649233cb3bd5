"""The settings of a run as names and plain values, for a tracker of experiments."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["saved_config", "tracked_parameters"]

_NOT_SETTINGS = set("_meta_ imports initialize finalize tracking run_name save_execute_config".split())
_SPECIAL = ("$", "@", "%")
_LONGEST = 500


def saved_config(path: str | None) -> Path | None:
    """The file in which MONAI has saved a run's configuration.

    Where the output folder is a plain path and no expression, the path that MONAI names is
    `FOLDER + '/NAME'`, as one text.

    Args:
        path: what the configuration says under `save_execute_config`.

    Returns:
        The file; None where there is none.

    Example:
        >>> saved_config("no/such + '/config.json'") is None
        True
    """
    file = Path((path or "").removesuffix("'").replace(" + '/", "/"))
    return file if file.is_file() else None


def tracked_parameters(config: Path) -> dict[str, str]:
    """What a saved configuration says in plain values: numbers, names of components, paths, lists of these.

    References and expressions are left out, and so are lists of components, such as transforms and handlers.

    Args:
        config: the file.

    Returns:
        Name -> value. The names of nested entries are joined with a dot; a component's `_target_` stands
        under the component's own name.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "config.json"
        >>> optimizer = {"_target_": "torch.optim.Adam", "lr": "@rate", "eps": 1e-6}
        >>> _ = file.write_text(json.dumps({"rate": 0.1, "optimizer": optimizer, "size": [64, 64]}))
        >>> tracked_parameters(file)
        {'rate': '0.1', 'optimizer': 'torch.optim.Adam', 'optimizer.eps': '1e-06', 'size': '[64, 64]'}
    """
    content = json.loads(config.read_text(encoding="utf-8"))
    settings = {name: value for name, value in content.items() if name not in _NOT_SETTINGS}
    return {name: _text(value)[:_LONGEST] for name, value in _leaves(settings) if _is_plain(value)}


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict):
        yield name, value
        return
    for key, inner in value.items():
        if key == "_mode_":
            continue
        yield from _leaves(inner, name if key == "_target_" else f"{name}.{key}".removeprefix("."))


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_plain(item) for item in value)
    return not isinstance(value, dict) and not (isinstance(value, str) and value.startswith(_SPECIAL))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)
