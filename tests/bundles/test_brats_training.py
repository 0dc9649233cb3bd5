"""The brain-tumour bundle: training with and without unlabelled cases, evaluation, resuming."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from monai_levelset.data import DataError, load_section
from monai_levelset.data.phantoms import generate_phantoms
from monai_levelset.quickstart import quickstart

from .brats import BRATS_BUNDLE, SMALL
from .common import ROOT, config_files, dice, monai_bundle, read_csv, reason, run_workflow, scalars


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantoms: 5 + 1 + 1 heads of four sequences."""
    folder = tmp_path_factory.mktemp("brats") / "data"
    generate_phantoms("brats", folder, cases=7, seed=0)
    return folder


def train(data: Path, out: Path, *overrides: str, **settings: Any) -> Any:
    folders = {"dataset_dir": data, "ckpt_dir": out / "models", "output_dir": out / "eval"}
    few = {"cache_dir": data / "cache", "log_interval": 1, "val_interval": 50, **SMALL}
    return run_workflow(
        *(BRATS_BUNDLE, "train", *overrides), run_id="training", **{**folders, **few, **settings}
    )


def test_pretraining_finetuning_evaluation_and_inference(data: Path, tmp_path: Path) -> None:
    first = train(data, tmp_path, "pretrain", max_updates=100, labeled_fraction=0.4, learning_rate=0.01)
    assert {item["labeled"] for item in first.parser.get_parsed_content("train#dataset").items} == {1}
    losses = scalars(tmp_path / "eval", "loss")
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])
    start = torch.load(tmp_path / "models/model.pt", weights_only=True)
    torch.save(start, tmp_path / "first.pt")
    second = train(
        *(data, tmp_path / "both", "finetune"),
        pretrained=tmp_path / "first.pt",
        max_updates=4,
        val_interval=2,
        labeled_fraction=0.4,
    )
    flags = [item["labeled"] for item in second.parser.get_parsed_content("train#dataset").items]
    assert 0 < sum(flags) < len(flags)
    parts = {name: scalars(tmp_path / "both/eval", name) for name in ("loss", "supervised", "unsupervised")}
    np.testing.assert_allclose(parts["loss"], np.add(parts["supervised"], parts["unsupervised"]), rtol=1e-5)
    assert min(parts["unsupervised"]) > 0
    run_workflow(
        *(BRATS_BUNDLE, "train", "evaluate"),
        run_id="evaluating",
        **{"dataset_dir": data, "ckpt_dir": tmp_path / "models", "output_dir": tmp_path / "scores", **SMALL},
    )
    rows = {row[0]: float(row[1]) for row in read_csv(tmp_path / "scores/val_mean_dice_raw.csv")[1:]}
    (test,) = load_section(data, "test")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / Path(test["image"]).name).symlink_to(test["image"])
    run_workflow(
        *(BRATS_BUNDLE, "inference"),
        dataset_dir=tmp_path / "images",
        output_dir=tmp_path / "out",
        checkpoint=tmp_path / "models/model.pt",
        channels=SMALL["channels"],
    )
    import nibabel as nib

    found, truth = (nib.load(f) for f in (tmp_path / "out" / f"{test['id']}.nii.gz", test["label"]))
    assert np.array_equal(found.affine, truth.affine)
    score = dice(np.asarray(found.dataobj), np.asarray(truth.dataobj))
    assert score > 0.4
    assert rows[test["id"]] == pytest.approx(score, abs=0.02)  # phantoms have the network's pixels already


