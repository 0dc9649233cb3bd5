"""Zheng et al.: objects, clicks, scores, data and tables; only the slow test trains."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image
from skimage.measure import euler_number
from torch import Tensor, nn

from monai_levelset.data import DataError, load_section, prepare, training_items
from monai_levelset.data.phantoms import generate_phantoms
from monai_levelset.reproduce import reproduce, volumes, zheng2020, zheng2020_data
from monai_levelset.reproduce.zheng2020 import summarize
from monai_levelset.reproduce.zheng2020_data import find_data
from monai_levelset.reproduce.zheng2020_notes import notes
from monai_levelset.reproduce.zheng2020_objects import ClickedObjects, clicks, ellipse
from monai_levelset.reproduce.zheng2020_rows import (
    ELLIPSE,
    FUNDUS,
    METRICS,
    PROSTATE,
    ROWS,
    TRAININGS,
    UNET,
    ClickTarget,
    with_weights,
)
from monai_levelset.reproduce.zheng2020_scores import ellipse_masks, means, score

SMALL = {"size": [48, 48], "view_size": [64, 64], "jitter": 1.0, "fwhm": 3.0, "backbone": "resnet18"}
SMALL |= {"width": 0.125, "skip_channels": 8, "head_channels": 8}
FILES = {"table.md", "table.csv", "summary.json", "models-test.png"}


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def small(click: ClickTarget, home: Path) -> ClickTarget:
    """The target with a copy of its bundle that has a small network for small crops."""
    copy = home / click.target.folder.name
    shutil.copytree(click.target.folder, copy, ignore=shutil.ignore_patterns("models", "eval"))
    file = copy / "configs/train.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | SMALL))
    return replace(click, target=replace(click.target, bundle=str(copy)), updates=(2, 2))


@pytest.fixture(scope="module")
def fundus(tmp_path_factory: pytest.TempPathFactory) -> ClickTarget:
    return small(FUNDUS, tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def prostate(tmp_path_factory: pytest.TempPathFactory) -> ClickTarget:
    return small(PROSTATE, tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms")
    generate_phantoms("fundus", folder, cases=4, seed=0)
    return folder


@pytest.fixture(scope="module")
def drishti(phantoms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four phantoms in the repackaged layout of Drishti: two to train on, one aside, one to test."""
    root = tmp_path_factory.mktemp("drishti")
    for k, image in enumerate(sorted((phantoms / "images").iterdir())[:4]):
        part = root / ("test" if k == 3 else "train")
        for folder, source in (("images", image), ("labels", phantoms / "labels" / image.name)):
            (part / folder).mkdir(parents=True, exist_ok=True)
            shutil.copy(source, part / folder / f"drishtiGS_{k:03d}.png")
    return root


