"""Training of both click bundles: resuming, every variant, several processes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from monai_levelset.data.phantoms import generate_phantoms
from monai_levelset.engines import DeepLevelSetTrainer
from monai_levelset.networks import DilatedResNet

from .click_training import BUNDLES, DISTANCES, NETWORK, TINY, read, same, train, weights_of
from .common import ROOT, config_files, monai_bundle, progress, read_csv, run_workflow, scalars

CHANNELS = {"fundus": 3, "prostate": 1}
MAPS = {"phi0", "motion", "modulation"}
pytestmark = pytest.mark.filterwarnings(DISTANCES)
each_task = pytest.mark.parametrize("task", BUNDLES)


@pytest.fixture(scope="module")
def data_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a few phantoms of a task."""
    folders: dict[str, Path] = {}

    def of(task: str) -> Path:
        if task not in folders:
            folders[task] = tmp_path_factory.mktemp(task) / "data"
            generate_phantoms(task, folders[task], cases={"fundus": 8, "prostate": 3}[task], seed=0)
        return folders[task]

    return of


class Killed(BaseException):
    """Stands for the end of a process."""


@each_task
def test_a_killed_training_goes_on_bit_for_bit(
    task: str, data_of: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the middle of an epoch, resumed from the end of the one before."""
    per_epoch = {"fundus": 2, "prostate": 3}[task]
    settings: dict[str, Any] = {"max_updates": 3 * per_epoch, "warm_up_updates": 1, "val_interval": per_epoch}
    settings |= {"batch_size": 4, "size": [48, 48], "view_size": [64, 64], "width": 0.125}
    bundle, data = BUNDLES[task], data_of(task)
    train(bundle, data, tmp_path / "whole", **settings)
    whole, update = weights_of(tmp_path / "whole"), DeepLevelSetTrainer._iteration

    def until_killed(engine: Any, *batch: Any) -> Any:
        if engine.state.updates > per_epoch:
            raise Killed
        return update(engine, *batch)

    monkeypatch.setattr(DeepLevelSetTrainer, "_iteration", until_killed)
    with pytest.raises(Killed):
        train(bundle, data, tmp_path / "parts", **settings)
    monkeypatch.setattr(DeepLevelSetTrainer, "_iteration", update)
    assert not same(weights_of(tmp_path / "parts"), whole)
    torch.manual_seed(99)
    train(bundle, data, tmp_path / "parts", resume=True, **settings)
    assert same(weights_of(tmp_path / "parts"), whole)
    best = [torch.load(tmp_path / name / "models/model.pt", weights_only=True) for name in ("whole", "parts")]
    assert same(*best)
    updates = [scalars(tmp_path / name / "eval", "loss") for name in ("whole", "parts")]
    assert [len(each) for each in updates] == [3 * per_epoch] * 2
    assert updates[0] == updates[1]


VARIANTS = {
    "train": (["heatmap", "confidence"], {*MAPS, "probability"}),
    "confidence_map": (["heatmap", "confidence"], MAPS),
    "boundary_loss": (["heatmap"], {*MAPS, "probability"}),
    "delse": (["heatmap"], MAPS),
    "dextr": (["heatmap"], {"mask"}),
}
PARTS = ("cross_entropy", "boundary", "distance", "direction")


@each_task
@pytest.mark.parametrize("variant", VARIANTS)
def test_two_updates_of_every_system(
    task: str, variant: str, data_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """The right inputs, heads and terms of the loss; every weight is trained."""
    maps, heads = VARIANTS[variant]
    warm_up = {} if variant == "dextr" else {"warm_up_updates": 1}
    settings = {"max_updates": 2, "val_interval": 1, "batch_size": 4, "width": 0.125, **warm_up}
    names = [variant] if variant != "train" else []
    run = train(BUNDLES[task], data_of(task), tmp_path, *names, **settings)
    network = run.parser.get_parsed_content("network_def")
    assert network.backbone.conv1.in_channels == CHANNELS[task] + len(maps)
    assert set(network.heads) == heads
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []
    counts = {"cross_entropy": 2, "boundary": 2 * ("probability" in heads)}
    counts |= dict.fromkeys(("distance", "direction"), int("phi0" in heads))
    parts = {name: scalars(tmp_path / "eval", name) for name in PARTS}
    assert {name: len(values) for name, values in parts.items()} == counts
    assert np.isfinite([value for values in parts.values() for value in values]).all()
    assert 0 < scalars(tmp_path / "eval", "val_mean_dice")[-1] < 1
    assert read(BUNDLES[task], "train", *names, **TINY)["channels"] == maps


@each_task
@pytest.mark.filterwarnings("ignore:the prediction of class .* is all 0:UserWarning")  # after two updates,
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")  # so distances are infinite
@pytest.mark.parametrize("overrides", [["unet"], ["unet", "pspnet"], ["unet", "deeplabv3plus"]], ids="+".join)
def test_two_updates_of_the_networks_without_clicks(
    task: str, overrides: list[str], data_of: Callable[[str], Path], tmp_path: Path
) -> None:
    settings = {"max_updates": 2, "val_interval": 1, "batch_size": 4, "stride_on_first": False}
    run = train(BUNDLES[task], data_of(task), tmp_path, *overrides, **settings)
    network = run.parser.get_parsed_content("network_def").eval()
    classes = 1 + {"fundus": 2, "prostate": 1}[task]
    assert network(torch.rand(1, CHANNELS[task], 64, 64)).shape == (1, classes, 64, 64)
    losses = scalars(tmp_path / "eval", "loss")
    assert len(losses) == 2
    assert np.isfinite(losses).all()
    assert 0 <= scalars(tmp_path / "eval", "val_mean_dice")[-1] < 1
    places = {"dataset_dir": data_of(task), "ckpt_dir": tmp_path / "models", "output_dir": tmp_path / "test"}
    run_workflow(
        *(BUNDLES[task], "train", *overrides, "evaluate"),
        run_id="evaluating",
        **{**places, **TINY, **settings},
    )
    rows = (tmp_path / "test" / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == [
        "val_mean_dice",
        "val_hausdorff_distance",
        "val_surface_distance",
    ]


@each_task
def test_two_updates_of_the_papers_schedule(
    task: str, data_of: Callable[[str], Path], tmp_path: Path
) -> None:
    settings = {"max_updates": 2, "width": 0.125, "warm_up_updates": 1}
    run = train(BUNDLES[task], data_of(task), tmp_path, "paper_schedule", **settings)
    optimizer, scheduler = (run.parser.get_parsed_content(name) for name in ("optimizer", "lr_scheduler"))
    assert isinstance(optimizer, torch.optim.SGD)
    assert [(g["momentum"], g["weight_decay"]) for g in optimizer.param_groups] == [(0.9, 0.0005)] * 2
    assert [g["initial_lr"] for g in optimizer.param_groups] == pytest.approx([0.0003, 0.003])
    assert scheduler.gamma == 0.3
    assert run.parser.get_parsed_content("train#dataloader").batch_size == 10
    whole = read(BUNDLES[task], "train", "paper_schedule", max_updates=1000)
    assert whole.get_parsed_content("warm_up_updates") == 50
    assert np.isfinite(scalars(tmp_path / "eval", "loss")).all()


@each_task
def test_the_papers_kind_of_resnet_starts_from_imagenet(
    task: str, data_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """Narrower here than the override says; no update changes a weight, the learning rate is 0."""
    settings: dict[str, Any] = {
        "width": 0.125,
        "learning_rate": 0.0,
        "max_updates": 1,
        "val_interval": 1,
        "batch_size": 2,
    }
    torch.manual_seed(7)
    source = DilatedResNet(3, "resnet50", width=0.125).state_dict()
    torch.save({**source, "fc.weight": torch.rand(10, 256), "fc.bias": torch.rand(10)}, tmp_path / "r50.pth")
    run = train(
        *(BUNDLES[task], data_of(task), tmp_path, "resnet50"), imagenet=tmp_path / "r50.pth", **settings
    )
    backbone = run.parser.get_parsed_content("network_def").backbone
    assert (backbone.name, backbone.output_stride, backbone.stride_on_first) == ("resnet50", 32, True)
    found = torch.load(tmp_path / "models/model.pt", weights_only=True)
    first = found["backbone.conv1.weight"]
    colours = CHANNELS[task]
    expected = source["conv1.weight"] if colours == 3 else source["conv1.weight"].sum(1, keepdim=True)
    torch.testing.assert_close(first[:, :colours], expected)
    assert not first[:, colours:].any()
    for name in ("layer1.0.conv1.weight", "layer4.2.conv3.weight", "layer3.5.bn2.weight"):
        torch.testing.assert_close(found[f"backbone.{name}"], source[name])


@each_task
def test_the_papers_kind_of_resnet_has_its_full_width(task: str) -> None:
    parser = read(BUNDLES[task], "train", "resnet50")
    assert (parser["backbone"], parser["width"]) == ("resnet50", 1.0)
    with torch.device("meta"):
        network = parser.get_parsed_content("network_def")
    assert network.backbone.channels == (64, 256, 512, 1024, 2048)


@pytest.mark.slow
@pytest.mark.parametrize(("task", "frozen"), [("fundus", True), ("prostate", True), ("fundus", False)])
def test_two_processes_train_as_one(
    task: str, frozen: bool, data_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """Equal up to rounding where no norm looks at the mini-batch: order, clicks, augmentation, gradients.

    With the bundle's own norms each process takes the mean and variance of its own part of the mini-batch, so
    the losses are near, not equal; the weights that are kept are those that were validated.
    """
    settings: dict[str, Any] = {"max_updates": 4, "val_interval": 4, "warm_up_updates": 2, "batch_size": 4}
    settings["learning_rate"] = 1e-4
    kind = {"network_def#_target_": "tests.bundles.click_training.FrozenNorm"} if frozen else {}
    names = ["paper_schedule"] if frozen else []  # Adam makes much of the rounding of small gradients
    bundle, data = BUNDLES[task], data_of(task)
    start = read(bundle, "train", **NETWORK).get_parsed_content("network_def")
    torch.save(start.state_dict(), tmp_path / "start.pt")
    settings["pretrained"] = tmp_path / "start.pt"
    train(bundle, data, tmp_path / "one", *names, **settings, **kind)
    words = {**TINY, **settings, **kind, "dataset_dir": data, "cache_dir": data / "cache"}
    words |= {"ckpt_dir": tmp_path / "two/models", "output_dir": tmp_path / "two/eval"}
    done = monai_bundle(
        *("run", "training", "--bundle_root", bundle.relative_to(ROOT), "--config_file"),
        config_files(bundle.relative_to(ROOT), "train", *names, "multi_gpu_train"),
        *(json.dumps(v) if isinstance(v, list) else str(v) for k, w in words.items() for v in (f"--{k}", w)),
        launcher=["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"],
    )
    assert done.returncode == 0, done.stderr
    assert len(progress(done.stderr)) == 4
    assert len({path.name.split(".")[-2] for path in (tmp_path / "two/eval").glob("events.*")}) == 1
    one, two = (scalars(tmp_path / name / "eval", "loss") for name in ("one", "two"))
    assert len(one) == 4
    np.testing.assert_allclose(two, one, rtol=1e-4 if frozen else 0.5)
    (alone,), (both,) = (scalars(tmp_path / name / "eval", "val_mean_dice") for name in ("one", "two"))
    if frozen:
        assert both == pytest.approx(alone, abs=1e-3)
        return
    run_workflow(
        *(bundle, "train", "evaluate"),
        run_id="evaluating",
        section="validation",
        **{**TINY, "dataset_dir": data, "cache_dir": data / "cache"},
        ckpt_dir=tmp_path / "two/models",
        output_dir=tmp_path / "scores",
    )
    ((_, kept), *_) = read_csv(tmp_path / "scores/metrics.csv")
    assert float(kept) == pytest.approx(both, abs=1e-5)