def test_an_interrupted_training_goes_on_bit_for_bit(data: Path, tmp_path: Path) -> None:
    settings = {"max_updates": 80, "max_epochs": 2, "labeled_fraction": 0.4, "val_interval": 30}
    settings |= {"batch_size": 8, "unlabeled_batch_size": 8, "channels": [4, 8], "field_size": [32, 32, -1]}

    def weights(name: str, **more: Any) -> dict[str, Any]:
        train(data, tmp_path / name, **{**settings, **more})
        checkpoint: dict[str, Any] = torch.load(tmp_path / name / "eval/checkpoint.pt", weights_only=True)
        return checkpoint["model"]

    whole = weights("whole")
    begun = weights("parts", max_epochs=1)
    assert any(not torch.equal(begun[name], whole[name]) for name in whole)
    resumed = weights("parts", resume=True)
    assert all(torch.equal(resumed[name], values) for name, values in whole.items())


def test_the_level_set_loss_by_an_override(data: Path, tmp_path: Path) -> None:
    run = train(data, tmp_path, "pretrain", "level_set_loss", max_updates=2, val_interval=2)
    loss = run.parser.get_parsed_content("loss")
    scores, target = torch.randn(2, 2, 8, 8), torch.rand(2, 1, 8, 8).round()
    target = torch.cat([1 - target, target], 1)
    parts = loss.supervised.losses
    expected = parts[0](scores, target).mean() + 4e-4 * parts[1](scores, target).mean()
    torch.testing.assert_close(loss(scores, target, None, [1, 1]), expected)
    assert [type(part).__name__ for part in parts] == ["CrossEntropyLoss", "LevelSetLoss"]


def test_any_set_of_sequences(data: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as caught:
        train(data, tmp_path, sequences=["flair", "t1"], max_updates=1)
    assert "it has 4 sequence(s)" in reason(caught.value)
    assert isinstance(cause(caught.value), DataError)


def cause(error: BaseException) -> BaseException:
    """The innermost reason."""
    return error if error.__cause__ is None else cause(error.__cause__)


@pytest.mark.slow
def test_two_processes_train_as_one(data: Path, tmp_path: Path) -> None:
    """With the means of each image: those of the mini-batch are of a process's own images."""
    settings = {"max_updates": 6, "val_interval": 3, "labeled_fraction": 0.4}
    settings |= {"loss#unsupervised#over_batch": False}
    train(data, tmp_path / "one", **settings)
    words = {**settings, "dataset_dir": data, "log_interval": 1, "cache_dir": data / "cache", **SMALL}
    words |= {"ckpt_dir": tmp_path / "two/models", "output_dir": tmp_path / "two/eval"}
    done = monai_bundle(
        *("run", "training", "--bundle_root", BRATS_BUNDLE.relative_to(ROOT)),
        *("--config_file", config_files(BRATS_BUNDLE.relative_to(ROOT), "train", "multi_gpu_train")),
        *(str(word).replace(" ", "") for name, value in words.items() for word in (f"--{name}", value)),
        launcher=["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"],
    )
    assert done.returncode == 0, done.stderr
    for tag, tolerance in (("loss", 1e-4), ("val_mean_dice", 1e-3)):
        one, two = (scalars(tmp_path / name / "eval", tag) for name in ("one", "two"))
        assert len(one) == {"loss": 6, "val_mean_dice": 2}[tag]
        np.testing.assert_allclose(two, one, atol=tolerance)


def test_configurations_agree() -> None:
    """Training and inference name the same sequences, stack, pixels and network."""
    train, inference = (
        json.loads((BRATS_BUNDLE / f"configs/{name}.json").read_text()) for name in ("train", "inference")
    )
    for name in ("sequences", "stack", "spacing", "axcodes", "channels", "network_def"):
        assert train[name] == inference[name]
    normalize = [
        [step for step in steps if step["_target_"] == "NormalizeIntensityd"]
        for steps in (train["preprocessing"], inference["preprocessing"]["transforms"])
    ]
    assert normalize[0] == normalize[1]


@pytest.mark.slow
def test_phantoms_are_learned_to_a_stated_dice(tmp_path: Path) -> None:
    """Half of the labels of 7 phantoms: mean Dice above 0.75 on the test phantoms."""
    assert quickstart(str(BRATS_BUNDLE), str(tmp_path))["mean"]["dice"] > 0.75
