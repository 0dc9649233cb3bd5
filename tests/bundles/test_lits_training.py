"""The liver-lesion bundle: both networks, with and without unlabelled cases, evaluation, resuming."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from monai_levelset.data import load_section
from monai_levelset.data.phantoms import generate_phantoms

from .common import ROOT, config_files, dice, monai_bundle, read_csv, reason, run_workflow, scalars
from .lits import LITS_BUNDLE, SMALL, infer, train


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantoms: 3 + 1 + 1 volumes."""
    folder = tmp_path_factory.mktemp("lits") / "data"
    generate_phantoms("lits", folder, cases=5, seed=3)
    return folder


@pytest.fixture(scope="module")
def liver(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `models/liver_network.pt`."""
    folder = tmp_path_factory.mktemp("first")
    train(data, folder, "liver", "supervised", max_updates=60)
    return folder


def test_the_liver_network_learns(liver: Path) -> None:
    losses = scalars(liver / "eval", "loss")
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])
    assert [path.name for path in (liver / "models").iterdir()] == ["liver_network.pt"]
    assert max(scalars(liver / "eval", "val_mean_dice")) > 0.6


def test_the_lesion_network_sees_the_predicted_liver_and_both_are_kept(
    data: Path, liver: Path, tmp_path: Path
) -> None:
    weights = {"liver_checkpoint": liver / "models/liver_network.pt"}
    first = train(data, tmp_path / "a", "supervised", max_updates=30, **weights)
    items = first.parser.get_parsed_content("train#dataset")
    assert {item["labeled"] for item in items.items} == {1}
    assert items[5]["image"].shape == (3, 32, 40)
    outside = items[5]["image"] == 0
    assert 0.1 < outside.float().mean() < 0.9
    assert items[5]["image"][~outside].min() >= 0.99 / 255
    start = tmp_path / "a/models/model.pt"
    second = train(
        *(data, tmp_path / "b", "finetune"),
        **{**weights, "pretrained": start, "max_updates": 4, "val_interval": 2},
    )
    flags = [item["labeled"] for item in second.parser.get_parsed_content("train#dataset").items]
    assert 0 < sum(flags) < len(flags)
    unsupervised = scalars(tmp_path / "b/eval", "unsupervised")
    assert len(unsupervised) == 4
    assert np.isfinite(unsupervised).all()
    assert min(unsupervised) > 0
    kept = torch.load(tmp_path / "b/models/model.pt", weights_only=True)
    for name, values in torch.load(weights["liver_checkpoint"], weights_only=True).items():
        assert torch.equal(kept[f"liver.{name}"], values)
    before = torch.load(start, weights_only=True)
    assert any(not torch.equal(kept[name], before[name]) for name in kept if name.startswith("lesion"))


def test_evaluation_agrees_with_inference(data: Path, liver: Path, tmp_path: Path) -> None:
    weights = {"liver_checkpoint": liver / "models/liver_network.pt"}
    train(data, tmp_path, "supervised", max_updates=30, **weights)
    folders = {"dataset_dir": data, "ckpt_dir": tmp_path / "models", "output_dir": tmp_path / "scores"}
    run_workflow(LITS_BUNDLE, "train", "evaluate", run_id="evaluating", **folders, **SMALL)
    (test,) = load_section(data, "test")
    infer(
        Path(test["image"]).parent, tmp_path / "out", tmp_path / "models/model.pt", datalist=[test["image"]]
    )
    found, truth = (nib.load(f) for f in (tmp_path / "out" / f"{test['id']}.nii.gz", test["label"]))
    assert np.array_equal(found.affine, truth.affine)
    score = dice(np.asarray(found.dataobj), np.asarray(truth.dataobj))
    assert score > 0.5
    rows = {row[0]: float(row[1]) for row in read_csv(tmp_path / "scores/val_liver_dice_raw.csv")[1:]}
    assert rows[test["id"]] == pytest.approx(score, abs=0.03)


def test_an_interrupted_training_goes_on_bit_for_bit(data: Path, liver: Path, tmp_path: Path) -> None:
    settings = {"max_updates": 80, "max_epochs": 2, "val_interval": 30, "pretrained": None}
    settings |= {"batch_size": 8, "unlabeled_batch_size": 8, "channels": [8, 16]}
    settings |= {"liver_checkpoint": liver / "models/liver_network.pt"}

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
    run = train(data, tmp_path, "liver", "supervised", "level_set_loss", max_updates=2, val_interval=2)
    loss = run.parser.get_parsed_content("loss")
    scores, target = torch.randn(2, 2, 8, 8), torch.rand(2, 1, 8, 8).round()
    target = torch.cat([1 - target, target], 1)
    parts = loss.supervised.losses
    expected = parts[0](scores, target).mean() + 4e-4 * parts[1](scores, target).mean()
    torch.testing.assert_close(loss(scores, target, None, [1, 1]), expected)


def test_lesions_need_a_liver_network(data: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as caught:
        train(data, tmp_path, "supervised", max_updates=1)
    assert "liver_network.pt: the checkpoint does not exist" in reason(caught.value)


def test_configurations_agree() -> None:
    train_, evaluate, inference = (
        json.loads((LITS_BUNDLE / f"configs/{name}.json").read_text())
        for name in ("train", "evaluate", "inference")
    )
    for name in ("window", "size", "field_size", "margin", "axcodes", "channels", "stack"):
        assert train_[name] == inference[name]
    for name in ("field_size", "network_def"):
        assert evaluate[name] == inference[name]
    assert evaluate["validate#inferer"] == inference["inferer"]
    assert inference["network_def"]["liver"] == train_["liver"]
    assert inference["network_def"]["lesion"] == train_["network_def"]["lesion"]
    parser = ConfigParser()
    parser.read_config([LITS_BUNDLE / f"configs/{name}.json" for name in ("inference", "phantoms")])
    assert parser["size"] == [96, 96]


@pytest.mark.slow
def test_two_processes_train_as_one(data: Path, liver: Path, tmp_path: Path) -> None:
    settings = {"max_updates": 6, "val_interval": 3, "liver_checkpoint": liver / "models/liver_network.pt"}
    train(data, tmp_path / "one", **settings)
    words = {**settings, **SMALL, "dataset_dir": data, "log_interval": 1, "cache_dir": data / "cache"}
    words |= {"labeled_fraction": 0.4}
    words |= {"ckpt_dir": tmp_path / "two/models", "output_dir": tmp_path / "two/eval"}
    done = monai_bundle(
        *("run", "training", "--bundle_root", LITS_BUNDLE.relative_to(ROOT)),
        *("--config_file", config_files(LITS_BUNDLE.relative_to(ROOT), "train", "multi_gpu_train")),
        *(str(word).replace(" ", "") for name, value in words.items() for word in (f"--{name}", value)),
        launcher=["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"],
    )
    assert done.returncode == 0, done.stderr
    one, two = (scalars(tmp_path / name / "eval", "loss") for name in ("one", "two"))
    assert len(one) == len(two) == 6
    np.testing.assert_allclose(two[0], one[0], rtol=0.2)


@pytest.mark.slow
def test_phantoms_are_learned_to_a_stated_dice(tmp_path: Path) -> None:
    """With all labels of 12 phantoms: liver Dice above 0.85, lesion Dice above 0.3."""
    generate_phantoms("lits", tmp_path / "data", cases=20, seed=5)
    common = {"labeled_fraction": 1.0, "val_interval": 400, "channels": [8, 16, 32], "size": [96, 96]}
    train(tmp_path / "data", tmp_path, "liver", "supervised", max_updates=400, **common)
    common |= {"field_size": [48, 64]}
    train(tmp_path / "data", tmp_path, "supervised", max_updates=800, **common)
    folders = {"dataset_dir": tmp_path / "data", "ckpt_dir": tmp_path / "models"}
    run = run_workflow(
        *(LITS_BUNDLE, "train", "evaluate", "phantoms"),
        run_id="evaluating",
        **{**folders, "output_dir": tmp_path / "scores"},
    )
    metrics = run.parser.get_parsed_content("validate#evaluator").state.metrics
    assert metrics["val_liver_dice"] > 0.85
    assert metrics["val_lesion_dice"] > 0.3
