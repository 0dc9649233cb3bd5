"""Below a paper's page: the tables that its reproduction wrote."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

_TABLES = Path(__file__).resolve().parents[1] / "reproduction"
_NAMED = re.compile(r"reproduction/([\w-]+)/table\.md")


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Add the tables that a page of a paper links to, folded."""
    if not page.file.src_uri.startswith("papers/"):
        return markdown
    names = dict.fromkeys(_NAMED.findall(markdown))
    return "\n".join([markdown, *(["## The tables as written", ""] if names else []), *map(_folded, names)])


def _folded(name: str) -> str:
    table = (_TABLES / name / "table.md").read_text(encoding="utf-8")
    return f'??? note "{name}"\n\n{textwrap.indent(table, "    ")}\n'
