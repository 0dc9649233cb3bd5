"""What a bundle's configuration may say, so that it can be executed without harm.

MONAI executes a configuration. So each ``$`` expression is parsed, not run, and compared with an allow-list,
and each ``_target_`` must be defined by MONAI, torch, ignite or this package.
"""

from __future__ import annotations

import ast
import difflib
import functools
import json
import pydoc
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from monai.bundle.config_item import ComponentLocator

__all__ = [
    "PACKAGES",
    "expression_problems",
    "expressions",
    "imported_names",
    "include_problems",
    "included_files",
    "strings",
    "target_problems",
    "targets",
]

PACKAGES = ("monai", "torch", "ignite", "monai_levelset")

_MODULES = {*PACKAGES, "glob", "json", "math", "numpy", "operator", "os", "pathlib"}
_PREDEFINED = {"monai", "torch", "np", "numpy"}  # what MONAI's ConfigParser offers without an import
_BUILTINS = set(
    "abs all any bool dict enumerate filter float int isinstance len list map max min print range reversed "
    "round set sorted str sum tuple zip".split()
)
_OF_OS = re.compile(r"os\.(path(\.\w+)?|environ(\.get)?)")
_FORBIDDEN = set(
    "ConfigExpression attrgetter builtins bundle cpp_extension exec execl execv hub load_inline methodcaller "
    "optional_import os popen remove rename rmdir rmtree run_cmd spawn spawnv subprocess sys system unlink "
    "write_bytes write_text".split()
)
_NODES = (
    *(ast.Expression, ast.Call, ast.keyword, ast.Name, ast.Load, ast.Store, ast.Attribute, ast.Constant),
    *(ast.List, ast.Tuple, ast.Dict, ast.Set, ast.Subscript, ast.Slice, ast.Starred, ast.IfExp),
    *(ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.operator, ast.unaryop, ast.boolop, ast.cmpop),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.comprehension),
    *(ast.Lambda, ast.arguments, ast.arg, ast.JoinedStr, ast.FormattedValue),
)
_REFERENCE = re.compile(r"@\w+(?:(?:#|::)\w+)*")
_INCLUDED = re.compile(r"%(.+?\.(?:json|ya?ml))", re.IGNORECASE)
_NAMESPACES = "transforms losses networks.nets handlers inferers engines data metrics optimizers".split()


def expression_problems(text: str, names: set[str]) -> list[str]:
    """What is wrong with one ``$`` expression; it is parsed, never executed.

    Args:
        text: the expression, with its ``$``.
        names: those that the bundle's imports define; see `imported_names`.

    Returns:
        One text per problem; none for an expression on the allow-list.

    Example:
        >>> expression_problems("$@network_def.to(@device)", set())
        []
        >>> expression_problems("$__import__('os').system('ls')", set())
        ['unknown name __import__', '.system is not allowed']
    """
    source = _REFERENCE.sub("_reference_", text.removeprefix("$").strip())
    if source.startswith(("import ", "from ")):
        return _import_problems(source)
    try:
        tree = ast.parse(source, mode="eval")
    except SyntaxError as error:
        return [f"syntax: {error.msg}"]
    nodes = list(ast.walk(tree))
    bound = {node.arg for node in nodes if isinstance(node, ast.arg)}
    bound |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    known = _BUILTINS | _PREDEFINED | names | bound | {"_reference_"}
    problems = [f"{type(node).__name__} is not allowed" for node in nodes if not isinstance(node, _NODES)]
    problems += [f"unknown name {n.id}" for n in nodes if isinstance(n, ast.Name) and n.id not in known]
    problems += [p for node in nodes if isinstance(node, ast.Attribute) for p in _attribute_problems(node)]
    return problems + _load_problems(nodes)


def target_problems(name: str) -> list[str]:
    """What is wrong with a ``_target_``: it must exist and be defined by one of the known packages.

    Only modules of these packages are imported; nothing is called.

    Args:
        name: the value of ``_target_``.

    Returns:
        One text per problem.

    Example:
        >>> target_problems("monai.losses.DiceLoss"), target_problems("os.system")
        ([], ['os.system is not of monai, torch, ignite, monai_levelset'])
        >>> target_problems("monai.losses.DiceLos")
        ['monai.losses.DiceLos does not exist; did you mean DiceLoss?']
    """
    target = _full_target(name)
    if target is None:
        return [f"{name} is no component of MONAI{_suggestion(name)}"]
    parts = target.split(".")
    if parts[0] not in PACKAGES or _FORBIDDEN & set(parts) or parts[-1] == "load":
        return [f"{target} is not of {', '.join(PACKAGES)}"]
    try:
        found = pydoc.locate(target)
    except pydoc.ErrorDuringImport as error:
        return [f"{target} cannot be imported: {error.value}"]
    if found is None:
        return [f"{target} does not exist{_suggestion(target)}"]
    home = (getattr(found, "__module__", None) or target).split(".")[0]
    return [] if home in PACKAGES else [f"{target} is defined in {home}"]


