"""What is wrong with the data, the weights or the output folder is said before anything is trained."""

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

from .common import check_nothing_was_trained, config_files, monai_bundle, reason, run_workflow
from .lv import LV_BUNDLE, write_data

Settings = dict[str, Any]
Case = Callable[[Path], tuple[Settings, list[str]]]


@pytest.fixture(scope="module")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("bad") / "data", {"training": 3, "validation": 1, "test": 1})


@pytest.fixture
def folder(small_data: Path, tmp_path: Path) -> Path:
    """A folder with data to spoil in `data`."""
    shutil.copytree(small_data, tmp_path / "data")
    return tmp_path


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "data/datalist.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def missing_folder(folder: Path) -> tuple[Settings, list[str]]:
    return {"dataset_dir": folder / "nowhere"}, [
        "nowhere: the data folder does not exist",
        "Correct its path",
    ]


def empty_folder(folder: Path) -> tuple[Settings, list[str]]:
    (folder / "empty").mkdir()
    return {"dataset_dir": folder / "empty"}, ["empty: the data folder is empty", "put the data there"]


def label_of_another_size(folder: Path) -> tuple[Settings, list[str]]:
    Image.new("L", (160, 150), 255).save(folder / "data/training-1-label.png")
    return {}, ["training-1-label.png: its size (160, 150) differs from (160, 160)", "Resample it"]


def label_on_another_grid(folder: Path) -> tuple[Settings, list[str]]:
    values = np.zeros((64, 64), np.int16)
    values[20:50, 20:50] = 1
    for name, shift in (("image", 0), ("label", 30)):
        affine = np.diag([1.4, 1.4, 8, 1.0])
        affine[0, 3] = shift
        nib.save(nib.Nifti1Image(values, affine), folder / f"data/{name}.nii.gz")
    edit(folder, lambda c: c["training"][0].update(image="image.nii.gz", label="label.nii.gz"))
    return {}, ["label.nii.gz: its affine differs", "copy the image's affine"]


def validation_label_of_another_size(folder: Path) -> tuple[Settings, list[str]]:
    Image.new("L", (160, 150), 255).save(folder / "data/validation-0-label.png")
    return {}, ["validation-0-label.png: its size"]


def no_label(folder: Path) -> tuple[Settings, list[str]]:
    edit(folder, lambda c: [item.pop("label") for item in c["training"]])
    return {}, ["no case of the section 'training' has a label", "datalist.json", "Add `label`"]


def patient_in_two_sections(folder: Path) -> tuple[Settings, list[str]]:
    edit(folder, lambda c: c["test"][0].update(patient="training-0"))
    return {}, ["patient training-0 is in the sections training and test", "Keep it in one"]


def nan(folder: Path) -> tuple[Settings, list[str]]:
    values = np.random.default_rng(0).random((160, 160), np.float32)
    values[3, 4] = np.nan
    nib.save(nib.Nifti1Image(values, np.eye(4)), folder / "data/nan.nii.gz")
    edit(folder, lambda c: c["training"][2].update(image="nan.nii.gz"))
    return {}, ["nan.nii.gz: 1 of its values are NaN", "convert the image again"]


def corrupt(folder: Path) -> tuple[Settings, list[str]]:
    path = folder / "data/training-2.png"
    path.write_bytes(path.read_bytes()[:2000])
    return {}, ["training-2.png: cannot be read", "Copy or convert it again"]


def another_network(folder: Path) -> tuple[Settings, list[str]]:
    torch.save(torch.nn.Conv2d(1, 2, 3).state_dict(), folder / "other.pt")
    return {"pretrained": folder / "other.pt"}, ["other.pt: this checkpoint belongs to another network"]


def broken_weights(folder: Path) -> tuple[Settings, list[str]]:
    (folder / "broken.pt").write_bytes(b"PK\x03\x04 and no more")
    return {"pretrained": folder / "broken.pt"}, ["broken.pt: not a checkpoint", "Copy it again"]


def nothing_to_resume(folder: Path) -> tuple[Settings, list[str]]:
    return {"resume": True}, ["checkpoint.pt: nothing to resume here", "--resume False"]


