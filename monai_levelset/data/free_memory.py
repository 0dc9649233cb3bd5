"""How much memory this process may still take."""

from __future__ import annotations

from pathlib import Path

__all__ = ["free_memory"]


def free_memory(root: str | Path = "/") -> int | None:
    """Bytes of memory that are free, also where a container allows less than there is.

    Args:
        root: the file system that holds `proc` and `sys`.

    Returns:
        Bytes; None where the system does not tell, as outside Linux.

    Example:
        >>> free = free_memory()
        >>> free is None or free > 0
        True
    """
    found = [_available(Path(root) / "proc/meminfo"), _allowed(Path(root) / "sys/fs/cgroup")]
    return min((value for value in found if value is not None), default=None)


def _available(path: Path) -> int | None:
    try:
        lines = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None


def _allowed(folder: Path) -> int | None:
    """What a control group leaves; files that were read count as used there, but are given up first."""
    try:
        limit, used = (int((folder / f"memory.{name}").read_text()) for name in ("max", "current"))
        counts = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return max(0, limit - used + int(counts.get("inactive_file", 0)))
    except (OSError, ValueError):  # no such group, or "max": no limit
        return None
