"""Cross entropy, level-set loss and CRF: what is computed, chosen and written."""

from __future__ import annotations

import csv
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from monai.bundle import ConfigParser
from PIL import Image
from torch import Tensor, nn

from monai_levelset.bundles import find_bundle
from monai_levelset.cli import main
from monai_levelset.engines import FCNLevelSetTrainer
from monai_levelset.reproduce import kim2019, kim2019_choice, kim2019_fundus, kim2019_rows, reproduce
from monai_levelset.reproduce.dense_crf import dense_crf
from monai_levelset.reproduce.kim2019_fundus import FundusTask
from monai_levelset.reproduce.kim2019_lv import VentricleTask
from monai_levelset.reproduce.kim2019_pydensecrf import lattice_crf
from monai_levelset.reproduce.kim2019_seconds import seconds
from monai_levelset.reproduce.kim2019_summary import summarize
from monai_levelset.reproduce.kim2019_task import TRAININGS, score
from monai_levelset.reproduce.kim2019_updates import Updates
from monai_levelset.transforms import BatchAugmentation

from .conftest import write_data

ROWS = ["CE", "CE + level-set loss", "CE + CRF"]


def write_fundus(root: Path, train: int = 8, val: int = 2) -> Path:
    """Small photographs: a disc with a brighter cup, at another place in each."""
    rng = np.random.default_rng(0)
    for part, count in (("train", train), ("val", val)):
        for folder in ("images", "labels"):
            (root / part / folder).mkdir(parents=True)
        for k in range(count):
            rows, columns = np.mgrid[:70, :84]
            distance = (rows - 35 - rng.integers(-8, 8)) ** 2 + (columns - 42 - rng.integers(-8, 8)) ** 2
            label = (distance < 15**2).astype(np.uint8) + (distance < 8**2)
            image = np.stack([60 + 60 * label, 30 + 50 * label, 20 + 20 * label], -1)
            image = (image + rng.integers(0, 30, image.shape)).astype(np.uint8)
            name = f"drishtiGS_{part}{k:03d}"
            Image.fromarray(image).save(root / part / "images" / f"{name}.jpg")
            Image.fromarray(label.astype(np.uint8)).save(root / part / "labels" / f"{name}.png")
    return root


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """Both data sets where the command looks for them."""
    (tmp_path / "data" / "lv").mkdir(parents=True)
    write_data(tmp_path / "data" / "lv" / "sunnybrook")
    write_fundus(tmp_path / "data" / "fundus" / "drishti")
    return tmp_path / "data"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, trainings: Any) -> None:
    """No ventricle network is trained, one CRF is tried, photographs are small, nothing is timed twice."""
    monkeypatch.setattr(kim2019_choice, "GRID", {"bilateral_weight": (1.0,), "position_sd": (2.0,)})
    monkeypatch.setattr(kim2019_choice, "FIXED", {"radius": 1, "iterations": 2})
    monkeypatch.setattr(kim2019_fundus, "SIZE", (48, 48))
    monkeypatch.setattr(kim2019_rows, "seconds", lambda calls, rounds=1: seconds(calls, rounds=1))
    monkeypatch.setattr(kim2019_rows, "available", lambda: False)


def energy(p: Tensor, label: Tensor) -> Tensor:
    """Eq. 4 as printed, with the binary maps of all classes, one number per item."""
    total = torch.zeros(len(p), dtype=p.dtype)
    for item in range(len(p)):
        for k in range(p.shape[1]):
            g = (label[item] == k).to(p)
            inside = (1 + torch.tanh((p[item, k] - 0.5) * 20)) / 2
            c1, c2 = (g * inside).sum() / inside.sum(), (g * (1 - inside)).sum() / (1 - inside).sum()
            total[item] += ((g - c1) ** 2 * inside + (g - c2) ** 2 * (1 - inside)).sum()
    return total