@pytest.fixture(autouse=True, scope="module")
def quick() -> Any:
    """Reading a few files takes no further processes; few phantoms are drawn."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(volumes, "prepare", partial(prepare, workers=1))
        patch.setattr(zheng2020_data, "PHANTOMS", 3)
        yield


# Clicks


@pytest.mark.parametrize("radius", [4, 9, 15])
def test_the_ellipse_through_a_discs_clicks_is_the_disc(radius: int) -> None:
    x = np.arange(41) - 20
    disc = x[:, None] ** 2 + x**2 <= (radius + 0.4) ** 2
    found = ellipse(clicks(torch.from_numpy(disc), 0.0, seed=""), disc.shape)
    assert dice(found, disc) > 0.93
    assert np.flatnonzero(found.any(1)).tolist() == np.flatnonzero(disc.any(1)).tolist()


def test_the_ellipse_goes_through_its_clicks_and_no_further() -> None:
    """Also where its four quarters differ, and opposite clicks do not face each other."""
    facing = torch.tensor([[3.0, 8.0], [20.0, 8.0], [9.0, 2.0], [9.0, 25.0]])
    askew = torch.tensor([[3.0, 8.0], [20.0, 15.0], [9.0, 2.0], [12.0, 25.0]])
    for points in (facing, askew):
        found = ellipse(points, (30, 30))
        rows, columns = (np.flatnonzero(found.any(axis)) for axis in (1, 0))
        assert (rows[0], rows[-1], columns[0], columns[-1]) == (3, 20, 2, 25)
        assert all(found[int(row), int(column)] for row, column in points)
        assert euler_number(found, connectivity=1) == 1  # one piece without holes


def test_displaced_clicks_stay_near_and_belong_to_the_object() -> None:
    mask = torch.zeros(60, 60)
    mask[10:50, 20:40] = 1
    exact = clicks(mask, 0.0, seed="a")
    drawn = torch.stack([clicks(mask, 0.1, seed=str(k)) for k in range(50)])
    across = torch.tensor([[0, 1], [0, 1], [1, 0], [1, 0]])  # along the edge any pixel may be drawn
    moved = (drawn - exact).abs()
    assert moved[:, across == 0].max() <= 0.1 * 30
    assert moved[:, across == 0].max() > 0.05 * 30
    assert torch.equal(drawn[3], clicks(mask, 0.1, seed="3"))
    assert not torch.equal(drawn[3], drawn[4])


# Objects


class Whole(nn.Module):
    """Everything in the crop belongs to the object."""

    def forward(self, image: Tensor) -> Tensor:
        inside = torch.ones_like(image[:, :1])
        return torch.cat([1 - inside, inside], 1)


def objects_of(click: ClickTarget, folder: Path, section: str = "validation", **options: Any) -> Any:
    items = training_items(folder, section, label_values=(0, 1, 2, 255), cache_dir=folder / "cut")
    return ClickedObjects(click.target.files(""), items, click.structures, **options)


def test_every_structure_of_every_picture_is_an_object(fundus: ClickTarget, phantoms: Path) -> None:
    found = objects_of(fundus, phantoms)
    items = load_section(phantoms, "validation")
    names = [f"{item['id']}-{structure}" for item in items for structure in ("disc", "cup")]
    assert [each.item["id"] for each in found.objects] == names
    for each in found.objects:
        with Image.open(each.item["label"]) as label:
            values = np.asarray(label).T
        assert np.array_equal(each.truth, np.isin(values, FUNDUS.structures[each.item["structure"]]))
        assert each.data["image"].shape == (5, 48, 48)
        assert each.data["points"].shape == (4, 2)
        assert set(each.spacing) == {1}
    one = objects_of(fundus, phantoms, only=names[1:2]).objects
    assert [each.item["id"] for each in one] == names[1:2]


def test_a_structure_that_is_not_there_is_no_object(
    fundus: ClickTarget, phantoms: Path, tmp_path: Path
) -> None:
    shutil.copytree(phantoms, tmp_path / "data")
    (item, *_) = load_section(tmp_path / "data", "validation")
    with Image.open(item["label"]) as label:
        values = np.minimum(np.asarray(label), 1)
    Image.fromarray(values).save(item["label"])
    names = [each.item["id"] for each in objects_of(fundus, tmp_path / "data").objects]
    assert f"{item['id']}-disc" in names
    assert f"{item['id']}-cup" not in names


def test_crops_are_laid_back_where_they_were_cut_out(fundus: ClickTarget, phantoms: Path) -> None:
    found = objects_of(fundus, phantoms)
    boxes = found.probabilities(Whole())
    for each, box in zip(found.objects, boxes, strict=True):
        assert box.shape == each.truth.shape
        rows, columns = (np.flatnonzero(each.truth.any(axis)) for axis in (1, 0))
        extent = np.array([np.ptp(rows), np.ptp(columns)])
        inside = np.argwhere(box > 0.5)
        assert np.ptp(inside, 0) == pytest.approx(1.4 * extent, abs=3)  # a margin of 0.2 on either side
        back = found.laid_back(each, torch.as_tensor(each.data["label"].as_tensor()).float())
        assert dice(back > 0.5, each.truth) > 0.93


def test_noise_moves_the_clicks_alike_for_all_maps(fundus: ClickTarget, phantoms: Path) -> None:
    exact, noisy, again = (objects_of(fundus, phantoms, noise=n).objects for n in (0.0, 0.05, 0.05))
    for one, two, three in zip(exact, noisy, again, strict=True):
        assert not torch.equal(one.data["points"], two.data["points"])
        assert torch.equal(two.data["points"], three.data["points"])
        assert np.array_equal(one.truth, two.truth)


def test_slices_of_a_volume_keep_their_spacing(prostate: ClickTarget, tmp_path: Path) -> None:
    generate_phantoms("prostate", tmp_path, cases=3, seed=0)
    items = training_items(tmp_path, "validation", cache_dir=tmp_path / "cut", axcodes="PLS")
    found = ClickedObjects(prostate.target.files(""), items[8:12], prostate.structures)
    (item,) = load_section(tmp_path, "validation")
    zooms = np.asarray(nib.load(item["image"]).header.get_zooms()[:2])
    assert found.objects
    for each in found.objects:
        assert sorted(each.spacing) == pytest.approx(sorted(zooms.tolist()))
        assert each.data["image"].shape == (3, 48, 48)
    for each, mask in zip(found.objects, ellipse_masks(found), strict=True):
        assert dice(mask, each.truth) > 0.85


# Scores


def test_scores_of_hand_made_masks(fundus: ClickTarget, phantoms: Path) -> None:
    each = replace(objects_of(fundus, phantoms).objects[0], spacing=(0.5, 0.5))
    square = np.zeros((40, 40), bool)
    square[10:20, 10:20] = True
    each = replace(each, truth=square)
    equal, moved, none = score(fundus, [each] * 3, [square, np.roll(square, 4, 0), np.zeros_like(square)])
    assert [equal[name] for name in ("dice", "rvd", "hd", "abd", "boundary_f")] == [1, 0, 0, 0, 1]
    assert (equal["id"], equal["structure"], equal["missed"]) == (each.item["id"], "disc", False)
    assert moved["dice"] == pytest.approx(0.6)
    assert moved["rvd"] == pytest.approx(0)
    assert moved["hd"] == pytest.approx(4 * 0.5)
    assert 0 < moved["abd"] < moved["hd"]
    assert none["missed"]
    assert (none["dice"], none["rvd"]) == (0, -1)
    assert np.isfinite(none["hd"])


def case(structure: str, value: float) -> dict[str, Any]:
    return {"id": "a", "structure": structure, "missed": False, **dict.fromkeys(METRICS, value)}


def test_structures_count_the_same_however_many_objects_they_have() -> None:
    found = means([case("disc", 1.0), case("disc", 0.0), case("disc", 0.5), case("cup", 0.9)])
    assert found["dice"] == pytest.approx((0.5 + 0.9) / 2)
    assert (found["hd_disc"], found["hd_cup"]) == pytest.approx((0.5, 0.9))
    assert set(means([case("prostate", 0.4)])) == set(METRICS)


def hand_made(dices: dict[str, float], seed: int) -> dict[str, Any]:
    """What `score_seed` gives: clicks that are not exact cost 0.1, the second test set 0.2."""

    def rows(less: float) -> dict[str, Any]:
        return {row: [case("prostate", value - less + seed / 100)] for row, value in dices.items()}

    tests = {
        name: {"exact": rows(less), "noisy": rows(less + 0.1)} for name, less in (("a", 0.0), ("b", 0.2))
    }
    updates = {name: 7 if name == "unet" else 5 for name in TRAININGS}
    return {"seed": seed, "updates": updates, "seconds": dict.fromkeys(TRAININGS, 1.5), "scores": tests}


DICE = {row: 0.8 + 0.01 * k for k, row in enumerate(ROWS)}


def test_mean_and_deviation_over_seeds_and_their_names() -> None:
    models = summarize(PROSTATE, [hand_made(DICE, seed) for seed in range(3)])["models"]
    assert list(models) == list(ROWS)
    found = models["+CM"]
    assert found["dice"]["seeds"] == pytest.approx([0.81, 0.82, 0.83])
    assert (found["dice"]["mean"], found["dice"]["sd"]) == pytest.approx((0.82, 0.01))
    assert found["dice_noisy"]["mean"] == pytest.approx(0.72)
    assert found["dice_b"]["mean"] == pytest.approx(0.62)
    assert found["dice_b_noisy"]["mean"] == pytest.approx(0.52)
    assert set(found) == {f"{m}{t}{n}" for m in METRICS for t in ("", "_b") for n in ("", "_noisy")}


def test_notes_say_how_it_was_measured() -> None:
    summary = summarize(PROSTATE, [hand_made(DICE, seed) for seed in range(2)]) | {"command": "the command"}
    tests = {name: zheng2020_data.TestSet([{}] * 4, f"set {name}") for name in ("a", "b")}
    text = notes(PROSTATE, summary, zheng2020_data.Found(Path("data"), tests))
    words = " ".join(text.split())
    assert "2 seed(s)" in words
    assert "over 1 objects: set a." in words
    assert "set b: 1 objects." in words
    assert "5 updates" in words
    assert "U-Net: 7 updates" in words.replace("`", "")
    assert "- +CM+BD - baseline: +0.0300 (+0.0300, +0.0300)" in text
    assert "- +CM+BD - DEXTR: -0.0100" in text
    assert "in mm" in words
    assert "`the command`" in text
    assert text.count(f"| {ELLIPSE} |") == 2  # displaced clicks, and the other test set


def test_every_row_has_a_training() -> None:
    assert set(ROWS.values()) == {*TRAININGS, None}
    for click in (FUNDUS, PROSTATE):
        assert set(click.paper) <= set(ROWS)
        for override in TRAININGS.values():
            assert [file for file in click.target.files(override or "") if not Path(file).is_file()] == []
        same, settings = with_weights(click, None)
        assert (same, settings) == (click, {})
        other, settings = with_weights(click, "r50.pth")
        assert settings == {"imagenet": "r50.pth"}
        assert [Path(file).stem for file in other.target.files("delse")] == ["train", "resnet50", "delse"]


# Data


def test_a_folder_with_none_of_the_data(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="neither datalist.json nor promise12_case00 or prostate158"):
        find_data(PROSTATE, tmp_path, tmp_path / "out", 1)
    with pytest.raises(DataError):
        find_data(FUNDUS, tmp_path, tmp_path / "out", 1)


def test_photographs_are_prepared_and_the_test_part_is_scored(drishti: Path, tmp_path: Path) -> None:
    found = find_data(FUNDUS, drishti, tmp_path, 1)
    assert found.folder == tmp_path / "data"
    (name, test), *others = found.tests.items()
    assert (name, others) == ("test", [])
    assert [item["id"] for item in test.items] == ["drishtiGS_003"]
    sections = [load_section(found.folder, name) for name in ("training", "validation")]
    assert [len(items) for items in sections] == [2, 1]


def real_prostate(root: Path) -> Path:
    """One volume and two pictures, with the layouts and names of PROMISE12's case and Prostate158."""
    x, y, z = np.ogrid[:40, :36, :6]
    mask = ((x - 20) ** 2 + (y - 18) ** 2 <= 81) & (z > 1)
    image = np.where(mask, 180, 60) + np.random.default_rng(0).integers(0, 20, mask.shape)
    (root / "promise12_case00").mkdir(parents=True)
    affine = np.diag([-0.6, -0.6, 3, 1])
    for name, values in (("Case00", image), ("Case00_segmentation", mask)):
        volume = nib.Nifti1Image(values.astype(np.int16), affine)
        nib.save(volume, root / "promise12_case00" / f"{name}.nii.gz")
    for folder in ("images", "masks"):
        (root / "prostate158" / folder).mkdir(parents=True)
    for name in ("p1", "p2"):
        Image.fromarray(image[..., 3].astype(np.uint8)).save(root / f"prostate158/images/{name}.png")
        colours = np.zeros((40, 36, 3), np.uint8)
        colours[..., 0] = 255 * (mask[..., 3] & (x[..., 0] < 20))
        colours[..., 1] = 255 * (mask[..., 3] & (x[..., 0] >= 20))
        Image.fromarray(colours).save(root / f"prostate158/masks/{name}.png")
    return root


