"""The commands of docs/share.md, run in the order of the page, print what it shows."""

from __future__ import annotations

import fnmatch
import os
import subprocess
import sys
from pathlib import Path

import pytest

from monai_levelset.data import load_datalist
from monai_levelset.data.phantoms import generate_phantoms
from tests.test_docs import FENCE, blocks

PAGE = Path(__file__).resolve().parents[2] / "docs" / "share.md"
#: The package's command runs where it is installed, all else where it is not; nothing is installed.
SHELL = """
set -eu
monai-levelset() {{ '{python}' -W ignore -m monai_levelset.cli "$@"; }}
python() {{ PYTHONPATH="{site}${{PYTHONPATH:+:$PYTHONPATH}}" '{python}' -S -W ignore "$@"; }}
pip() {{ :; }}
"""


@pytest.mark.slow
def test_the_commands_of_the_page_print_what_it_shows(site: Path, tmp_path: Path) -> None:
    generate_phantoms("lv", tmp_path / "data", cases=8, seed=0)
    (tmp_path / "images").mkdir()
    for item in load_datalist(tmp_path / "data/datalist.json", "test")[:1]:
        Path(item["image"]).rename(tmp_path / "images" / Path(item["image"]).name)
    script = SHELL.format(python=sys.executable, site=site)
    script += "\n".join(code for _, code in blocks(PAGE, "shell"))
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "MPLBACKEND": "Agg"}
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    printed = (done.stdout + done.stderr).splitlines()
    for _, text in blocks(PAGE, "text"):
        for line in text.splitlines():
            assert fnmatch.filter(printed, line.replace("...", "*")), line
    made = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert {"zoo/lv_mri_levelset_segmentation/scripts", "my_ventricle_segmentation/eval/history.csv"} <= made
    assert len(list((tmp_path / "predictions").glob("*.nii.gz"))) == 1


def test_every_block_of_the_page_is_run() -> None:
    """Python blocks by test_docs.py, shell and text blocks above."""
    languages = {match[2] for match in FENCE.finditer(PAGE.read_text(encoding="utf-8"))}
    assert languages == {"python", "shell", "text"}