def include_problems(config: Path) -> list[str]:
    """What is wrong with the files that a configuration includes by ``%file.json``.

    Args:
        config: a file in a bundle's ``configs``.

    Returns:
        One text per file that does not exist, or is none of the bundle's own configurations.
    """
    bundle, problems = config.parents[1].resolve(), []
    for name in included_files(config):
        found = [(root / name).resolve() for root in (bundle, config.parent) if (root / name).is_file()]
        if not found:
            problems.append(f"%{name} does not exist")
        elif found[0].parent != bundle / "configs" or found[0].suffix != ".json":
            problems.append(f"%{name} is none of the bundle's own configurations")
    return problems


def included_files(config: Path) -> list[str]:
    """Names of the files that a configuration includes by ``%file.json``."""
    texts = [text for _, text in strings(json.loads(config.read_text(encoding="utf-8")))]
    return [match[1] for text in texts if (match := _INCLUDED.match(text))]


def strings(item: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """All strings of a configuration.

    Args:
        item: what the file holds.
        place: where `item` stands.

    Yields:
        Place and text.

    Example:
        >>> list(strings({"train": ["$1", 2]}))
        [('#train#0', '$1')]
    """
    if isinstance(item, dict):
        for key, value in item.items():
            yield from strings(value, f"{place}#{key}")
    elif isinstance(item, list):
        for index, value in enumerate(item):
            yield from strings(value, f"{place}#{index}")
    elif isinstance(item, str):
        yield place, item


def expressions(config: Path) -> list[tuple[str, str]]:
    """Place and text of all ``$`` expressions of a configuration file."""
    content = json.loads(config.read_text(encoding="utf-8"))
    return [(place, text) for place, text in strings(content) if text.startswith("$")]


def targets(config: Path) -> list[tuple[str, str]]:
    """Place and text of all ``_target_`` of a configuration file."""
    content = json.loads(config.read_text(encoding="utf-8"))
    return [(place, text) for place, text in strings(content) if place.endswith("#_target_")]


def imported_names(bundle: Path) -> set[str]:
    """Names that the import statements of a bundle's configurations define."""
    configs = (bundle / "configs").glob("*.json")
    texts = [text[1:].strip() for config in configs for _, text in expressions(config)]
    statements = [text for text in texts if text.startswith(("import ", "from "))]
    return {name for text in statements if not _import_problems(text) for name in _imports(text)}


def _import_problems(source: str) -> list[str]:
    try:
        modules = _imports(source).values()
    except SyntaxError as error:
        return [f"syntax: {error.msg}"]
    return [f"imports {module}" for module in modules if not _is_allowed_module(module)]


def _attribute_problems(node: ast.Attribute) -> list[str]:
    """Private names, processes, changes of the file system."""
    dotted = ast.unparse(node)
    if dotted.split(".")[0] == "os":
        return [] if _OF_OS.fullmatch(dotted) else [f"{dotted} is not allowed"]
    if node.attr.startswith("_") or node.attr in _FORBIDDEN:
        return [f".{node.attr} is not allowed"]
    return []


def _load_problems(nodes: list[ast.AST]) -> list[str]:
    """A ``load`` that may unpickle: one that is not called with ``weights_only=True`` on the spot."""
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    safe = {
        id(call.func)
        for call in calls
        if any(word.arg == "weights_only" and _is_true(word.value) for word in call.keywords)
    }
    loads = [node for node in nodes if isinstance(node, ast.Attribute) and node.attr == "load"]
    pickles = [word for call in calls for word in call.keywords if word.arg == "allow_pickle"]
    problems = [f"{ast.unparse(n)} without weights_only=True" for n in loads if id(n) not in safe]
    return problems + ["allow_pickle is not allowed"] * bool(pickles)


def _is_true(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def _imports(source: str) -> dict[str, str]:
    """Name that an import statement defines -> module that it comes from."""
    found: dict[str, str] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import):
            found |= {alias.asname or alias.name.split(".")[0]: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        else:
            found["statement"] = ast.unparse(node)
    return found


def _is_allowed_module(name: str) -> bool:
    """Whether a dotted name may be imported; of `os` only itself and `os.path`: `_OF_OS` sees each use."""
    parts = name.split(".")
    if parts[0] == "os":
        return name in ("os", "os.path")
    return parts[0] in _MODULES and not _FORBIDDEN & set(parts) and parts[-1] != "load"


@functools.cache
def _locator() -> ComponentLocator:
    """MONAI's table of the classes that a configuration may name without their module."""
    return ComponentLocator(excludes=["metadata"])


def _full_target(name: str) -> str | None:
    """`_target_` with its module; None where MONAI has no component of this name."""
    if "." in name:
        return name
    module = _locator().get_component_module_name(name)
    return f"{module[0] if isinstance(module, list) else module}.{name}" if module else None


def _suggestion(target: str) -> str:
    module, _, name = target.rpartition(".")
    try:
        modules = [import_module(n) for n in ([module] if module else [f"monai.{n}" for n in _NAMESPACES])]
    except ImportError:
        return ""
    close = difflib.get_close_matches(name, {known for found in modules for known in dir(found)}, n=1)
    return f"; did you mean {close[0]}?" if close else ""
