"""The documentation site: it builds without a warning, is whole, and loads nothing from elsewhere."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import typing
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

pytest.importorskip("material", reason="the site needs the extra 'docs'")

ROOT = Path(__file__).resolve().parents[1]
#: Element -> attributes whose content a browser fetches by itself; `a` is only followed by a reader.
LOADED = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src"}


class Page(HTMLParser):
    """What a page loads, where its links lead, and the anchors it has."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if LOADED.get(tag) in found and found.get("rel") != "canonical":
            self.loads.append(found[LOADED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {file: Page(file) for file in sorted(site.rglob("*.html"))}


def nav_pages(nav: object) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav
    return [page for part in parts for page in nav_pages(part)]  # type: ignore[attr-defined]


def test_every_page_of_the_navigation_is_there(site: Path, pages: dict[Path, Page]) -> None:
    text = re.sub(r"!!python/\S+", "", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    names = nav_pages(yaml.safe_load(text)["nav"])
    assert len(names) > 50
    assert [name for name in names if site / Path(name).with_suffix(".html") not in pages] == []


def test_every_bundle_paper_and_notebook_has_its_page(site: Path) -> None:
    bundles = [folder.parent.name for folder in ROOT.glob("bundles/*/configs")]
    papers = [page.stem for page in (ROOT / "docs/papers").glob("*.md")]
    notebooks = [file.stem for file in (ROOT / "docs/notebooks").glob("*.ipynb")]
    wanted = [f"bundles/{name}" for name in bundles] + [f"papers/{name}" for name in papers]
    wanted += [f"notebooks/{name}" for name in notebooks]
    assert len(bundles) == 7
    assert len(notebooks) == 2
    assert [name for name in wanted if not (site / f"{name}.html").is_file()] == []


def test_a_papers_page_shows_the_table_that_its_reproduction_wrote(site: Path) -> None:
    table = (ROOT / "docs/reproduction/tang2017-lv/table.md").read_text(encoding="utf-8")
    row = next(line for line in table.splitlines() if line.startswith("| FCN-levelset"))
    page = (site / "papers/tang2017.html").read_text(encoding="utf-8")
    assert all(f"<td>{cell.strip()}</td>" in page for cell in row.strip("|").split("|"))
    assert "iou (paper)" in page


def test_the_reference_has_every_public_name_with_its_example(site: Path, pages: dict[Path, Page]) -> None:
    """A function that is called as its file, such as `evolve`, is asked for by its full path."""
    public = json.loads((ROOT / "tests/public_names.json").read_text(encoding="utf-8"))
    for page in sorted((ROOT / "docs/api").glob("*.md")):
        if page.stem == "index":
            continue
        module = f"monai_levelset.{page.stem}"
        anchors = pages[site / f"api/{page.stem}.html"].anchors
        wanted = {name: {f"{module}.{name}", f"{module}.{name}.{name}"} for name in public[module]}
        missing = [name for name, places in wanted.items() if not places & anchors]
        assert [name for name in missing if not is_alias(module, name)] == []
    assert '<span class="gp">&gt;&gt;&gt; </span>' in (site / "api/losses.html").read_text(encoding="utf-8")


def is_alias(module: str, name: str) -> bool:
    """Whether a public name is a type alias, which has no docstring."""
    return typing.get_origin(getattr(importlib.import_module(module), name)) is not None


def test_nothing_is_loaded_from_another_host(site: Path, pages: dict[Path, Page]) -> None:
    foreign = {load for page in pages.values() for load in page.loads if urlsplit(load).netloc}
    assert foreign == set()
    for sheet in site.rglob("*.css"):
        addresses = re.findall(r"(?:url\(|@import\s+)['\"]?(https?:)?//", sheet.read_text(encoding="utf-8"))
        assert addresses == [], sheet


def test_every_internal_link_leads_to_a_page_and_its_anchor(pages: dict[Path, Page]) -> None:
    broken = []
    for file, page in pages.items():
        for link in {*page.links, *page.loads}:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or file.name == "404.html":
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            anchors = pages[target].anchors if target in pages else set()
            if not target.exists() or (parts.fragment and unquote(parts.fragment) not in anchors):
                broken.append(f"{file.name}: {link}")
    assert broken == []
