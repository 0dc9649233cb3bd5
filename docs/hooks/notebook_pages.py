"""Notebooks as pages: their cells, and what `python -m docs.notebooks` saw when it ran them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each notebook."""
    for notebook in sorted(FOLDER.glob("*.ipynb")):
        files.append(File.generated(config, f"notebooks/{notebook.stem}.md", content=notebook_page(notebook)))
    return files


def notebook_page(notebook: Path) -> str:
    """Markdown of a notebook.

    Args:
        notebook: the file, without outputs.

    Returns:
        Text cells as they are, code in fences, and after each cell its saved text and pictures.
    """
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    outputs = json.loads((FOLDER / "outputs" / f"{notebook.stem}.json").read_text(encoding="utf-8"))
    title, *rest = [_cell(cell, outputs) for cell in cells]
    download = f'<a href="{notebook.name}" download>Download this notebook</a>.'
    return "\n\n".join([title, download, *rest, ""])


def _cell(cell: dict[str, Any], outputs: dict[str, Any]) -> str:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return source
    found = outputs[cell["id"]]
    text = [f"```text\n{found['text'].rstrip()}\n```"] if found["text"] else []
    pictures = [f"![What this cell draws](outputs/{name})" for name in found["pictures"]]
    return "\n\n".join([f"```py\n{source}\n```", *text, *pictures])
