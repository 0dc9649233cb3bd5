"""Tiny data sets in the layouts of Sunnybrook and of the liver slices, and a stand-in for the trainings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from PIL import Image

from monai_levelset.data import prepare

from .slices import write_slices

WIDTH, HEIGHT = 150, 130
SPLITS = {"train": ["SC-N-02", "SC-N-03"], "val": ["SC-N-05"], "test": ["SC-N-06", "SC-N-07"]}


def disc(x: float, y: float, radius: float) -> np.ndarray:
    """Rows x columns, as an image file stores it."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return (columns - x) ** 2 + (rows - y) ** 2 < radius**2


def write_data(root: Path) -> Path:
    """Two slices per patient: a bright disc at another place in each."""
    for folder in ("images", "endocardium"):
        (root / folder).mkdir(parents=True)
    for number, patient in enumerate(name for names in SPLITS.values() for name in names):
        for frame in (8, 20):
            label = disc(75 + 3 * number, 62 - 2 * number, 17 + frame / 10)
            noise = np.random.default_rng([number, frame]).integers(0, 60, label.shape)
            name = f"{patient}-IM-0001-{frame:04d}.png"
            Image.fromarray((60 + 120 * label + noise).astype(np.uint8)).save(root / "images" / name)
            Image.fromarray((255 * label).astype(np.uint8)).save(root / "endocardium" / name)
    (root / "splits.json").write_text(json.dumps(SPLITS))
    return root


class Trainings:
    """Stands in for `run_workflow`: remembers the settings and leaves what a training would leave."""

    def __init__(self) -> None:
        self.settings: list[dict[str, Any]] = []
        self.files: list[list[str]] = []
        self.interrupt: str | None = None

    def __call__(self, files: Sequence[str], bundle: Path, settings: Mapping[str, Any]) -> None:
        self.settings.append(dict(settings))
        self.files.append([Path(file).stem for file in files])
        out = Path(settings["output_dir"])
        (out / "checkpoint.pt").write_bytes(b"state")
        if out.name == self.interrupt:
            raise KeyboardInterrupt
        generator = torch.random.get_rng_state()
        torch.manual_seed(10 * settings["seed"] + len(out.name))
        parser = ConfigParser()
        parser.read_config(list(files))
        torch.save(parser.get_parsed_content("network_def").state_dict(), out / "model.pt")
        torch.random.set_rng_state(generator)
        x = torch.arange(72.0) - 35.5
        torch.save(18 - (x[:, None] ** 2 + x**2).sqrt()[None, None], out / "shape_prior.pt")

    @property
    def names(self) -> list[str]:
        """Stages trained, in order."""
        return [Path(settings["output_dir"]).name for settings in self.settings]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set; treat it as read only."""
    return write_data(tmp_path_factory.mktemp("png") / "data")


@pytest.fixture
def own_data(tmp_path: Path) -> Path:
    """A copy to spoil."""
    return write_data(tmp_path / "data")


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Trainings:
    """No stage is really trained."""
    stub = Trainings()
    monkeypatch.setattr("monai_levelset.reproduce.stages.run_workflow", stub)
    return stub


@pytest.fixture(scope="session")
def stub_trainings() -> Callable[[], Trainings]:
    """Makes stand-ins, for fixtures of a wider scope."""
    return Trainings


@pytest.fixture(autouse=True, scope="session")
def quickly_prepared() -> Iterator[None]:
    """Starting processes and drawing the overview take longer than reading a few slices."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("monai_levelset.reproduce.parts.prepare", partial(prepare, workers=1))
        module = import_module("monai_levelset.data.prepare")  # the package has a function of this name
        patch.setattr(module, "draw_montage", lambda *arguments: None)
        yield


@pytest.fixture
def liver_data(tmp_path: Path) -> Callable[..., Path]:
    """Writes liver slices of the given parts of the splits into a folder of that name."""
    return lambda *parts: write_slices(tmp_path / "-".join(parts), *parts)


@pytest.fixture
def tiny_bundle(tmp_path: Path) -> Path:
    """A bundle of configuration files alone, whose overrides disagree."""
    folder = tmp_path / "tiny"
    network = {"_target_": "torch.nn.Conv2d", "in_channels": 1, "out_channels": 2, "kernel_size": 1}
    files: dict[str, dict[str, Any]] = {
        "train": {"max_updates": 1, "batch_size": 5, "network_def": network, "value": "train"},
        "slices": {"max_updates": 2, "value": "slices", "network_def#kernel_size": 3},
        "joint": {"max_updates": 3, "value": "joint"},
        "pretrain": {},
        "inference": {"value": "inference"},
    }
    (folder / "configs").mkdir(parents=True)
    for name, content in files.items():
        (folder / "configs" / f"{name}.json").write_text(json.dumps(content))
    return folder
