"""An environment that lacks monai-levelset and nothing else, for what a shared bundle must do without it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

Done = subprocess.CompletedProcess[str]


def bare_site(folder: Path) -> Path:
    """A folder of links to all installed packages but this one.

    Python is then started without its site module (`-S`), which is what reads the `.pth` file of an editable
    installation.
    """
    folder.mkdir(parents=True)
    for site in (Path(path) for path in sys.path if Path(path).name in ("site-packages", "dist-packages")):
        for entry in site.iterdir():
            if not entry.name.replace("-", "_").lstrip("_").startswith(("monai_levelset", "editable")):
                link = folder / entry.name
                if entry.suffix != ".pth" and not link.exists():
                    link.symlink_to(entry)
    return folder


def run_bare(site: Path, cwd: Path, *words: str | Path) -> Done:
    """`python WORDS` in a folder, in that environment."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV_"))}
    env |= {"PYTHONPATH": str(site), "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}
    env |= {"CUDA_VISIBLE_DEVICES": "", "MPLBACKEND": "Agg", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-S", *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=900, check=False)