def test_real_prostates_are_tests_of_training_on_phantoms(prostate: ClickTarget, tmp_path: Path) -> None:
    data = real_prostate(tmp_path / "data")
    found = find_data(prostate, data, tmp_path / "out", 1)
    assert list(found.tests) == ["promise12", "prostate158"]
    assert found.folder == tmp_path / "out/data/phantoms"
    assert len(found.tests["promise12"].items) == 6
    assert [item["id"] for item in found.tests["prostate158"].items] == ["p1", "p2"]
    label = found.tests["prostate158"].items[0]["label"]
    with Image.open(label) as opened:
        values = np.asarray(opened)
    assert set(np.unique(values)) == {0, 1}  # both colours
    assert values.sum() == pytest.approx(np.pi * 81, rel=0.05)
    for name in ("promise12", "prostate158"):
        files = prostate.target.files("")
        objects = ClickedObjects(files, found.tests[name].items, prostate.structures).objects
        assert len(objects) == {"promise12": 4, "prostate158": 2}[name]
    shutil.rmtree(data / "prostate158")
    assert list(find_data(prostate, data, tmp_path / "out", 1).tests) == ["promise12"]


def without_training(phantoms: Path, folder: Path) -> Path:
    shutil.copytree(phantoms, folder)
    content = json.loads((folder / "datalist.json").read_text())
    content["test"] = content.pop("validation")
    (folder / "datalist.json").write_text(json.dumps({**content, "training": []}))
    return folder


