"""Where a result comes from: the command and the versions that made it."""

from __future__ import annotations

import json
import platform
import shlex
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["command_line", "versions"]


def command_line(command: str, arguments: Mapping[str, Any]) -> str:
    """The words that would run a command of `monai-levelset` again.

    Args:
        command: its name.
        arguments: option -> value; None, False and empty text are left out.

    Returns:
        One line for a shell.

    Example:
        >>> command_line("evaluate", {"labels": "my labels", "images": None, "spacing": [1, 2]})
        "monai-levelset evaluate --labels 'my labels' --spacing '[1, 2]'"
    """
    given = [(k, v) for k, v in arguments.items() if v not in (None, "") and v is not False]
    return shlex.join(["monai-levelset", command, *(x for key, v in given for x in (f"--{key}", _text(v)))])


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | Path) else json.dumps(value)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that make the numbers.

    Returns:
        Name -> version; a package run from its source folder counts as ``"source"``.
    """
    found = {"python": platform.python_version()}
    for name in ("monai-levelset", "monai", "torch", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "source"
    return found
