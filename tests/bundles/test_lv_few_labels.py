"""The few-label configuration of the left-ventricle bundle: training, resuming, label maps of volumes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose

from monai_levelset.data import prepare
from monai_levelset.metrics import case_metrics
from monai_levelset.prediction import predict
from monai_levelset.reproduce.targets import config_files
from tests.hearts import write_hearts

from .common import config_files as files_of
from .common import monai_bundle, reason, run_workflow, scalars
from .lv import LV_BUNDLE

STRUCTURES = {"rv": 1, "myo": 2, "lv": 3}
SMALL: dict[str, Any] = {"image_size": [48, 48], "log_interval": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four patients of three slices to train on, of whom one or more are labelled, and one for validation."""
    folder = tmp_path_factory.mktemp("few")
    write_hearts(folder / "source", train=[1, 2, 3, 4], val=[5])
    prepare("acdc", folder / "source", folder / "data")
    return folder / "data"


def train(data: Path, folder: Path, *overrides: str, **changes: Any) -> Any:
    folders = {"dataset_dir": data, "ckpt_dir": folder / "models", "output_dir": folder / "eval"}
    settings = {**SMALL, **folders, "cache_dir": data / "cache", **changes}
    return run_workflow(LV_BUNDLE, "train", "few_labels", *overrides, run_id="training", **settings)


@pytest.mark.parametrize("overrides", [(), ("few_labels_supervised",)])
def test_an_interrupted_training_goes_on_bit_for_bit(
    data: Path, tmp_path: Path, overrides: tuple[str, ...]
) -> None:
    """Network and teacher; the ramp, too, goes on where it was."""
    settings = {"labeled_fraction": 0.5, "max_updates": 80, "batch_size": 4}

    def states(name: str, **more: Any) -> dict[str, Any]:
        train(data, tmp_path / name, *overrides, **{**settings, **more})
        found: dict[str, Any] = torch.load(tmp_path / name / "eval/checkpoint.pt", weights_only=True)
        return {**found["model"], **found["teacher"]}

    whole = states("whole", max_epochs=2)
    begun = states("parts", max_epochs=1)
    assert any(not torch.equal(begun[name], whole[name]) for name in whole)
    resumed = states("parts", max_epochs=2, resume=True)
    assert resumed.keys() == whole.keys()
    assert [name for name, values in whole.items() if not torch.equal(resumed[name], values)] == []


def test_what_is_kept_is_the_teacher(data: Path, tmp_path: Path) -> None:
    train(data, tmp_path, labeled_fraction=0.5, max_epochs=1)
    kept = torch.load(tmp_path / "models/model.pt", weights_only=True)
    checkpoint = torch.load(tmp_path / "eval/checkpoint.pt", weights_only=True)
    teacher = {name.removeprefix("module."): values for name, values in checkpoint["teacher"].items()}
    assert all(torch.equal(values, teacher[name]) for name, values in kept.items())
    assert any(not torch.equal(values, checkpoint["model"][name]) for name, values in kept.items())


def test_two_processes_train_as_one(data: Path, tmp_path: Path) -> None:
    """Each with its share of the labelled and of the unlabelled images, mixed, and the same teacher.

    Batch normalization and Dice are of a process's own share: instances are normalized here, and Dice is made
    so smooth that cross entropy alone decides.
    """
    loss = "{'_target_': 'monai_levelset.losses.WeightedDiceCELoss', 'smooth': 1e12}"
    settings = [
        "--labeled_fraction",
        "0.5",
        "--max_updates",
        "6",
        "--log_interval",
        "1",
        "--dataset_dir",
        data,
    ]
    settings += ["--image_size", "[48, 48]", "--network_def#norm", "instance", "--loss#segmentation", loss]
    settings += ["--train#mix", "{'_target_': 'monai_levelset.transforms.CopyPaste'}"]
    # A teacher that is trusted from the first update on is seen in the losses.
    settings += ["--train#trainer#ramp_updates", "0", "--cache_dir", data / "cache"]
    for processes in (1, 2):
        several = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
        names = ["train", "few_labels", "multi_gpu_train"][: processes + 1]
        out = tmp_path / str(processes)
        done = monai_bundle(
            *("run", "training", "--bundle_root", LV_BUNDLE),
            *("--config_file", files_of(LV_BUNDLE, *names), *settings),
            *("--ckpt_dir", out / "models", "--output_dir", out / "eval"),
            launcher=several if processes == 2 else [],
        )
        assert done.returncode == 0, done.stderr
    losses = [scalars(tmp_path / str(n) / "eval", "loss") for n in (1, 2)]
    assert len(losses[0]) == 6
    np.testing.assert_allclose(losses[1], losses[0], atol=1e-4)
    kept = [torch.load(tmp_path / str(n) / "models/model.pt", weights_only=True) for n in (1, 2)]
    assert list(kept[0]) == list(kept[1])


