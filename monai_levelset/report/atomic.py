"""Files that are either complete or not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from monai_levelset.data.atomic import atomic_path

__all__ = ["atomic_path", "write_json", "write_text"]


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text atomically.

    Args:
        path: the file.
        text: its content.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(text.encode())


def write_json(path: str | Path, data: Any) -> None:
    """Write JSON atomically; NaN and infinity are refused because JSON has none.

    Args:
        path: the file.
        data: what to write.

    Raises:
        ValueError: if ``data`` holds NaN or infinity.
    """
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
