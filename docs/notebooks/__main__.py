"""Run the notebooks and keep what they print and draw, for the site: `python -m docs.notebooks [NAME ...]`.

The notebooks are committed without outputs. What the site shows is in `outputs/`: a JSON file for each
notebook, cell -> text and pictures, and the pictures.
"""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from monai_levelset.report import write_json

FOLDER = Path(__file__).resolve().parent
#: What a notebook of somebody else would not have: warnings are errors, pictures are files.
FIRST = """
import warnings
warnings.simplefilter("error")
warnings.filterwarnings("ignore", r"`torch\\.jit\\.\\w+` is deprecated", DeprecationWarning)
warnings.filterwarnings("ignore", "builtin type .* has no __module__ attribute", DeprecationWarning)
warnings.filterwarnings("ignore", "NvImgCodecPydicomReader", UserWarning)
warnings.filterwarnings("ignore", "For consistency across implementations", PendingDeprecationWarning)
import torch
torch.set_num_threads(1)
"""


def run_notebook(file: Path, folder: Path) -> dict[str, Any]:
    """Run a notebook, every warning being an error.

    Args:
        file: the notebook.
        folder: where it runs, and where its pictures go.

    Returns:
        Cell -> `text` that it printed and names of its `pictures`.

    Raises:
        CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(file, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(FIRST, id="warnings"))
    place = {"metadata": {"path": str(folder)}}
    NotebookClient(
        notebook, timeout=1800, startup_timeout=600, kernel_name="python3", resources=place
    ).execute()
    cells = [cell for cell in notebook.cells[1:] if cell.cell_type == "code"]
    return {cell.id: _outputs(cell, folder, f"{file.stem}_{cell.id}") for cell in cells}


def _outputs(cell: Any, folder: Path, name: str) -> dict[str, Any]:
    text, pictures = "", []
    for output in cell.outputs:
        data = output.get("data", {})
        if "image/png" in data:
            pictures.append(f"{name}.png")
            (folder / pictures[-1]).write_bytes(base64.b64decode(data["image/png"]))
        elif output.get("name") != "stderr":
            text += output.get("text", "") or data.get("text/plain", "")
    return {"text": text, "pictures": pictures}


def main(names: list[str]) -> None:
    """Run the notebooks of these names, or all."""
    out = FOLDER / "outputs"
    out.mkdir(exist_ok=True)
    for file in sorted(FOLDER.glob("*.ipynb")):
        if not names or file.stem in names:
            write_json(out / f"{file.stem}.json", run_notebook(file, out))
            print(out / f"{file.stem}.json")


if __name__ == "__main__":
    main(sys.argv[1:])
