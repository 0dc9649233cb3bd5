"""The label-free table on a few small pictures in the layout of BSDS500; the network is not trained."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from PIL import Image
from scipy.io import savemat

from monai_levelset.data import DataError
from monai_levelset.reproduce import bsds_methods, kimye2020_bsds, reproduce
from monai_levelset.reproduce.bsds_methods import ROWS, class_map, row_settings
from monai_levelset.reproduce.bsds_photos import Photo, find_photos
from monai_levelset.reproduce.bsds_summary import summarize

WIDTH, HEIGHT = 30, 20


def write_photo(root: Path, part: str, name: str, *, people: int = 2) -> None:
    """Two halves of different colour, which every person has seen; the last also cuts off the top."""
    rng = np.random.default_rng(int(name))
    picture = np.full((HEIGHT, WIDTH, 3), rng.integers(20, 90, 3))
    picture[:, WIDTH // 2 :] += 140
    (root / "images" / part).mkdir(parents=True, exist_ok=True)
    Image.fromarray((picture + rng.integers(0, 12, picture.shape)).astype(np.uint8)).save(
        root / "images" / part / f"{name}.jpg", quality=95
    )
    truth = np.ones((HEIGHT, WIDTH), np.uint16)
    truth[:, WIDTH // 2 :] = 2
    cells = np.empty((1, people), object)
    for person in range(people):
        values = truth.copy()
        if person == people - 1 and people > 1:
            values[: HEIGHT // 4] += 2
        cells[0, person] = {"Segmentation": values, "Boundaries": np.zeros_like(values, np.uint8)}
    (root / "groundTruth" / part).mkdir(parents=True, exist_ok=True)
    savemat(root / "groundTruth" / part / f"{name}.mat", {"groundTruth": cells})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for number in range(1, 7):
        write_photo(tmp_path / "data", "val", f"{number:03d}")
    return tmp_path / "data"


class Trainings:
    """Stands in for `run_workflow`: leaves an untrained network."""

    def __init__(self) -> None:
        self.settings: list[dict[str, Any]] = []
        self.lists: list[dict[str, Any]] = []

    def __call__(self, files: Sequence[str], bundle: Path, settings: Mapping[str, Any]) -> None:
        self.settings.append(dict(settings))
        self.lists.append(json.loads((Path(settings["dataset_dir"]) / "datalist.json").read_text()))
        parser = ConfigParser()
        parser.read_config(list(files))
        parser["bias_field"] = settings["bias_field"]
        state = parser.get_parsed_content("network_def").state_dict()
        torch.save(state, Path(settings["output_dir"]) / "model.pt")


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Trainings:
    stub = Trainings()
    monkeypatch.setattr("monai_levelset.reproduce.bsds_network.run_workflow", stub)
    monkeypatch.setitem(bsds_methods.PER_IMAGE, "superpixels", 40)
    monkeypatch.setitem(bsds_methods.ROWS["4-phase level set"], "steps", 5)
    return stub


def test_the_whole_table(
    data: Path, tmp_path: Path, trainings: Trainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    monkeypatch.chdir(tmp_path)
    reproduce("kimye2020-bsds", "data", "out", seeds=1, epochs=2)
    summary = reproduce("kimye2020-bsds", str(data), str(out), seeds=2, epochs=2)
    assert list(summary["models"]) == list(ROWS)
    found = summary["models"]["per-image optimisation + Mumford-Shah"]
    assert summary["models"]["4-phase level set"]["rc"]["mean"] > 0.6
    assert {len(found[metric]["seeds"]) for metric in ("rc", "pri", "vi")} == {2}
    assert len(summary["models"]["4-phase level set"]["rc"]["seeds"]) == 1
    assert json.loads((out / "summary.json").read_text()) == summary
    assert summary["command"].endswith("--seeds 2 --epochs 2")
    assert summary["tuned_on"] == ["001", "006"]
    assert set(summary["others"]) == set(ROWS)
    table = (out / "table.md").read_text()
    assert "| U-Net + Mumford-Shah |" in table
    assert "one half of the pictures" in table
    assert {"table.csv", "scales.png"} <= {path.name for path in out.iterdir()}
    # two networks, two seeds, two halves; no picture is scored by a network that has seen it
    assert len(trainings.settings) == 8
    assert {settings["max_updates"] for settings in trainings.settings} == {2}
    for held in trainings.lists:
        items = [Path(item["image"]).stem for part in ("training", "validation") for item in held[part]]
        assert sorted(items) in (["001", "003", "005"], ["002", "004", "006"])
        assert not any("label" in item for part in ("training", "validation") for item in held[part])
    written = {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*.json")}
    assert reproduce("kimye2020-bsds", str(data), str(out), seeds=2, epochs=2) == summary
    assert len(trainings.settings) == 8
    assert {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*.json")} == written
    one = next(path for path in written if path.name == "003.json")
    one.unlink()
    assert reproduce("kimye2020-bsds", str(data), str(out), seeds=2, epochs=2)["models"].keys() == ROWS.keys()
    assert one.is_file()


def test_other_settings_are_computed_anew(data: Path, tmp_path: Path, trainings: Trainings) -> None:
    photo = find_photos(data).scored[0]
    job = kimye2020_bsds.Job("a", 0, photo, row_settings("per-image optimisation", 1), tmp_path / "a.json")
    first = kimye2020_bsds.score(job)
    assert kimye2020_bsds.score(job) == first
    other = kimye2020_bsds.Job("a", 1, *(photo, job.settings, job.path))
    assert kimye2020_bsds.score(other)["settings"]["seed"] == 1


def test_a_test_part_is_scored_and_the_rest_learned_from(data: Path) -> None:
    for number in (11, 12):
        write_photo(data, "test", f"{number:03d}")
    write_photo(data, "train", "021")
    photos = find_photos(data)
    assert (photos.part, photos.crossed) == ("test", False)
    assert [photo.name for photo in photos.scored] == ["011", "012"]
    assert sorted(photo.name for photo in photos.folds[0].training) == [
        f"{n:03d}" for n in (*range(1, 7), 21)
    ]
    scores = {"scores": [{"rc": 0.5, "pri": 0.5, "vi": 1.0, "regions": 3}], "seconds": 1.0}
    summary = summarize({"row": [{"011": scores, "012": scores}]}, photos, [0.0])
    assert summary["tuned_on"] == []
    assert "others" not in summary


def test_a_test_part_without_truth_is_learned_from(data: Path) -> None:
    for number in range(11, 15):
        write_photo(data, "test", f"{number:03d}")
    for path in (data / "groundTruth" / "test").iterdir():
        path.unlink()
    photos = find_photos(data)
    assert photos.part == "validation"
    assert [photo.name for photo in photos.folds[0].training] == ["011", "012", "013", "014"]


def test_the_summary_takes_each_metric_at_its_best_scale(data: Path) -> None:
    photos = find_photos(data)

    def run(shift: float) -> dict[str, Any]:
        return {
            photo.name: {
                "scores": [
                    {"rc": 0.2 + shift, "pri": 0.9, "vi": 3.0, "regions": 9},
                    {"rc": 0.4 + shift, "pri": 0.5, "vi": 2.0 - shift, "regions": 2},
                ],
                "seconds": 1.0,
            }
            for photo in photos.scored
        }

    summary = summarize({"row": [run(0.0), run(0.2)]}, photos, [0.0, 0.1])
    found = summary["models"]["row"]
    assert found["rc"]["seeds"] == pytest.approx([0.4, 0.6])
    assert found["vi"]["mean"] == pytest.approx(1.9)
    assert found["pri"]["mean"] == pytest.approx(0.9)
    assert summary["scale"]["row"] == {"rc": 0.1, "pri": 0.0, "vi": 0.1}


@pytest.mark.parametrize("row", [row for row in ROWS if ROWS[row]["method"] != "U-Net"])
def test_rows_find_the_two_halves(row: str, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bsds_methods.PER_IMAGE, "superpixels", 40)
    image, truths = find_photos(data).scored[0].load()
    assert image.shape == (3, WIDTH, HEIGHT)
    assert truths[0].shape == (WIDTH, HEIGHT)
    classes = class_map(image, row_settings(row, 40))
    left, right = set(classes[2:13].ravel().tolist()), set(classes[17:28].ravel().tolist())
    assert not left & right


def test_epochs_shorten_the_optimisation_alone() -> None:
    assert row_settings("per-image optimisation", 3)["steps"] == 3
    assert row_settings("4-phase level set", 3) == row_settings("4-phase level set", None)
    assert row_settings("per-image optimisation", None)["steps"] == bsds_methods.PER_IMAGE["steps"]


def test_unfit_data(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="groundTruth is not here"):
        reproduce("kimye2020-bsds", str(data / "images"), str(tmp_path / "out"))
    write_photo(tmp_path / "few", "val", "001")
    with pytest.raises(DataError, match="1 pictures to learn from; at least 4 are needed"):
        find_photos(tmp_path / "few")
    Image.new("RGB", (WIDTH, HEIGHT + 1)).save(data / "images/val/002.jpg")
    with pytest.raises(DataError, match=r"002.mat: its segmentations are \(30, 20\)"):
        reproduce("kimye2020-bsds", str(data), str(tmp_path / "out"))
    assert not (tmp_path / "out" / "runs").exists()


def test_grey_pictures(tmp_path: Path) -> None:
    write_photo(tmp_path, "val", "001")
    path = tmp_path / "images/val/001.jpg"
    with Image.open(path) as picture:
        picture.convert("L").save(path)
    image, _ = Photo("001", path, tmp_path / "groundTruth/val/001.mat").load()
    assert image.shape == (3, WIDTH, HEIGHT)
    assert float(image[1:].abs().max()) < 0.01


def test_the_real_data_are_read(data_root: Path) -> None:
    photos = find_photos(data_root / "bsds500")
    assert (photos.part, len(photos.scored)) == ("validation", 100)
    image, truths = photos.scored[0].load()
    assert len(truths) >= 4
    assert image.shape[0] == 3