def test_nothing_to_train_on_and_nothing_trained(phantoms: Path, tmp_path: Path) -> None:
    data = without_training(phantoms, tmp_path / "data")
    with pytest.raises(DataError, match="no training section, and .* holds no finished training"):
        find_data(FUNDUS, data, tmp_path / "out", 1)
    for training in TRAININGS:
        folder = tmp_path / "out/runs/seed0" / training
        folder.mkdir(parents=True)
        (folder / "finished.json").write_text("{}")
    assert list(find_data(FUNDUS, data, tmp_path / "out", 1).tests) == ["test"]


def test_a_picture_without_label_is_not_scored(phantoms: Path, tmp_path: Path) -> None:
    shutil.copytree(phantoms, tmp_path / "data")
    file = tmp_path / "data/datalist.json"
    content = json.loads(file.read_text())
    del content["validation"][0]["label"]
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match="a slice without label cannot be scored"):
        find_data(FUNDUS, tmp_path / "data", tmp_path / "out", 1)


# The command


@pytest.fixture(scope="module")
def stubbed(
    drishti: Path,
    fundus: ClickTarget,
    tmp_path_factory: pytest.TempPathFactory,
    stub_trainings: Callable[[], Any],
) -> tuple[Path, dict[str, Any], Any]:
    """Everything but the trainings: networks that have learned nothing, for one seed."""
    out, trainings = tmp_path_factory.mktemp("reproduce"), stub_trainings()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(zheng2020.TARGETS, "zheng2020-fundus", fundus)
        patch.setattr("monai_levelset.reproduce.stages.run_workflow", trainings)
        summary = reproduce("zheng2020-fundus", str(drishti), str(out), seeds=1, epochs=2)
    return out, summary, trainings


