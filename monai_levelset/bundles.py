"""Where bundles lie and what their inference says."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def find_bundle(bundle: str | Path) -> Path:
    """The folder of a bundle.

    Args:
        bundle: its folder, or its name in ``bundles/`` of the working directory or of this package's
            checkout.

    Returns:
        A folder that holds ``configs/inference.json``.

    Raises:
        FileNotFoundError: if there is none.
    """
    shelves = _shelves()
    for root in [Path(bundle), *(shelf / bundle for shelf in shelves)]:
        if (root / "configs" / "inference.json").is_file():
            return root
    known = sorted({p.parents[1].name for shelf in shelves for p in shelf.glob("*/configs/inference.json")})
    raise FileNotFoundError(
        f"{bundle}: no bundle with configs/inference.json; known names: {', '.join(known) or 'none'}"
    )


def bundle_folders() -> list[Path]:
    """The folders of all bundles of the collection, complete or not.

    Returns:
        Folders with a ``configs`` in ``bundles/`` of the working directory or of this package's checkout; of
        two with one name the first; sorted by name.
    """
    found: dict[str, Path] = {}
    for configs in (path for shelf in _shelves() for path in shelf.glob("*/configs")):
        found.setdefault(configs.parent.name, configs.parent)
    return [found[name] for name in sorted(found)]


def _shelves() -> list[Path]:
    return [Path("bundles"), Path(__file__).resolve().parents[1] / "bundles"]


def inference_config(bundle_root: Path) -> dict[str, Any]:
    """What a bundle's ``configs/inference.json`` says, unparsed.

    Args:
        bundle_root: the bundle's folder.

    Returns:
        Id -> content.
    """
    from monai.bundle import ConfigParser

    config: dict[str, Any] = ConfigParser.load_config_file(bundle_root / "configs" / "inference.json")
    return config
