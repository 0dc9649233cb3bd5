"""The notebooks run as they are, every warning being an error, and show what the site says they show."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("nbclient", reason="notebooks need the extra 'dev'")

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)


def cells(notebook: Path) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return content


def kept(notebook: Path) -> dict[str, Any]:
    file = FOLDER / "outputs" / f"{notebook.stem}.json"
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def run(notebook: Path, folder: Path) -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location("docs_notebooks", FOLDER / "__main__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    outputs: dict[str, Any] = module.run_notebook(notebook, folder)
    return outputs


def dice(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"\b[01]\.\d{3}\b", text)]


@each_notebook
def test_notebooks_are_committed_without_outputs(notebook: Path) -> None:
    code = [cell for cell in cells(notebook) if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert list(kept(notebook)) == [cell["id"] for cell in code], "run python -m docs.notebooks"


@each_notebook
def test_pictures_of_the_site_show_something(notebook: Path) -> None:
    pictures = [name for cell in kept(notebook).values() for name in cell["pictures"]]
    assert pictures
    for name in pictures:
        assert np.asarray(Image.open(FOLDER / "outputs" / name).convert("L")).std() > 10


def test_four_clicks(tmp_path: Path) -> None:
    notebook = FOLDER / "four_clicks.ipynb"
    outputs = run(notebook, tmp_path)
    assert outputs["slice"]["text"] == kept(notebook)["slice"]["text"]
    assert min(dice(outputs["steps"]["text"])[:6]) > 0.9
    by_rows = dice(outputs["misplaced"]["text"])
    assert len(by_rows) == 7
    assert by_rows[3] == max(by_rows)  # the click that is where it belongs
    assert by_rows[0] < by_rows[1] < by_rows[2]
    assert by_rows[6] < by_rows[5] < by_rows[4]
    assert [len(outputs[name]["pictures"]) for name in ("figure", "misplaced-figure")] == [1, 1]


def test_ten_labels(tmp_path: Path) -> None:
    notebook = FOLDER / "ten_labels.ipynb"
    outputs = run(notebook, tmp_path)
    assert "10 labelled" in outputs["data"]["text"]
    scores = dice(outputs["scores"]["text"])
    assert len(scores) == 6
    assert min(scores) > 0.7
    assert abs(scores[4] - scores[2]) < 0.08  # joint training beside its control
    assert [len(outputs[name]["pictures"]) for name in ("phantoms", "overlay")] == [1, 1]
