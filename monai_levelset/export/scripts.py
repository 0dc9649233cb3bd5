"""The package `scripts` of a shared bundle: the modules that its configurations reach."""

from __future__ import annotations

import json
from pathlib import Path

from monai_levelset import __version__
from monai_levelset.export.reach import Reached, package_imports
from monai_levelset.export.rename import PACKAGE, SCRIPTS, renamed_module

__all__ = ["script_files"]

_ROOT = '''"""The classes that this bundle's configurations name, from monai-levelset {version}."""

__version__ = "{version}"
'''


def script_files(reached: Reached) -> dict[str, str]:
    r"""The source files of the package.

    Args:
        reached: modules, and the names that packages must offer.

    Returns:
        Path in the bundle -> source. A package's `__init__` offers only what is reached.

    Example:
        >>> from monai_levelset.export.reach import reach
        >>> files = script_files(reach([("monai_levelset.losses", "PerItemLoss")]))
        >>> list(files)
        ['scripts/__init__.py', 'scripts/losses/__init__.py', 'scripts/losses/per_item.py']
        >>> print(files["scripts/losses/__init__.py"].split("\n\n", 1)[1])
        from scripts.losses.per_item import PerItemLoss
        <BLANKLINE>
        __all__ = ["PerItemLoss"]
        <BLANKLINE>
    """
    files = {_place(name) + ".py": renamed_module(_text(path)) for name, path in reached.modules.items()}
    for package, names in reached.names.items():
        files[f"{_place(package)}/__init__.py"] = _package(package, names)
    return dict(sorted(files.items()))


def _package(package: str, names: set[str]) -> str:
    if package == PACKAGE:
        return _ROOT.format(version=__version__)
    text = f'"""Of {package}: what this bundle needs."""\n'
    lines = [_import(name, *wish) for name, wish in package_imports(package) if name in names]
    if not lines:
        return text
    return text + "\n" + "\n".join(lines) + f"\n\n__all__ = {json.dumps(sorted(names))}\n"


def _import(name: str, module: str, original: str) -> str:
    alias = "" if name == original else f" as {name}"
    return renamed_module(f"from {module} import {original}{alias}")


def _place(module: str) -> str:
    return "/".join([SCRIPTS, *module.split(".")[1:]])


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
