"""Every bundle from a Python session: `create_workflow`, `ConfigWorkflow`, `run`, and what these leave."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import monai.bundle
import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow, create_workflow

from monai_levelset.data import DataError, load_section, simulated_clicks, write_clicks
from monai_levelset.data.errors import data_error
from monai_levelset.data.grids import read_array
from monai_levelset.data.phantoms import generate_phantoms
from monai_levelset.engines import UpdateTrainer

from .brats import BRATS_BUNDLE, SMALL
from .click_training import TINY
from .common import dice
from .fundus import FUNDUS_BUNDLE
from .lits import LITS_BUNDLE
from .liver import LIVER_BUNDLE
from .lv import LV_BUNDLE
from .natural import NATURAL_BUNDLE, QUICK
from .prostate import PROSTATE_BUNDLE

Weights = dict[str, torch.Tensor]
CLICKED = {"fundus": {"disc": [1, 2], "cup": [2]}, "prostate": {"prostate": [1]}}
pytestmark = pytest.mark.filterwarnings("ignore:parsing config_file:UserWarning")  # MONAI's, always


@dataclass
class Case:
    """A bundle, an override file of its training, and settings with which that takes seconds."""

    task: str
    bundle: Path
    override: str | None
    small: dict[str, Any] = field(default_factory=dict)

    def config(self, *names: str | None) -> list[str]:
        return [str(self.bundle / "configs" / f"{name}.json") for name in names if name]


CASES = [
    Case("lv", LV_BUNDLE, "pretrain"),
    Case("liver", LIVER_BUNDLE, "pretrain"),
    Case("lits", LITS_BUNDLE, "liver", {"size": [64, 64], "channels": [8, 16]}),
    Case("brats", BRATS_BUNDLE, "pretrain", SMALL),
    Case("natural", NATURAL_BUNDLE, None, QUICK),
    Case("fundus", FUNDUS_BUNDLE, "confidence_map", TINY),
    Case("prostate", PROSTATE_BUNDLE, "boundary_loss", TINY),
]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.task)


@pytest.fixture(scope="module")
def data_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a task's phantoms: one case or patient in each section."""
    folders: dict[str, Path] = {}

    def of(task: str) -> Path:
        if task not in folders:
            folders[task] = tmp_path_factory.mktemp(task) / "data"
            generate_phantoms(task, folders[task], cases={"fundus": 6, "natural": 4}.get(task, 3), seed=0)
        return folders[task]

    return of


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of the session: empty, and it must stay so."""
    folder = tmp_path / "session"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def training(case: Case, data: Path, out: Path, **settings: Any) -> ConfigWorkflow:
    """A training of two updates, not yet initialized; results go below `out`."""
    workflow = ConfigWorkflow(
        case.config("train", case.override),
        workflow_type="train",
        run_id="training",
        logging_file=False,
        **{**case.small, "batch_size": 2, "max_updates": 2, "cache_dir": str(data / ".slices"), **settings},
    )
    workflow.bundle_root, workflow.dataset_dir = str(out), str(data)
    workflow.device = torch.device("cpu")
    return workflow


def finish(workflow: ConfigWorkflow) -> ConfigWorkflow:
    workflow.initialize()
    workflow.run()
    workflow.finalize()
    return workflow


def weights(out: Path) -> dict[str, torch.Tensor]:
    """What a training has kept."""
    (file,) = (out / "models").glob("[ml]*.pt")  # model.pt, or liver_network.pt
    state: dict[str, torch.Tensor] = torch.load(file, weights_only=True)
    return state


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@each_case
def test_a_training_by_its_properties(
    case: Case, data_of: Callable[[str], Path], tmp_path: Path, elsewhere: Path
) -> None:
    shipped = {path: path.stat().st_mtime_ns for path in case.bundle.rglob("*")}
    workflow = training(case, data_of(case.task), tmp_path / "out")
    workflow.val_interval = 1
    workflow.initialize()
    assert workflow.check_properties() == []
    assert (workflow.bundle_root, workflow.device) == (str(tmp_path / "out"), torch.device("cpu"))
    workflow.run()
    workflow.finalize()
    assert workflow.trainer.state.updates == 2
    assert np.isfinite(list(workflow.evaluator.state.metrics.values())).all()
    kept = weights(tmp_path / "out")
    assert kept.keys() == workflow.network_def.state_dict().keys()
    assert {"history.csv", "curves.png"} <= {path.name for path in (tmp_path / "out/eval").iterdir()}
    assert list(elsewhere.iterdir()) == []
    assert {path: path.stat().st_mtime_ns for path in case.bundle.rglob("*")} == shipped


def one_image(case: Case, data: Path, folder: Path) -> tuple[Path, Path]:
    """A folder with a test image, of a volume eight slices in its middle, and the label of it."""
    (folder / "images").mkdir(parents=True)
    item = load_section(data, "test")[0]
    for source, target in ((item["image"], folder / "images"), (item["label"], folder)):
        shutil.copy(source, target / Path(source).name) if case.task != "lits" else cut(source, target)
    return folder / "images", folder / Path(item["label"]).name


def cut(file: str, folder: Path) -> None:
    volume: Any = nib.load(file)
    middle = volume.shape[2] // 2
    nib.save(volume.slicer[:, :, middle - 4 : middle + 4], folder / Path(file).name)


@each_case
def test_an_inference_by_its_properties(
    case: Case, data_of: Callable[[str], Path], tmp_path: Path, elsewhere: Path
) -> None:
    images, label = one_image(case, data_of(case.task), tmp_path / "in")
    settings: dict[str, Any] = {}
    if case.task in CLICKED:
        settings["clicks"] = str(tmp_path / "clicks.json")
        write_clicks(simulated_clicks([label], CLICKED[case.task]), tmp_path / "clicks.json")
    workflow = ConfigWorkflow(
        case.config("inference"),
        workflow_type="infer",
        logging_file=False,
        output_dir=str(tmp_path / "out"),
        **settings,
    )
    workflow.bundle_root, workflow.dataset_dir = str(case.bundle), str(images)
    workflow.device = torch.device("cpu")
    workflow.initialize()
    assert workflow.check_properties() == []
    assert len(workflow.dataset) == 1
    workflow.run()
    workflow.finalize()
    (found,) = (tmp_path / "out").iterdir()
    assert found.name == next(images.iterdir()).name
    (result, grid), (truth, expected) = read_array(found), read_array(label)
    assert (grid.shape, grid.spacing) == (expected.shape, expected.spacing)
    assert len(np.unique(result)) > 1
    if case.task != "natural":  # whose regions have no names
        assert dice(result, truth) > 0.75
    assert list(elsewhere.iterdir()) == []


def state() -> dict[str, Any]:
    """What a session could miss after a workflow has run in it."""
    root = logging.getLogger()
    return {
        "signals": {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)},
        "figures": plt.get_fignums(),
        "root logger": (root.level, list(root.handlers), root.disabled),
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "threads": torch.get_num_threads(),
        "dtype": torch.get_default_dtype(),
        "gradients": torch.is_grad_enabled(),
        "warnings": list(warnings.filters),
        "distributed": torch.distributed.is_initialized(),
        "streams": (sys.stdout, sys.stderr, sys.displayhook, threading.excepthook),
    }


@pytest.fixture
def lv(data_of: Callable[[str], Path]) -> Callable[..., ConfigWorkflow]:
    """A training of the left-ventricle bundle."""

    def make(out: Path, **settings: Any) -> ConfigWorkflow:
        return training(CASES[0], data_of("lv"), out, **settings)

    return make


@pytest.fixture(scope="module")
def lv_weights(data_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """What that training learns."""
    folder = tmp_path_factory.mktemp("lv")
    finish(training(CASES[0], data_of("lv"), folder))
    return weights(folder)


def test_a_workflow_leaves_the_session_as_it_was(lv: Callable[..., ConfigWorkflow], tmp_path: Path) -> None:
    before = state()
    finish(lv(tmp_path))
    assert state() == before


def test_one_workflow_has_no_influence_on_the_next(
    lv: Callable[..., ConfigWorkflow], lv_weights: Weights, data_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """Each seeds the random generators, and nothing of the other bundle remains."""
    finish(training(CASES[4], data_of("natural"), tmp_path / "natural"))
    torch.manual_seed(99)
    finish(lv(tmp_path / "lv"))
    assert same(weights(tmp_path / "lv"), lv_weights)


def test_two_workflows_at_a_time_are_two(
    lv: Callable[..., ConfigWorkflow], data_of: Callable[[str], Path], tmp_path: Path
) -> None:
    one, two = lv(tmp_path / "one"), training(CASES[4], data_of("natural"), tmp_path / "two")
    one.initialize()
    two.initialize()
    assert type(one.trainer) is not type(two.trainer)
    two.run()
    one.run()
    assert (one.trainer.state.updates, two.trainer.state.updates) == (2, 2)
    assert "val_mean_dice" in one.evaluator.state.metrics
    assert "val_negative_loss" in two.evaluator.state.metrics


def test_a_training_in_a_thread_is_that_of_the_main_thread(
    lv: Callable[..., ConfigWorkflow], lv_weights: Weights, tmp_path: Path
) -> None:
    before = state()
    thread = threading.Thread(target=lambda: finish(lv(tmp_path / "thread")))
    thread.start()
    thread.join()
    assert state() == before
    assert same(weights(tmp_path / "thread"), lv_weights)


def test_ctrl_c_saves_and_the_session_goes_on(
    lv: Callable[..., ConfigWorkflow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"batch_size": 4, "max_updates": 4, "val_interval": 4}
    finish(lv(tmp_path / "whole", **settings))
    before, update = state(), UpdateTrainer.update

    def interrupted(trainer: UpdateTrainer, *arguments: Any) -> Any:
        output = update(trainer, *arguments)
        signal.raise_signal(signal.SIGINT)
        return output

    monkeypatch.setattr(UpdateTrainer, "update", interrupted)
    with pytest.raises(SystemExit, match="130"):
        finish(lv(tmp_path / "parts", **settings))
    monkeypatch.setattr(UpdateTrainer, "update", update)
    assert state() == before
    finish(lv(tmp_path / "parts", **settings, resume=True))
    assert same(weights(tmp_path / "parts"), weights(tmp_path / "whole"))


def test_data_that_does_not_fit_is_told_and_the_workflow_can_be_corrected(
    lv: Callable[..., ConfigWorkflow], data_of: Callable[[str], Path], tmp_path: Path
) -> None:
    before, workflow = state(), lv(tmp_path)
    workflow.dataset_dir = str(tmp_path / "nothing")
    workflow.initialize()
    with pytest.raises(RuntimeError) as error:
        workflow.run()
    assert str(data_error(error.value)).startswith(f"{tmp_path / 'nothing'}: the data folder does not exist")
    assert isinstance(data_error(error.value), DataError)
    assert state() == before
    workflow.dataset_dir = str(data_of("lv"))
    finish(workflow)
    assert workflow.trainer.state.updates == 2


def test_the_users_cases_take_the_place_of_the_data_folder(
    lv: Callable[..., ConfigWorkflow], data_of: Callable[[str], Path], tmp_path: Path
) -> None:
    workflow = lv(tmp_path)
    folder = data_of("lv")
    workflow.dataset_dir = str(tmp_path / "nothing")
    workflow.train_dataset_data = load_section(folder, "training")
    workflow.val_dataset_data = load_section(folder, "validation")
    finish(workflow)
    assert workflow.trainer.state.updates == 2
    patients = {item["patient"] for item in load_section(folder, "training")}
    assert {item["patient"] for item in workflow.train_dataset.data} == patients


def test_run_as_a_function_and_create_workflow_do_the_same(
    lv_weights: Weights, data_of: Callable[[str], Path], tmp_path: Path, elsewhere: Path
) -> None:
    case, data = CASES[0], str(data_of("lv"))
    files = case.config("train", case.override)
    settings = {"batch_size": 2, "max_updates": 2, "cache_dir": f"{data}/.slices", "device": "cpu"}
    settings |= {"dataset_dir": data, "logging_file": False}
    monai.bundle.run(
        "training", config_file=files, workflow_type="train", bundle_root=str(tmp_path / "run"), **settings
    )
    workflow = create_workflow(
        config_file=files,
        workflow_type="train",
        run_id="training",
        bundle_root=str(tmp_path / "create"),
        **settings,
    )
    workflow.run()
    workflow.finalize()
    assert workflow.check_properties() == []
    for name in ("run", "create"):
        assert same(weights(tmp_path / name), lv_weights)
    assert list(elsewhere.iterdir()) == []
