"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["atomic_path"]


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; what stands there at the end becomes `path`.

    Works for files and for folders. The temporary name ends like `path`, so that writers that look at the
    extension choose the same format. When the block raises, the temporary is removed and `path` stays as it
    was; after a killed process only a hidden `.tmp-*` name is left, never half a file. A folder that another
    process finished in the meantime is kept.

    Args:
        path: the final name; missing parent folders are created.

    Yields:
        The temporary name, in the same folder.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "new" / "a.txt"
        >>> with atomic_path(target) as temporary:
        ...     _ = temporary.write_text("whole")
        >>> target.read_text()
        'whole'
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".tmp-{uuid.uuid4().hex[:12]}-{target.name}")
    try:
        yield temporary
        _move(temporary, target)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)


def _move(temporary: Path, target: Path) -> None:
    try:
        os.replace(temporary, target)
    except OSError:
        if not (temporary.is_dir() and target.is_dir()):
            raise