def test_the_loss_of_an_update_is_eq_8() -> None:
    torch.manual_seed(0)
    scores = torch.randn(3, 3, 9, 8, dtype=torch.float64)
    label = torch.randint(0, 3, (3, 9, 8))
    updates = Updates(nn.Conv2d(1, 3, 1), 0.01, BatchAugmentation(), rate=0.1, total=3)
    expected = F.cross_entropy(scores, label) + 0.01 * energy(scores.softmax(1), label).mean()
    torch.testing.assert_close(updates.loss(scores, label), expected)
    updates.weight = 0.0
    torch.testing.assert_close(updates.loss(scores, label), F.cross_entropy(scores, label))


@pytest.mark.parametrize(
    ("bundle", "dice"), [("lv_mri_levelset_segmentation", 0.0), ("liver_ct_levelset_segmentation", 0.5)]
)
def test_the_bundles_override_adds_the_energy_to_their_loss(bundle: str, dice: float) -> None:
    """Several updates of the bundle's trainer; every one's loss is the sum, in numbers."""
    folder = find_bundle(bundle) / "configs"
    parser, plain = ConfigParser(), ConfigParser()
    parser.read_config([str(folder / "train.json"), str(folder / "level_set_loss.json")])
    plain.read_config(str(folder / "train.json"))
    assert parser["level_set_weight"] == 4e-4
    parser["level_set_weight"] = 0.01
    parser["device"] = "cpu"
    torch.manual_seed(0)
    label = torch.zeros(2, 1, 48, 48)
    label[:, :, 12:36, 14:30] = 1
    batch = {"image": label + torch.randn(label.shape), "label": label, "labeled": torch.ones(2)}
    network = parser.get_parsed_content("network")
    trainer = FCNLevelSetTrainer(
        device=torch.device("cpu"),
        max_epochs=4,
        train_data_loader=[batch],
        network=network,
        optimizer=torch.optim.AdamW(network.parameters(), 0.01),
        loss_function=parser.get_parsed_content("loss"),
    )
    before = [parameter.clone() for parameter in network.parameters()]
    trainer.run()
    assert trainer.state.updates == 4
    assert not torch.equal(before[0], next(network.parameters()))
    scores = trainer.state.output[0]["pred"].detach()
    expected = (
        F.cross_entropy(scores, label[:, 0].long()) + 0.01 * energy(scores.softmax(1), label[:, 0]).mean()
    )
    if dice:
        terms = plain.get_parsed_content("loss").losses
        expected = expected + dice * terms[1](scores, torch.cat([1 - label, label], 1)).mean()
    torch.testing.assert_close(trainer.state.output[0]["loss"], expected, rtol=1e-4, atol=1e-5)


def test_the_override_is_what_the_ventricles_rows_are_trained_with(
    data: Path, tmp_path: Path, trainings: Any
) -> None:
    task = VentricleTask.find(data, tmp_path, epochs=6)
    for name, weight in TRAININGS.items():
        task.train(tmp_path / "seed1" / name, weight, seed=1)
    assert [files[-1] for files in trainings.files] == ["baseline", *3 * ["level_set_loss"]]
    assert {tuple(files[:2]) for files in trainings.files} == {("train", "baseline")}
    assert [settings.get("level_set_weight") for settings in trainings.settings] == [None, 4e-5, 4e-4, 4e-3]
    assert {settings["max_updates"] for settings in trainings.settings} == {2}
    task.train(tmp_path / "seed1" / "ce", 0.0, seed=1)
    assert trainings.names == ["ce", "level-set-4e-05", "level-set-0.0004", "level-set-0.004"]


