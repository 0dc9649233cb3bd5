"""The command `monai-levelset export-bundle`."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

from monai_levelset.bundles import find_bundle
from monai_levelset.data.atomic import atomic_path
from monai_levelset.export.content import bundle_content
from monai_levelset.export.rename import SCRIPTS

__all__ = ["export_bundle"]

_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold


def export_bundle(bundle: str | Path, out: str | Path) -> Path:
    """Write a bundle as a zip that runs with MONAI alone, for a model zoo or a colleague.

    The classes of this package that the bundle's configurations name travel along in a package `scripts`. The
    same bundle gives the same zip, byte for byte.

    Args:
        bundle: name of a bundle of this collection, or the folder of one made from it.
        out: the zip to write, best called as the bundle; an older one is replaced.

    Returns:
        The zip.

    Raises:
        FileNotFoundError: there is no such bundle.
        ValueError: `out` is not the name of a zip; `monai-levelset doctor` finds a problem in the bundle; a
            file is larger than a model zoo takes.
    """
    path = Path(out)
    if path.suffix != ".zip":
        raise ValueError(
            f"{out}: not the name of a zip. Give one that ends with .zip, best {_name(bundle)}.zip."
        )
    root = find_bundle(bundle).resolve()
    content = bundle_content(root)
    with atomic_path(path) as temporary:
        _write(temporary, root.name, content)
    modules = sum(name.startswith(f"{SCRIPTS}/") for name in content)
    print(f"{path}: {root.name}, {len(content)} files, {modules} of them in {SCRIPTS}/")
    print(f"SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}")
    return path


def _write(path: Path, folder: str, content: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            entry = zipfile.ZipInfo(f"{folder}/{name}", _TIME)
            entry.compress_type, entry.create_system = zipfile.ZIP_DEFLATED, 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)


def _name(bundle: str | Path) -> str:
    return Path(bundle).resolve().name
