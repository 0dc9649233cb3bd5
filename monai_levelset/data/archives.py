"""Archives that were not unpacked."""

from __future__ import annotations

import zipfile
from pathlib import Path

__all__ = ["ARCHIVES", "archive_advice"]

ARCHIVES = (
    *(".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".7z", ".rar"),
    *(".zip.001", ".7z.001", ".part1.rar"),
)
"""How the names of archives end, in lower case."""


def archive_advice(path: Path) -> str | None:
    """What to do with an archive.

    Args:
        path: any file.

    Returns:
        A sentence or two; None where the name is not that of an archive.

    Example:
        >>> archive_advice(Path("a.nii.gz"))
        >>> archive_advice(Path("download.TAR.GZ"))
        'this is an archive. Unpack it and give the folder.'
    """
    if not path.name.lower().endswith(ARCHIVES):
        return None
    if path.suffix.lower() == ".zip" and not zipfile.is_zipfile(path):
        return (
            "this archive is truncated or broken. Copy or download it again, unpack it and give the folder."
        )
    return "this is an archive. Unpack it and give the folder."