@pytest.mark.usefixtures("quick")
def test_table_summary_and_figures(both: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    returned = reproduce("kim2019-losses", str(both), str(out), seeds=1, epochs=1)
    summary = json.loads((out / "summary.json").read_text())
    assert summary == returned
    assert summary["command"] == (
        f"monai-levelset reproduce kim2019-losses --data {both} --out {out} --seeds 1 --epochs 1"
    )
    models = summary["models"]
    for task in ("lv", "fundus"):
        assert [row for row in models if row.startswith(task)][:3] == [f"{task} {row}" for row in ROWS]
        choice = summary["runs"][task]["choice"]
        assert choice["weight"] in (4e-5, 4e-4, 4e-3)
        assert choice["crf"] == {
            "radius": 1,
            "iterations": 2,
            "bilateral_weight": 1.0,
            "position_sd": 2.0,
        }
        assert summary["ratios"][task]["seconds_per_image: CE + level-set loss / CE + CRF"] > 0
    for row, metrics in models.items():
        assert len(metrics["dice"]["seeds"]) == 1
        assert ("dice_cup" in metrics) == row.startswith("fundus")
    mean = models["fundus CE"]
    assert mean["dice"]["mean"] == pytest.approx((mean["dice_disc"]["mean"] + mean["dice_cup"]["mean"]) / 2)
    table = list(csv.DictReader((out / "table.csv").read_text().splitlines()))
    assert [row["model"] for row in table] == list(models)
    assert "tolerance of 2 pixels" in (out / "table.md").read_text()
    assert {path.name for path in out.glob("*.png")} == {"time.png", "lv.png"}

    monkeypatch.setattr(kim2019, "write_figures", lambda *arguments: None)
    monkeypatch.setattr(kim2019_choice, "score", None)  # the second call only reads
    monkeypatch.setattr(kim2019_rows, "score", None)
    monkeypatch.setattr(kim2019_rows, "seconds", None)
    again = reproduce("kim2019-losses", str(both), str(out), seeds=1, epochs=1)
    assert again["models"] == models


@pytest.mark.usefixtures("quick")
def test_one_of_the_two_data_sets(both: Path, tmp_path: Path) -> None:
    found = {
        name: kim2019.find_tasks(both / name / folder, tmp_path / "out")
        for name, folder in (("lv", "sunnybrook"), ("fundus", "drishti"))
    }
    assert [[task.name for task in tasks] for tasks in found.values()] == [["lv"], ["fundus"]]


def test_another_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "notes.txt").touch()
    words = ["reproduce", "kim2019-losses", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    assert main(words) == 1
    assert f"{tmp_path / 'data'}: neither lv/sunnybrook nor fundus/drishti" in capsys.readouterr().err


def test_what_chooses_is_neither_trained_on_nor_scored(tmp_path: Path) -> None:
    task = FundusTask.find(write_fundus(tmp_path / "data"), tmp_path / "out", None)
    parts = {name: set(task.views(name).ids) for name in ("training", "validation", "test")}
    assert {name: len(ids) for name, ids in parts.items()} == {"training": 7, "validation": 1, "test": 2}
    assert not parts["training"] & parts["validation"]
    assert {name[:13] for name in parts["test"]} == {"drishtiGS_val"}


def test_a_photograph_is_scored_on_its_own_grid(tmp_path: Path) -> None:
    """The truth, shrunken to the network's grid, comes back almost whole; disc = rim + cup."""
    task = FundusTask.find(write_fundus(tmp_path / "data"), tmp_path / "out", None)
    views = task.views("test")
    assert views.images.shape == (2, 3, 192, 160)
    truth = torch.from_numpy(views.truths[0]).long()
    shrunken = F.interpolate(F.one_hot(truth, 3).permute(2, 0, 1)[None].float(), (192, 160), mode="bilinear")[
        0
    ]
    prediction = views.predict(0, shrunken)
    assert prediction.shape == views.truths[0].shape == (84, 70)
    assert score(task, prediction, views.truths[0])["dice"] > 0.97
    only_rim = np.where(views.truths[0] > 0, 1, 0)
    scores = score(task, only_rim, views.truths[0])
    assert (scores["dice_disc"], scores["dice_cup"], scores["dice"]) == (1, 0, 0.5)


def test_fundus_trainings_are_repeatable_and_done_once(tmp_path: Path) -> None:
    task = FundusTask.find(write_fundus(tmp_path / "data", train=6), tmp_path / "out", 1)
    for folder in ("a", "b"):
        task.train(tmp_path / folder, 4e-4, seed=3)
    first, second = (task.network(tmp_path / folder).state_dict() for folder in ("a", "b"))
    assert all(torch.equal(first[key], second[key]) for key in first)
    written = (tmp_path / "a" / "model.pt").stat().st_mtime_ns
    task.train(tmp_path / "a", 4e-4, seed=3)
    assert (tmp_path / "a" / "model.pt").stat().st_mtime_ns == written
    task.train(tmp_path / "a", 4e-3, seed=3)
    assert (tmp_path / "a" / "model.pt").stat().st_mtime_ns != written


def test_ratios_of_hand_made_runs(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kim2019_rows, "available", lambda: False)
    task = VentricleTask.find(data, tmp_path, None)
    choice = {"training": "level-set-0.0004", "weight": 4e-4, "crf": {}}
    names = [*ROWS, *(f"CE + level-set loss, lambda {weight}" for weight in ("4e-05", "0.004"))]
    dice = dict(zip(names, (0.80, 0.82, 0.81, 0.7, 0.6), strict=True))
    run = {
        "choice": choice,
        "scores": [{"mean": {row: {"dice": v, "boundary_f": v / 2} for row, v in dice.items()}}] * 2,
        "seconds": [
            {
                "image": dict(zip(names, (0.01, 0.01, 0.2, 0.01, 0.01), strict=True)),
                "step": dict(zip(names, (0.1, 0.104, 0.1, 0.104, 0.104), strict=True)),
            }
        ]
        * 2,
    }
    found = summarize([task], {"lv": run})
    ratios = found["ratios"]["lv"]
    assert ratios["dice: CE + level-set loss - CE"] == pytest.approx(0.02)
    assert ratios["boundary_f: CE + level-set loss - CE + CRF"] == pytest.approx(0.005)
    assert ratios["seconds_per_image: CE + level-set loss / CE + CRF"] == pytest.approx(0.05)
    assert ratios["seconds_per_step: CE + level-set loss / CE"] == pytest.approx(1.04)
    assert found["models"]["lv CE"]["dice"]["sd"] == pytest.approx(0)


def test_seconds_take_turns_on_one_thread() -> None:
    log: list[str] = []
    before = torch.get_num_threads()
    times = seconds({"a": lambda: log.append(f"a{torch.get_num_threads()}"), "b": lambda: log.append("b")}, 5)
    assert set(times) == {"a", "b"}
    assert log.count("a1") == log.count("b") == 8
    assert torch.get_num_threads() == before
    with pytest.raises(ValueError, match="at least once"):
        seconds({})


@pytest.mark.skipif(find_spec("pydensecrf") is None, reason="pydensecrf2 is not installed")
def test_the_authors_crf_agrees() -> None:
    """Their sums include the pixel itself and are approximations, so only the labels are compared."""
    torch.manual_seed(0)
    label = torch.zeros(1, 1, 40, 40)
    label[..., 10:30, 12:28] = 1
    image = label + 0.1 * torch.randn_like(label)
    p = (0.3 + 0.4 * label + 0.2 * torch.randn_like(label)).clamp(0.02, 0.98)
    settings: dict[str, Any] = {
        "bilateral_weight": 4.0,
        "position_sd": 4.0,
        "intensity_sd": 0.3,
        "smooth_weight": 1.0,
        "smooth_sd": 1.0,
        "iterations": 10,
    }
    both = torch.cat([1 - p, p], 1)
    ours = dense_crf(both, image, radius=12, **settings)[:, 1:] > 0.5
    theirs = lattice_crf(both, image, **settings)[:, 1:] > 0.5
    assert (ours == theirs).float().mean() > 0.99
    assert (ours == (label > 0)).float().mean() > 0.99
