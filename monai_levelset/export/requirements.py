"""The packages that a shared bundle requires, by their names on PyPI."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import metadata

from monai_levelset.data.errors import DataError

__all__ = ["PIP_NAMES", "required_packages"]

PIP_NAMES = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "ignite": "pytorch-ignite",
    "skimage": "scikit-image",
}
"""Name of an imported module -> name of its package, where they differ."""

_OWN_FIELDS = ("monai", "numpy", "torch")  # metadata.json has a version of each for itself


def required_packages(listed: Mapping[str, str], modules: Iterable[str]) -> dict[str, str]:
    """What a bundle without this package requires.

    Args:
        listed: `required_packages_version` of the bundle.
        modules: top-level names of all that the shipped modules import.

    Returns:
        Package -> exact version: all that is listed but this package itself, and the installed versions of
        the others.

    Raises:
        DataError: a package is neither listed nor installed.

    Example:
        >>> required_packages({"monai-levelset": "0.1.0", "pillow": "10.0.0"}, ["PIL", "torch"])
        {'pillow': '10.0.0'}
    """
    packages = {PIP_NAMES.get(module, module) for module in modules if module not in _OWN_FIELDS}
    found = {name: version for name, version in listed.items() if name != "monai-levelset"}
    found |= {name: _installed(name) for name in packages if name not in found}
    return dict(sorted(found.items()))


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError as error:
        raise DataError(
            f"{name}: a module of the bundle imports it, but it is not installed, so that its version is not "
            f"known. Install it: pip install {name}"
        ) from error
