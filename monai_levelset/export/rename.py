"""From names of this package to names of the package that a shared bundle brings along."""

from __future__ import annotations

import io
import json
import re
import tokenize
from collections.abc import Iterator

from monai_levelset.doctor.config_rules import strings

__all__ = ["PACKAGE", "SCRIPTS", "named_strings", "renamed_config", "renamed_module"]

PACKAGE = "monai_levelset"
SCRIPTS = "scripts"

_DOTTED = re.compile(rf"\b{PACKAGE}(?=[.]\w)")
_IN_EXPRESSION = re.compile(rf"\b{PACKAGE}(?=[.\s])")
_TEXTS = ("STRING", "COMMENT", "FSTRING_MIDDLE")  # the last one is Python 3.12's


def renamed_module(source: str) -> str:
    """A module's source with every import of this package turned into one of `scripts`.

    Code is read as Python's tokens: the name itself, wherever it stands, and dotted names in strings,
    docstrings and comments. Relative imports stay.

    Args:
        source: of a module.

    Returns:
        The same, line by line.

    Example:
        >>> print(renamed_module("from monai_levelset.data import x  # not the monai_levelset of old"))
        from scripts.data import x  # not the monai_levelset of old
    """
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    parts, done = [], 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        start, end = (starts[row - 1] + column for row, column in (token.start, token.end))
        kind = tokenize.tok_name[token.type]
        if token.string == PACKAGE or kind in _TEXTS:
            old = source[start:end]
            parts += [source[done:start], SCRIPTS if old == PACKAGE else _DOTTED.sub(SCRIPTS, old)]
            done = end
    return "".join([*parts, source[done:]])


def named_strings(text: str) -> Iterator[tuple[str, str]]:
    """The strings of a configuration that may name this package.

    Args:
        text: content of a JSON file.

    Yields:
        Place and string: every `_target_` and every ``$`` expression with the package's name.
    """
    for place, string in strings(json.loads(text)):
        if (place.endswith("#_target_") or string.startswith("$")) and PACKAGE in string:
            yield place, string


def renamed_config(text: str) -> str:
    """A configuration whose targets and expressions name `scripts` instead of this package.

    Args:
        text: content of a JSON file.

    Returns:
        The same, with all other text and the layout as they were.

    Example:
        >>> print(renamed_config('{"a": {"_target_": "monai_levelset.losses.LevelSetLoss"}}'))
        {"a": {"_target_": "scripts.losses.LevelSetLoss"}}
    """
    for _, old in set(named_strings(text)):
        new = _IN_EXPRESSION.sub(SCRIPTS, old)
        text = text.replace(json.dumps(old, ensure_ascii=False), json.dumps(new, ensure_ascii=False))
    return text
