"""Pages that lie elsewhere in the repository: model cards and `CONTRIBUTING.md`, shown as they are."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
#: Link of Markdown to a file of the repository, with its anchor.
_LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")


def borrowed() -> dict[str, str]:
    """Page of the site -> file of the repository."""
    cards = sorted(ROOT.glob("bundles/*/docs/README.md"))
    pages = {f"bundles/{card.parents[1].name}.md": card.relative_to(ROOT).as_posix() for card in cards}
    return pages | {"contributing.md": "CONTRIBUTING.md"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages, and a page for each notebook."""
    for page, source in borrowed().items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository into links between pages."""
    return site_links(markdown, page.file.src_uri)


def site_links(markdown: str, page: str) -> str:
    """Links as the site needs them.

    Args:
        markdown: text of a page, whose links hold in the repository.
        page: its place in the site.

    Returns:
        The text, with links that hold in the site.
    """
    pages = borrowed()
    here = posixpath.dirname(pages.get(page, f"docs/{page}"))
    targets = {source: name for name, source in pages.items()}

    def replace(match: re.Match[str]) -> str:
        file = posixpath.normpath(posixpath.join(here, match[1]))
        target = targets.get(file, file.removeprefix("docs/"))
        if target.endswith(".ipynb"):
            target = f"{target.removesuffix('.ipynb')}.md"
        return f"]({posixpath.relpath(target, posixpath.dirname(page) or '.')}{match[2] or ''})"

    return _LINK.sub(replace, markdown)
