"""The click bundles say what is wrong with data, weights or folders before anything is trained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image

from monai_levelset.data.phantoms import generate_phantoms

from .click_training import BUNDLES, DISTANCES, TINY, train
from .common import check_nothing_was_trained, config_files, monai_bundle, reason, run_workflow, scalars

pytestmark = pytest.mark.filterwarnings(DISTANCES)
Settings = dict[str, Any]
Case = Callable[[Path], tuple[Settings, list[str]]]


@pytest.fixture(scope="module")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {task: tmp_path_factory.mktemp(task) / "data" for task in BUNDLES}
    for task, folder in folders.items():
        generate_phantoms(task, folder, cases={"fundus": 8, "prostate": 3}[task], seed=0)
    return folders


@pytest.fixture(params=BUNDLES)
def task(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(task: str, small_data: dict[str, Path], tmp_path: Path) -> Path:
    """A folder with data to spoil in `data`."""
    shutil.copytree(small_data[task], tmp_path / "data")
    return tmp_path


def first(folder: Path, key: str, section: str = "training") -> Path:
    """A file of the first case."""
    content = json.loads((folder / "data/datalist.json").read_text())
    return Path(folder / "data" / content[section][0][key])


def change(path: Path, edit: Callable[[np.ndarray], np.ndarray]) -> None:
    """Other values in an image or label."""
    if path.suffix == ".png":
        with Image.open(path) as image:
            values = np.array(image)
        Image.fromarray(edit(values)).save(path)
    else:
        volume: Any = nib.load(path)
        nib.save(nib.Nifti1Image(edit(np.asarray(volume.dataobj).copy()), volume.affine), path)


def edit_list(folder: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / "data/datalist.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def another_label_value(folder: Path) -> tuple[Settings, list[str]]:
    def seven(values: np.ndarray) -> np.ndarray:
        values[values == values.max()] = 7
        return values

    change(first(folder, "label"), seven)
    return {}, [first(folder, "label").name, "7"]


def label_of_another_size(folder: Path) -> tuple[Settings, list[str]]:
    change(first(folder, "label"), lambda values: values[:-3])
    return {}, [f"{first(folder, 'label').name}: its size", "differs from", "Resample it"]


def validation_label_of_another_size(folder: Path) -> tuple[Settings, list[str]]:
    path = first(folder, "label", "validation")
    change(path, lambda values: values[:, 2:])
    return {}, [f"{path.name}: its size", "differs from", "Resample it"]


def missing_label(folder: Path) -> tuple[Settings, list[str]]:
    path = first(folder, "label")
    path.unlink()
    return {}, [path.name, "does not exist"]


def empty_labels(folder: Path) -> tuple[Settings, list[str]]:
    for label in (folder / "data/labels").iterdir():
        change(label, np.zeros_like)
    return {}, ["Every label is empty", "hold the structure"]


def no_label(folder: Path) -> tuple[Settings, list[str]]:
    edit_list(folder, lambda content: [item.pop("label") for item in content["training"]])
    return {}, ["no case of the section 'training' has a label", "Add `label`"]


def truncated_image(folder: Path) -> tuple[Settings, list[str]]:
    path = first(folder, "image")
    path.write_bytes(path.read_bytes()[:2000])
    return {}, [f"{path.name}: cannot be read", "Copy or convert it again"]


def weights_of_another_network(folder: Path) -> tuple[Settings, list[str]]:
    torch.save(torch.nn.Conv2d(1, 2, 3).state_dict(), folder / "other.pt")
    return {"pretrained": folder / "other.pt"}, ["other.pt: this checkpoint belongs to another network"]


def broken_weights(folder: Path) -> tuple[Settings, list[str]]:
    (folder / "broken.pt").write_bytes(b"PK\x03\x04 and no more")
    return {"pretrained": folder / "broken.pt"}, ["broken.pt: not a checkpoint", "Copy it again"]


def broken_imagenet_weights(folder: Path) -> tuple[Settings, list[str]]:
    (folder / "r18.pth").write_bytes(b"PK\x03\x04 and no more")
    return {"imagenet": folder / "r18.pth"}, ["r18.pth: not a checkpoint", "Copy it again"]


def imagenet_weights_of_another_resnet(folder: Path) -> tuple[Settings, list[str]]:
    torch.save({"layer9.0.conv1.weight": torch.zeros(1)}, folder / "r.pth")
    return {"imagenet": folder / "r.pth"}, ["r.pth: these are weights of another network", "Give those of"]


def nothing_to_resume(folder: Path) -> tuple[Settings, list[str]]:
    return {"resume": True}, ["checkpoint.pt: nothing to resume here", "--resume False"]


def unwritable_output(folder: Path) -> tuple[Settings, list[str]]:
    (folder / "file").touch()
    return {"output_dir": folder / "file/eval"}, ["file/eval: the output folder cannot be written", "Choose"]


CASES: list[Case] = [
    *(another_label_value, label_of_another_size, validation_label_of_another_size, missing_label, no_label),
    *(empty_labels, truncated_image, weights_of_another_network, broken_weights, broken_imagenet_weights),
    *(imagenet_weights_of_another_resnet, nothing_to_resume, unwritable_output),
]


def settings_for(folder: Path, spoilt: Settings) -> Settings:
    places = {"ckpt_dir": folder / "run/models", "output_dir": folder / "run/eval"}
    return {"dataset_dir": folder / "data", "cache_dir": folder / "data/cache", **places, **TINY, **spoilt}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_training_refuses(case: Case, task: str, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    spoilt, words = case(folder)
    with pytest.raises(RuntimeError) as error:
        run_workflow(BUNDLES[task], "train", run_id="training", max_updates=2, **settings_for(folder, spoilt))
    message = reason(error.value)
    assert [word for word in words if word not in message] == []
    check_nothing_was_trained(folder / "run", caplog.text)


def test_the_command_ends_with_the_reason(task: str, folder: Path) -> None:
    spoilt, words = another_label_value(folder)
    settings = {
        name: settings_for(folder, spoilt)[name] for name in ("dataset_dir", "ckpt_dir", "output_dir")
    }
    done = monai_bundle(
        *("run", "training", "--bundle_root", BUNDLES[task]),
        *("--config_file", config_files(BUNDLES[task], "train")),
        *(str(word) for name, value in settings.items() for word in (f"--{name}", value)),
    )
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert [word for word in words if word not in last] == []
    check_nothing_was_trained(folder / "run", done.stderr)


def no_weights(folder: Path) -> tuple[Settings, list[str]]:
    return {}, ["model.pt: the checkpoint does not exist", "train first"]


def other_weights(folder: Path) -> tuple[Settings, list[str]]:
    (folder / "run/models").mkdir(parents=True)
    torch.save(torch.nn.Conv2d(1, 2, 3).state_dict(), folder / "run/models/model.pt")
    return {}, ["model.pt: this checkpoint belongs to another network", "Give the checkpoint of this network"]


@pytest.mark.parametrize("case", [no_weights, other_weights], ids=lambda case: case.__name__)
def test_evaluation_refuses(case: Case, task: str, folder: Path) -> None:
    spoilt, words = case(folder)
    with pytest.raises(RuntimeError) as error:
        run_workflow(
            *(BUNDLES[task], "train", "evaluate"), run_id="evaluating", **settings_for(folder, spoilt)
        )
    assert [word for word in words if word not in reason(error.value)] == []
    assert not [path for path in (folder / "run/eval").iterdir() if path.suffix == ".csv"]


def test_an_image_may_lack_a_structure(small_data: dict[str, Path], tmp_path: Path) -> None:
    """A photograph without cup is trained on as one in which only the disc can be clicked."""
    shutil.copytree(small_data["fundus"], tmp_path / "data")
    change(first(tmp_path, "label"), lambda values: np.minimum(values, 1))
    settings = {"max_updates": 2, "val_interval": 2, "width": 0.125, "batch_size": 2}
    train(BUNDLES["fundus"], tmp_path / "data", tmp_path / "run", **settings)
    assert np.isfinite(scalars(tmp_path / "run/eval", "loss")).all()
