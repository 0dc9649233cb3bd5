"""A label is put, the bundle is trained on it, and the server goes on with the new weights."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from .conftest import BUNDLES, PICTURES, TASKS
from .server import LabelServer, values
from .studies import axial_clicks, studies

#: What Slicer sends when *Train* is clicked, but for the number of epochs.
REQUEST: dict[str, Any] = {
    "device": "cpu",
    "pretrained": True,
    "max_epochs": 1,
    "val_split": 0.5,
    "multi_gpu": True,
    "gpus": "all",
    "tracking": "None",
    "tracking_uri": "",
    "tracking_experiment_name": "",
    "run_id": "",
    "model_filename": "model.pt",
}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("bundle", TASKS)
def test_train_on_labels_of_a_viewer(bundle: str, label_python: Path, tmp_path: Path) -> None:
    task = TASKS[bundle]
    labelled = studies(task, tmp_path / "phantoms", cases=2)
    third = labelled[0].image.with_name(labelled[0].image.name.replace(labelled[0].id, "unlabelled"))
    third.write_bytes(labelled[0].image.read_bytes())
    images = [*(study.image for study in labelled), third]
    with LabelServer(label_python, tmp_path, [BUNDLES / bundle], images) as server:
        assert server.next_sample("first")["id"] == labelled[0].id
        for study in labelled:
            server.save_label(study.id, study.label)
        assert server.next_sample("first")["id"] == "unlabelled"
        assert server.next_sample("random")["id"] == "unlabelled"
        weights = server.app / "model" / bundle / "models" / "model.pt"
        before, shown = digest(weights), result(server, bundle, task)
        trained = server.train(bundle, **REQUEST)
        assert trained["status"] == "DONE", "\n".join(trained["details"])
        assert digest(weights) != before
        assert server.get("info/")["models"][bundle]["config"]["model_filename"][0] == "model.pt"
        again = result(server, bundle, task)
    log = server.log.read_text()
    assert "Traceback" not in log
    assert log.count("Reload model from cache") == 1
    assert again.shape == shown.shape
    assert_started_from_the_shipped_weights(BUNDLES / bundle / "models" / "model.pt", weights)


def assert_started_from_the_shipped_weights(shipped: Path, trained: Path) -> None:
    """One epoch from random weights would not stay so near."""
    before, after = (torch.load(path, weights_only=True) for path in (shipped, trained))
    assert before.keys() == after.keys()
    old, new = (torch.cat([v.float().flatten() for v in state.values()]) for state in (before, after))
    assert 0 < (new - old).norm() < 0.2 * old.norm()


def result(server: LabelServer, bundle: str, task: str) -> np.ndarray:
    if task in PICTURES:
        return server.infer_picture(bundle, "unlabelled")
    if bundle.endswith("deepgrow"):
        return values(server.infer(bundle, "unlabelled", foreground=[]))
    return values(server.infer(bundle, "unlabelled"))


def test_a_single_label_trains_without_validation(label_python: Path, tmp_path: Path) -> None:
    bundle = "prostate_mri_levelset_deepgrow"
    (study,) = studies("prostate", tmp_path / "phantoms")
    with LabelServer(label_python, tmp_path, [BUNDLES / bundle], [study.image]) as server:
        server.save_label(study.id, study.label)
        weights = server.app / "model" / bundle / "models" / "model.pt"
        before = digest(weights)
        clicks = axial_clicks(study)
        shown = values(server.infer(bundle, study.id, foreground=clicks))
        trained = server.train(bundle, **{**REQUEST, "val_split": 0.2, "max_epochs": 2})
        assert trained["status"] == "DONE", "\n".join(trained["details"])
        assert digest(weights) != before
        again = values(server.infer(bundle, study.id, foreground=clicks))
        assert server.next_sample("first") == {}
    assert (again != shown).any()
    assert "Traceback" not in server.log.read_text()