@pytest.mark.slow
def test_hearts_are_learned_from_two_labels_and_label_maps_have_the_images_grid(
    data: Path, tmp_path: Path
) -> None:
    train(data, tmp_path, labeled_fraction=0.5, max_updates=150, log_interval=50)
    write_hearts(tmp_path / "test", test=[11, 12])
    images = tmp_path / "test/images"
    turned = nib.as_closest_canonical(nib.load(images / "patient011_frame01.nii.gz")).slicer[::-1, :, :]
    nib.save(turned, images / "turned.nii.gz")
    report = predict(
        LV_BUNDLE,
        images,
        tmp_path / "out",
        overrides="few_labels_inference",
        checkpoint=tmp_path / "models/model.pt",
        settings={"image_size": [48, 48]},
    )
    for case in report["cases"]:
        image = nib.load(images / f"{case['id']}.nii.gz")
        found = nib.load(tmp_path / "out" / case["files"][0])
        assert found.shape == image.shape
        assert np.allclose(found.affine, image.affine)
        if case["id"] == "turned":
            continue
        truth = np.asarray(nib.load(tmp_path / f"test/labels/{case['id']}.nii.gz").dataobj)
        metrics = case_metrics(np.asarray(found.dataobj), truth, labels=STRUCTURES, distances=False)
        assert metrics["dice"] > 0.8
        assert metrics["missed"] == 0


@pytest.mark.parametrize("overrides", [("few_labels",), ("few_labels", "few_labels_full")])
def test_training_and_inference_agree(overrides: tuple[str, ...]) -> None:
    training, inference = ConfigParser(), ConfigParser()
    training.read_config(config_files(LV_BUNDLE, *overrides))
    inference.read_config(
        config_files(LV_BUNDLE, *(f"{name}_inference" for name in overrides), base="inference")
    )
    for name in ("network_def", "roi_scale", "image_size", "classes"):
        assert training[name] == inference[name]
    network = inference.get_parsed_content("network_def")
    assert network(torch.zeros(2, 1, 64, 64)).shape == (2, 4, 64, 64)


def test_a_network_sees_a_slice_as_it_was_trained_on_it(tmp_path: Path) -> None:
    """Alone or within its volume; the edge of a slice, which is cropped, comes back as background."""
    volume = np.random.default_rng(0).normal(100, 30, (50, 40, 3)).astype(np.float32)
    for name, values in (("slice", volume[..., 1]), ("volume", volume)):
        nib.save(nib.Nifti1Image(values, np.diag([-1.0, -1.0, 1.0, 1.0])), tmp_path / f"{name}.nii.gz")
    training, inference = ConfigParser(), ConfigParser()
    training.read_config(config_files(LV_BUNDLE, "few_labels"))
    inference.read_config(config_files(LV_BUNDLE, "few_labels_inference", base="inference"))
    inference["output_dir"] = str(tmp_path / "out")
    seen = Compose(training.get_parsed_content("preprocessing"))({"image": tmp_path / "slice.nii.gz"})
    before, after = (inference.get_parsed_content(f"{n}processing") for n in ("pre", "post"))
    found = before({"image": tmp_path / "volume.nii.gz"})
    assert found["image"].shape == (1, 112, 112, 3)
    torch.testing.assert_close(found["image"][..., 1].as_tensor(), seen["image"].as_tensor())
    scores = torch.zeros(4, *found["image"].shape[1:])
    scores[3] = 9
    label = after({**found, "pred": MetaTensor(scores)})["pred"]
    inside = torch.zeros(50, 40, 3, dtype=torch.bool)
    inside[5:45, 4:36] = True
    assert torch.equal(label == 3, inside)
    assert torch.equal(label == 0, ~inside)


def test_no_heart_of_the_training_and_validation_patients_is_cropped(data_root: Path) -> None:
    """The part of a slice that the network sees was chosen by these; the test patients have no say."""
    parser = ConfigParser()
    parser.read_config(config_files(LV_BUNDLE, "few_labels"))
    acdc = data_root / "lv/acdc"
    splits = json.loads((acdc / "splits.json").read_text())
    reach = []
    for name in splits["train"] + splits["val"]:
        heart = np.asarray(nib.load(acdc / "labels" / f"{name}.nii.gz").dataobj).any(axis=-1)
        places = np.argwhere(heart)
        middle = np.array(heart.shape) / 2
        outermost = np.maximum(middle - places.min(0), places.max(0) + 1 - middle)
        reach.append(float((outermost / middle).max()))
    assert len(reach) == 160
    assert 0.79 < max(reach) <= parser["roi_scale"]


def test_the_full_configuration_is_the_field_s(tmp_path: Path) -> None:
    parser = ConfigParser()
    parser.read_config(config_files(LV_BUNDLE, "few_labels", "few_labels_full"))
    assert [parser[name] for name in ("max_updates", "batch_size", "image_size")] == [30000, 24, [256, 256]]
    assert parser["amp"] is True
    weights = sum(p.numel() for p in parser.get_parsed_content("network_def").parameters())
    assert 1.5e6 < weights < 2.5e6


def test_a_label_beyond_the_classes_is_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as caught:
        train(data, tmp_path, classes=3)
    assert "patient" in reason(caught.value)
    assert "unexpected label values 3" in reason(caught.value)