def unwritable_output(folder: Path) -> tuple[Settings, list[str]]:
    (folder / "file").touch()
    return {"output_dir": folder / "file/eval"}, ["file/eval: the output folder cannot be written", "Choose"]


def unwritable_weights(folder: Path) -> tuple[Settings, list[str]]:
    (folder / "file").touch()
    return {"ckpt_dir": folder / "file/models"}, ["file/models: the output folder cannot be written"]


CASES: list[Case] = [
    *(missing_folder, empty_folder, label_of_another_size, label_on_another_grid),
    *(validation_label_of_another_size, no_label, patient_in_two_sections, nan, corrupt, another_network),
    *(broken_weights, nothing_to_resume, unwritable_output, unwritable_weights),
]


def settings_for(folder: Path, spoilt: Settings) -> Settings:
    folders = {"dataset_dir": folder / "data", "ckpt_dir": folder / "models", "output_dir": folder / "eval"}
    return {**folders, "max_updates": 2, **spoilt}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_training_refuses(case: Case, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    spoilt, words = case(folder)
    with pytest.raises(RuntimeError) as error:
        run_workflow(LV_BUNDLE, "train", run_id="training", log_interval=1, **settings_for(folder, spoilt))
    message = reason(error.value)
    assert [word for word in words if word not in message] == []
    check_nothing_was_trained(folder, caplog.text)


@pytest.mark.parametrize("case", [corrupt, unwritable_output], ids=lambda case: case.__name__)
def test_the_command_ends_with_the_reason(case: Case, folder: Path) -> None:
    spoilt, words = case(folder)
    settings = settings_for(folder, spoilt)
    done = monai_bundle(
        *("run", "training", "--bundle_root", LV_BUNDLE, "--config_file", config_files(LV_BUNDLE, "train")),
        *(str(word) for name, value in settings.items() for word in (f"--{name}", value)),
    )
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert [word for word in words if word not in last] == []
    check_nothing_was_trained(folder, done.stderr)


def no_weights(folder: Path) -> tuple[Settings, list[str]]:
    return {}, ["model.pt: the checkpoint does not exist", "train first"]


def weights_of_another_network(folder: Path) -> tuple[Settings, list[str]]:
    (folder / "models").mkdir()
    torch.save(torch.nn.Conv2d(1, 2, 3).state_dict(), folder / "models/model.pt")
    return {}, ["model.pt: this checkpoint belongs to another network", "Give the checkpoint of this network"]


@pytest.mark.parametrize("case", [no_weights, weights_of_another_network], ids=lambda case: case.__name__)
def test_evaluation_refuses(case: Case, folder: Path) -> None:
    spoilt, words = case(folder)
    torch.save(torch.zeros(1, 1, 72, 72), folder / "prior.pt")
    settings = {**settings_for(folder, spoilt), "shape_prior": folder / "prior.pt"}
    with pytest.raises(RuntimeError) as error:
        run_workflow(LV_BUNDLE, "train", "evaluate", run_id="evaluating", **settings)
    assert [word for word in words if word not in reason(error.value)] == []
    assert not list((folder / "eval").iterdir())


def no_prior(folder: Path) -> tuple[Settings, list[str]]:
    return {"shape_prior": folder / "prior.pt"}, ["prior.pt: no shape prior here", "Train the bundle"]


def no_images(folder: Path) -> tuple[Settings, list[str]]:
    (folder / "none").mkdir()
    return {"dataset_dir": folder / "none"}, ["none: holds no image file"]


@pytest.mark.parametrize(
    "case", [no_prior, no_images, corrupt, unwritable_output], ids=lambda case: case.__name__
)
def test_inference_refuses(case: Case, folder: Path) -> None:
    spoilt, words = case(folder)
    settings = {"dataset_dir": folder / "data", "output_dir": folder / "out", **spoilt}
    with pytest.raises(RuntimeError) as error:
        run_workflow(LV_BUNDLE, "inference", checkpoint=folder / "model.pt", **settings)
    assert [word for word in words if word not in reason(error.value)] == []
    assert not [path for path in (folder / "out").rglob("*") if path.is_file()]
