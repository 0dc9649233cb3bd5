"""What the documentation shows works: Python blocks run as written, links lead somewhere."""

from __future__ import annotations

import doctest
import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    page for pattern in ("*.md", "docs/**/*.md", "bundles/*/docs/*.md") for page in ROOT.glob(pattern)
)
FENCE = re.compile(r"^( *)```(\w+)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """First line and text of the page's blocks of one language."""
    text = page.read_text(encoding="utf-8")
    found = [match for match in FENCE.finditer(text) if match[2] == language]
    return [(text[: match.start()].count("\n") + 1, textwrap.dedent(match[3])) for match in found]


@each_page
def test_python_blocks_run_in_the_order_of_the_page(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for line, code in blocks(page, "python"):
        exec(compile("\n" * line + code, str(page), "exec"), names)


@each_page
def test_console_blocks_show_what_is_really_printed(page: Path) -> None:
    for line, code in blocks(page, "pycon"):
        test = doctest.DocTestParser().get_doctest(code, {}, page.name, str(page), line)
        report: list[str] = []
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=report.append)
        assert not report, "".join(report)


@each_page
def test_links_to_files_lead_somewhere(page: Path) -> None:
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
