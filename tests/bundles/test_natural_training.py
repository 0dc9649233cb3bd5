"""The label-free bundle's training: no label is there, the loss chooses the network, it can be resumed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from monai_levelset.data.checkpoints import check_checkpoint
from monai_levelset.quickstart import quickstart

from .common import (
    ROOT,
    check_nothing_was_trained,
    config_files,
    monai_bundle,
    progress,
    reason,
    run_workflow,
    scalars,
)
from .natural import NATURAL_BUNDLE, QUICK, write_pictures


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("natural") / "data")


def test_training_without_any_label_and_evaluation(pictures: Path, tmp_path: Path) -> None:
    settings = {"dataset_dir": pictures, "ckpt_dir": tmp_path / "models", "output_dir": tmp_path / "eval"}
    run_workflow(
        *(NATURAL_BUNDLE, "train"),
        run_id="training",
        **{**settings, **QUICK, "max_updates": 60, "val_interval": 30, "learning_rate": 0.004},
    )
    losses = scalars(tmp_path / "eval", "loss")
    assert len(losses) == 60
    assert np.mean(losses[-6:]) < 0.8 * np.mean(losses[:3])
    scores = scalars(tmp_path / "eval", "val_negative_loss")
    assert len(scores) == 2
    assert max(scores) < 0
    parser = ConfigParser()
    parser.read_config(NATURAL_BUNDLE / "configs/train.json")
    parser.update({"network_def#channels": QUICK["network_def#channels"]})
    check_checkpoint(tmp_path / "models/model.pt", parser.get_parsed_content("network_def"))
    workflow = run_workflow(
        *(NATURAL_BUNDLE, "train", "evaluate"), run_id="evaluating", **settings, **QUICK, section="validation"
    )
    found = workflow.parser.get_parsed_content("validate#evaluator").state.metrics["val_negative_loss"]
    assert found == pytest.approx(max(scores), abs=1e-6)


def test_an_interrupted_training_goes_on_bit_for_bit(pictures: Path, tmp_path: Path) -> None:
    settings = {"dataset_dir": pictures, **QUICK, "val_interval": 2, "max_updates": 6}

    def train(name: str, **more: object) -> dict[str, torch.Tensor]:
        folders = {"ckpt_dir": tmp_path / name, "output_dir": tmp_path / f"{name}-eval"}
        run_workflow(NATURAL_BUNDLE, "train", run_id="training", **{**settings, **folders, **more})
        return torch.load(tmp_path / f"{name}-eval/checkpoint.pt", weights_only=True)["model"]

    whole = train("whole")
    begun = train("parts", max_updates=4, **{"lr_scheduler#T_max": 7})
    assert any(not torch.equal(begun[name], whole[name]) for name in whole)
    resumed = train("parts", resume=True)
    assert all(torch.equal(resumed[name], values) for name, values in whole.items())


@pytest.mark.parametrize("bias_field", [True, False])
def test_the_bias_field_is_one_switch(bias_field: bool) -> None:
    parser = ConfigParser()
    parser.read_config(NATURAL_BUNDLE / "configs/train.json")
    parser["bias_field"] = bias_field
    network, loss = (parser.get_parsed_content(name) for name in ("network_def", "mumford_shah"))
    assert network(torch.rand(1, 3, 20, 28)).shape == (1, 8 + bias_field, 20, 28)
    assert loss.bias_field == bias_field


def test_configurations_agree() -> None:
    train, inference, brain, brain_inference = (
        json.loads((NATURAL_BUNDLE / f"configs/{name}.json").read_text())
        for name in ("train", "inference", "brain_mri", "brain_mri_inference")
    )
    for name in ("colours", "size", "classes", "bias_field", "network_def"):
        assert train[name] == inference[name], name
    resized = [
        next(step for step in steps if step["_target_"] == "Resized")
        for steps in (train["preprocessing"], inference["preprocessing"]["transforms"])
    ]
    assert resized[0] == resized[1]
    assert brain["classes"] == brain_inference["classes"]
    assert brain["network_def#in_channels"] == brain_inference["network_def#in_channels"] == 1
    assert brain["preprocessing"][:-1] == brain_inference["preprocessing#transforms"]
    assert brain.keys() | brain_inference.keys() <= {
        *train,
        *inference,
        *(key for key in (*brain, *brain_inference) if "#" in key),
    }


def no_list(folder: Path) -> str:
    (folder / "datalist.json").unlink()
    return "no datalist.json is here"


def truncated(folder: Path) -> str:
    path = next((folder / "images").iterdir())
    path.write_bytes(path.read_bytes()[:500])
    return path.name


def empty(folder: Path) -> str:
    for path in folder.iterdir():
        path.rename(folder.parent / f"moved-{path.name}")
    return "the data folder is empty"


def no_validation(folder: Path) -> str:
    content = json.loads((folder / "datalist.json").read_text())
    (folder / "datalist.json").write_text(json.dumps({**content, "validation": []}))
    return "the section 'validation' is empty"


@pytest.mark.parametrize("spoil", [no_list, truncated, empty, no_validation], ids=lambda case: case.__name__)
def test_training_refuses(spoil, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:  # type: ignore[no-untyped-def]
    caplog.set_level("INFO")
    data = write_pictures(tmp_path / "data", cases=4)
    words = spoil(data)
    folders = {name: tmp_path / "run" / name for name in ("ckpt_dir", "output_dir")}
    with pytest.raises(RuntimeError) as error:
        run_workflow(
            NATURAL_BUNDLE, "train", run_id="training", dataset_dir=data, max_updates=2, **folders, **QUICK
        )
    assert words in reason(error.value)
    check_nothing_was_trained(tmp_path / "run", caplog.text)


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """Of 8 pictures in batches of 4; where a batch does not fill, the sampler repeats pictures."""
    pictures = write_pictures(tmp_path / "data", cases=13)
    settings = {"max_updates": 6, "val_interval": 3, "log_interval": 1, "size": 48, "dataset_dir": pictures}
    folders = [
        {"ckpt_dir": tmp_path / n / "models", "output_dir": tmp_path / n / "eval"} for n in ("one", "two")
    ]
    run_workflow(*(NATURAL_BUNDLE, "train"), run_id="training", roi_size=[40, 40], **settings, **folders[0])
    words = {**settings, **folders[1], "roi_size": "[40,40]"}
    done = monai_bundle(
        *("run", "training", "--bundle_root", NATURAL_BUNDLE.relative_to(ROOT), "--config_file"),
        config_files(NATURAL_BUNDLE.relative_to(ROOT), "train", "multi_gpu_train"),
        *(str(word) for name, value in words.items() for word in (f"--{name}", value)),
        launcher=["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"],
    )
    assert done.returncode == 0, done.stderr
    assert len(progress(done.stderr)) == 6
    for tag in ("loss", "val_negative_loss"):
        one, two = (scalars(folder["output_dir"], tag) for folder in folders)
        np.testing.assert_allclose(two, one, atol=1e-4)


@pytest.mark.slow
def test_quickstart_reaches_its_threshold(tmp_path: Path) -> None:
    """The card's numbers of the test phantoms, with room for another machine's rounding."""
    summary = quickstart(str(NATURAL_BUNDLE), str(tmp_path))
    assert summary["mean"]["rc"] > 0.5
    assert summary["mean"]["pri"] > 0.7
