"""Self-contained bundles beside each other in a server whose environment lacks this package."""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest

from monai_levelset.export import export_bundle

from .server import LabelServer, values
from .studies import axial_clicks, studies
from .test_training import REQUEST, digest

#: As `sitecustomize.py` on the path of a process it hides this package from it.
HIDING = """
import sys


class Hidden:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] == "monai_levelset":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Hidden)
"""
PROSTATE, LIVER, LITS = (
    "prostate_mri_levelset_deepgrow",
    "liver_ct_levelset_segmentation",
    "lits_tumor_ct_levelset_segmentation",
)


def unpacked(bundle: str, folder: Path) -> Path:
    export_bundle(bundle, folder / f"{bundle}.zip")
    with zipfile.ZipFile(folder / f"{bundle}.zip") as file:
        file.extractall(folder)
    return folder / bundle


def test_exported_bundles_share_a_server(
    label_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hiding").mkdir()
    (tmp_path / "hiding" / "sitecustomize.py").write_text(HIDING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "hiding"))
    hidden = subprocess.run([label_python, "-c", "import monai_levelset"], env=os.environ, check=False)
    assert hidden.returncode != 0
    (tmp_path / "zips").mkdir()
    bundles = [unpacked(name, tmp_path / "zips") for name in (PROSTATE, LIVER, LITS)]
    (prostate,), (liver,) = (studies(task, tmp_path / task) for task in ("prostate", "liver"))
    with LabelServer(label_python, tmp_path, bundles, [prostate.image, liver.image]) as server:
        clicks = axial_clicks(prostate)
        first = values(server.infer(PROSTATE, prostate.id, foreground=clicks))
        assert set(np.unique(first)) == {0, 1}
        assert set(np.unique(values(server.infer(LIVER, liver.id)))) == {0, 1}
        assert set(np.unique(values(server.infer(LITS, liver.id)))) >= {0, 1}
        again = values(server.infer(PROSTATE, prostate.id, foreground=clicks))  # after the others' scripts
        np.testing.assert_array_equal(again, first)
        server.save_label(prostate.id, prostate.label)
        weights = server.app / "model" / PROSTATE / "models" / "model.pt"
        before = digest(weights)
        trained = server.train(PROSTATE, **{**REQUEST, "val_split": 0.2})
        assert trained["status"] == "DONE", "\n".join(trained["details"])
        assert digest(weights) != before
    assert "Traceback" not in server.log.read_text()
