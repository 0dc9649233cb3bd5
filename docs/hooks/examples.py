"""Docstrings here say `Example:`, where the parser knows `Examples:`; some end a line with `::`."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_HEADING = re.compile(r"^(\s*)Example:$", re.MULTILINE)
_LITERAL = re.compile(r"::$", re.MULTILINE)


class ExampleSections(Extension):
    """Let examples be shown as code with its output."""

    def on_instance(self, *, obj: Object, **kwargs: Any) -> None:
        """Write one docstring as the parser wants it."""
        if obj.docstring:
            text = _HEADING.sub(r"\1Examples:", obj.docstring.value)
            obj.docstring.value = _LITERAL.sub(":", text)
