"""Which modules a bundle's configurations reach, and what these import from elsewhere."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from monai_levelset.data.errors import DataError
from monai_levelset.export.rename import PACKAGE, named_strings

__all__ = ["Reached", "Wish", "config_wishes", "package_imports", "reach"]

#: A module and what is wanted of it; an empty name stands for all of it.
Wish = tuple[str, str]

_FOLDER = Path(__file__).resolve().parents[1]
_NAME = re.compile(rf"\b{PACKAGE}(?:\.\w+)+")


@dataclass
class Reached:
    """What was reached.

    Args:
        modules: dotted name -> file, packages' `__init__` not among them.
        names: package -> the names that its `__init__` must offer.
        others: top-level names of modules that belong neither to this package nor to Python.
    """

    modules: dict[str, Path] = field(default_factory=dict)
    names: dict[str, set[str]] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)


def config_wishes(config: Path) -> list[Wish]:
    """What the targets and expressions of a configuration want of this package.

    Args:
        config: a JSON file.

    Returns:
        Modules and names.
    """
    wishes: list[Wish] = []
    for place, text in named_strings(config.read_text(encoding="utf-8")):
        source = text.removeprefix("$").strip()
        if source.startswith(("from ", "import ")):
            found = _imports(ast.parse(source), "")
        else:
            found = [_split(name) for name in _NAME.findall(source)]
        for module, name in found:
            if module.split(".")[0] == PACKAGE:
                _check(module, name, f"{config}{place}")
                wishes.append((module, name))
    return wishes


def reach(wishes: Iterable[Wish]) -> Reached:
    """Follow the imports, those inside functions included, from what is wanted to all that it needs.

    A package's `__init__` is no module of its own: of what it offers, only the names that somebody imports
    count, so that one class does not bring its whole package along.

    Args:
        wishes: modules and names of this package.

    Returns:
        What is needed, `wishes` included.

    Example:
        >>> sorted(reach([("monai_levelset.losses", "PerItemLoss")]).modules)
        ['monai_levelset.losses.per_item']
    """
    found, todo, seen = Reached(), list(wishes), set[Wish]()
    while todo:
        wish = todo.pop()
        if wish in seen:
            continue
        seen.add(wish)
        module, name = wish
        if module.split(".")[0] != PACKAGE:
            found.others |= {module.split(".")[0]} - sys.stdlib_module_names
        elif _file(module).name == "__init__.py":
            todo += _of_package(module, name, found)
        elif module not in found.modules:
            found.modules[module] = _file(module)
            todo += _imports(_tree(module), module.rpartition(".")[0])
    for module in list(found.modules):
        for parent in _parents(module):
            found.names.setdefault(parent, set())
    return found


def package_imports(package: str) -> list[tuple[str, Wish]]:
    """What a package's `__init__` offers.

    Args:
        package: its dotted name.

    Returns:
        Name, and the module and name that it stands for there, in the order of the file.
    """
    nodes = [node for node in _tree(package).body if isinstance(node, ast.ImportFrom)]
    found = []
    for node in nodes:
        source = _absolute(node, package)
        found += [(alias.asname or alias.name, (source, alias.name)) for alias in node.names]
    return [(name, wish) for name, wish in found if wish[0] != "__future__"]


def _of_package(package: str, name: str, found: Reached) -> list[Wish]:
    """The modules behind one name of a package, or behind all."""
    offered = dict(package_imports(package))
    wanted = [name] if name else list(offered)
    wishes = []
    for one in wanted:
        if one in offered:
            found.names.setdefault(package, set()).add(one)
            wishes.append(offered[one])
        elif _exists(f"{package}.{one}"):  # else it is `__version__`, which `scripts` has, too
            wishes.append((f"{package}.{one}", ""))
    return wishes


def _imports(tree: ast.AST, package: str) -> list[Wish]:
    wishes: list[Wish] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            wishes += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            wishes += [(_absolute(node, package), alias.name) for alias in node.names]
    return wishes


def _absolute(node: ast.ImportFrom, package: str) -> str:
    parts = package.split(".")
    base = parts[: len(parts) + 1 - node.level] if node.level else []
    return ".".join([*base, *([node.module] if node.module else [])])


def _split(dotted: str) -> Wish:
    """A target's module, as long as possible, and the name in it."""
    parts = dotted.split(".")
    count = next((n for n in range(len(parts) - 1, 1, -1) if _exists(".".join(parts[:n]))), 1)
    return ".".join(parts[:count]), parts[count]


def _check(module: str, name: str, place: str) -> None:
    if _exists(module) and (not name or _defines(module, name) or _exists(f"{module}.{name}")):
        return
    dotted = f"{module}.{name}" if name else module
    raise DataError(
        f"{place}: there is no {dotted} in this package. Correct the entry, or update the package."
    )


def _defines(module: str, name: str) -> bool:
    nodes = list(ast.walk(_tree(module)))
    defined = {n.name for n in nodes if isinstance(n, ast.ClassDef | ast.FunctionDef)}
    defined |= {n.asname or n.name for n in nodes if isinstance(n, ast.alias)}
    defined |= {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return name in defined


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts))]


def _exists(module: str) -> bool:
    return _file(module).is_file()


def _file(module: str) -> Path:
    path = _FOLDER.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_name(f"{path.name}.py")


def _tree(module: str) -> ast.Module:
    return ast.parse(_file(module).read_text(encoding="utf-8"))