def test_every_row_is_trained_alike(stubbed: tuple[Path, dict[str, Any], Any]) -> None:
    _, summary, trainings = stubbed
    assert trainings.names == list(TRAININGS)
    assert [files[1:] for files in trainings.files] == [[name] if name else [] for name in TRAININGS.values()]
    assert {settings["seed"] for settings in trainings.settings} == {0}
    budgets = [settings["max_updates"] for settings in trainings.settings]
    updates = dict(zip(TRAININGS, budgets, strict=True))
    assert updates == summary["updates"]
    assert updates == dict.fromkeys(TRAININGS, 2)  # two photographs fit one update


def test_every_row_is_scored_on_every_object(stubbed: tuple[Path, dict[str, Any], Any]) -> None:
    out, summary, _ = stubbed
    assert json.loads((out / "summary.json").read_text()) == summary
    assert summary["reported_on"] == "test"
    assert summary["command"].endswith("--seeds 1 --epochs 2")
    assert list(summary["models"]) == list(ROWS)
    names = {f"{m}{s}{n}" for m in METRICS for s in ("", "_disc", "_cup") for n in ("", "_noisy")}
    for row, found in summary["models"].items():
        assert set(found) == names, row
    ellipses = summary["models"][ELLIPSE]
    assert ellipses["dice"]["mean"] > 0.85
    assert ellipses["dice_noisy"]["mean"] <= ellipses["dice"]["mean"]
    unet = summary["models"][UNET]
    assert unet["dice"] == unet["dice_noisy"]  # it gets no clicks
    assert summary["models"]["baseline"] == summary["models"]["DELSE"]


