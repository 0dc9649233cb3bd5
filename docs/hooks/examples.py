"""Docstrings of this project say `Example:`; the parser knows `Examples:` only."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_HEADING = re.compile(r"^(\s*)Example:$", re.MULTILINE)


class ExampleSections(Extension):
    """Let examples be shown as code with its output."""

    def on_instance(self, *, obj: Object, **kwargs: Any) -> None:
        """Rename the heading in one docstring."""
        if obj.docstring:
            obj.docstring.value = _HEADING.sub(r"\1Examples:", obj.docstring.value)