def test_table_and_pictures(stubbed: tuple[Path, dict[str, Any], Any]) -> None:
    out, summary, _ = stubbed
    assert {path.name for path in out.iterdir() if path.is_file()} == FILES
    table = list(csv.DictReader((out / "table.csv").read_text().splitlines()))
    assert [row["model"] for row in table] == list(ROWS)
    assert summary["command"] in (out / "table.md").read_text()
    for structure in ("disc", "cup"):
        with Image.open(out / f"cases/drishtiGS_003-{structure}.gif") as film:
            assert film.n_frames > 2
        assert (out / f"cases/drishtiGS_003-{structure}.png").is_file()


def test_a_second_call_only_reads(
    stubbed: tuple[Path, dict[str, Any], Any],
    drishti: Path,
    fundus: ClickTarget,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, summary, trainings = stubbed
    monkeypatch.setitem(zheng2020.TARGETS, "zheng2020-fundus", fundus)
    for name in ("click_masks", "unet_masks"):
        monkeypatch.setattr(zheng2020, name, None)
    monkeypatch.setattr(zheng2020, "write_figures", lambda *arguments: None)
    monkeypatch.setattr("monai_levelset.reproduce.stages.run_workflow", None)
    again = reproduce("zheng2020-fundus", str(drishti), str(out), seeds=1, epochs=2)
    assert again["models"] == summary["models"]
    assert len(trainings.names) == len(TRAININGS)


def test_weights_are_of_these_targets_only(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--weights is of the targets zheng2020-fundus"):
        reproduce("tang2017-lv", str(tmp_path), str(tmp_path / "out"), weights="r50.pth")


@pytest.mark.slow
def test_all_rows_are_really_trained(
    drishti: Path, fundus: ClickTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(zheng2020.TARGETS, "zheng2020-fundus", fundus)
    summary = reproduce("zheng2020-fundus", str(drishti), str(tmp_path), seeds=1, epochs=1)
    assert summary["updates"] == dict.fromkeys(TRAININGS, 1)
    for training in TRAININGS:
        folder = tmp_path / "runs/seed0" / training
        assert (folder / "model.pt").is_file()
        assert not (folder / "checkpoint.pt").exists()
    for row in ROWS:
        assert 0 <= summary["models"][row]["dice"]["mean"] <= 1
