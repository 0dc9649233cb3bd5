"""From a data folder to 2D items: both layouts, the labelled fraction, what is kept, and clear errors."""

from __future__ import annotations

import json
import shutil
from itertools import chain
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from monai_levelset.data import DataError, load_section, training_items, write_datalist
from monai_levelset.data.phantoms import generate_phantoms
from monai_levelset.metrics import load_volume

PATIENTS = {"train": ["SC-HF-I-01", "SC-N-02"], "val": ["SC-HYP-01"], "test": ["SC-N-03"]}


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom") / "lv"
    generate_phantoms("lv", folder, cases=6, seed=0)
    return folder


@pytest.fixture
def sunnybrook(tmp_path: Path) -> Path:
    """Two PNG slices for each patient."""
    root, rng = tmp_path / "sunnybrook", np.random.default_rng(0)
    for folder in ("images", "endocardium"):
        (root / folder).mkdir(parents=True)
    for patient in chain(*PATIENTS.values()):
        for frame in (20, 48):
            name = f"{patient}-IM-0001-{frame:04d}.png"
            Image.fromarray(rng.integers(0, 255, (24, 20), np.uint8)).save(root / "images" / name)
            label = np.zeros((24, 20), np.uint8)
            label[8:14, 6:12] = 255
            Image.fromarray(label).save(root / "endocardium" / name)
    (root / "splits.json").write_text(json.dumps(PATIENTS))
    return root


def volumes(folder: Path, labeled: list[bool], depth: int = 3) -> Path:
    """A data list of volumes; patient p0 has the first two."""
    items = []
    for k, has_label in enumerate(labeled):
        rng = np.random.default_rng(k)
        affine = np.diag([1.5, 1.5, 8.0, 1.0])
        folder.mkdir(parents=True, exist_ok=True)
        image = nibabel.Nifti1Image(rng.normal(size=(12, 10, depth)).astype(np.float32), affine)
        nibabel.save(image, folder / f"i{k}.nii.gz")
        item = {"image": f"i{k}.nii.gz", "id": f"c{k}", "patient": f"p{max(0, k - 1)}"}
        if has_label:
            mask = np.zeros((12, 10, depth), np.uint8)
            mask[3:8, 3:8] = 1
            nibabel.save(nibabel.Nifti1Image(mask, affine), folder / f"l{k}.nii.gz")
            item["label"] = f"l{k}.nii.gz"
        items.append(item)
    write_datalist(folder / "datalist.json", {"training": items})
    return folder


def labeled_patients(items: list[dict]) -> set[str]:
    return {item["patient"] for item in items if item["labeled"]}


def test_phantoms_come_as_labelled_slices(phantom: Path) -> None:
    items = training_items(phantom)
    assert len(items) > len(load_section(phantom, "training"))
    assert all(item["labeled"] == 1 for item in items)
    for item in items:
        image, label = nibabel.load(item["image"]), nibabel.load(item["label"])
        assert len(image.shape) == 2
        assert image.shape == label.shape
    assert len({item["id"] for item in items}) == len(items)
    assert (phantom / ".slices").is_dir()


def test_sections_share_no_patient(phantom: Path) -> None:
    training, validation = training_items(phantom), training_items(phantom, "validation")
    assert not {i["patient"] for i in training} & {i["patient"] for i in validation}


def test_fraction_is_drawn_by_patient(tmp_path: Path) -> None:
    folder = volumes(tmp_path / "d", [True] * 5)
    items = training_items(folder, labeled_fraction=0.5, seed=0)
    by_patient = {p: {i["labeled"] for i in items if i["patient"] == p} for p in ("p0", "p1", "p2", "p3")}
    assert all(len(values) == 1 for values in by_patient.values())
    assert len(labeled_patients(items)) == 2
    assert len(items) == 15
    assert all(("label" in item) == bool(item["labeled"]) for item in items)


def test_fraction_depends_on_the_seed_and_nests(tmp_path: Path) -> None:
    folder = volumes(tmp_path / "d", [True] * 7, depth=1)
    draws = [labeled_patients(training_items(folder, labeled_fraction=0.5, seed=s)) for s in range(6)]
    assert labeled_patients(training_items(folder, labeled_fraction=0.5, seed=0)) == draws[0]
    assert any(draw != draws[0] for draw in draws)
    assert labeled_patients(training_items(folder, labeled_fraction=0.2, seed=0)) < draws[0]


def test_slices_without_the_object_can_be_left_out(tmp_path: Path) -> None:
    generate_phantoms("prostate", tmp_path / "d", cases=4, seed=0)
    everything = training_items(tmp_path / "d", axcodes="PLS")
    held = training_items(tmp_path / "d", axcodes="PLS", keep_empty=False)
    inside = [item["id"] for item in everything if load_volume(item["label"]).array.any()]
    assert [item["id"] for item in held] == inside
    assert 0 < len(held) < len(everything)


def test_keep(tmp_path: Path) -> None:
    folder = volumes(tmp_path / "d", [True] * 5)
    parts = {
        keep: training_items(folder, labeled_fraction=0.5, keep=keep)
        for keep in ("all", "labeled", "unlabeled")
    }
    assert {i["labeled"] for i in parts["labeled"]} == {1}
    assert {i["labeled"] for i in parts["unlabeled"]} == {0}
    ids = {keep: [i["id"] for i in items] for keep, items in parts.items()}
    assert sorted(ids["labeled"] + ids["unlabeled"]) == sorted(ids["all"])


def test_cases_listed_without_label_are_unlabelled(tmp_path: Path) -> None:
    items = training_items(volumes(tmp_path / "d", [True, False, True]))
    assert [i["labeled"] for i in items] == [1] * 3 + [0] * 3 + [1] * 3


def test_cache_folder_is_used_and_reused(tmp_path: Path) -> None:
    folder, cache = volumes(tmp_path / "d", [True, True]), tmp_path / "cache"
    first = training_items(folder, cache_dir=cache)
    assert all(Path(i["image"]).is_relative_to(cache) for i in first)
    assert not (folder / ".slices").exists()
    times = [Path(i["image"]).stat().st_mtime_ns for i in first]
    assert training_items(folder, cache_dir=cache) == first
    assert [Path(i["image"]).stat().st_mtime_ns for i in first] == times


def test_sunnybrook_sections(sunnybrook: Path) -> None:
    for section, key in (("training", "train"), ("validation", "val"), ("test", "test")):
        items = training_items(sunnybrook, section)
        assert [i["patient"] for i in items] == [p for p in PATIENTS[key] for _ in range(2)]
        assert all(i["labeled"] == 1 and Path(i["label"]).is_file() for i in items)
    assert not (sunnybrook / ".slices").exists()


def test_sunnybrook_fraction(sunnybrook: Path) -> None:
    items = training_items(sunnybrook, labeled_fraction=0.5)
    assert len(labeled_patients(items)) == 1
    assert [i["labeled"] for i in items].count(1) == 2


def test_a_data_list_goes_before_the_sunnybrook_layout(sunnybrook: Path) -> None:
    name = "SC-HYP-01-IM-0001-0020.png"
    item = {"image": f"images/{name}", "label": f"endocardium/{name}", "id": "only"}
    write_datalist(sunnybrook / "datalist.json", {"training": [item]})
    assert [i["id"] for i in training_items(sunnybrook)] == ["only"]


def test_missing_or_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone"):
        training_items(tmp_path / "gone")
    with pytest.raises(DataError, match=str(tmp_path)):
        training_items(tmp_path)


def test_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(DataError, match=r"neither datalist\.json nor the Sunnybrook layout.*prepare"):
        training_items(tmp_path)


def test_unknown_section(sunnybrook: Path, tmp_path: Path) -> None:
    folder = volumes(tmp_path / "d", [True])
    with pytest.raises(DataError, match="no section 'validation'"):
        training_items(folder, "validation")
    with pytest.raises(DataError, match=r"section 'train'.*'training', 'validation', 'test'"):
        training_items(sunnybrook, "train")


def test_empty_sunnybrook_section(sunnybrook: Path) -> None:
    for file in sunnybrook.glob("endocardium/SC-HYP*"):
        file.unlink()
    with pytest.raises(DataError, match=r"section 'validation'.*\['training', 'test'\]"):
        load_section(sunnybrook, "validation")


def test_no_label_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no case of the section 'training' has a label"):
        training_items(volumes(tmp_path / "d", [False, False]))


def test_nothing_left_to_keep(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"keep='unlabeled' leaves no case.*labeled_fraction"):
        training_items(volumes(tmp_path / "d", [True, True]), keep="unlabeled")


def test_arguments_out_of_range(tmp_path: Path) -> None:
    folder = volumes(tmp_path / "d", [True, True])
    with pytest.raises(ValueError, match="all, labeled or unlabeled, got 'some'"):
        training_items(folder, keep="some")
    for fraction in (0.0, 1.5, -1.0):
        with pytest.raises(ValueError, match=r"\(0, 1\]"):
            training_items(folder, labeled_fraction=fraction)


def test_every_file_is_checked_before(tmp_path: Path) -> None:
    folder = volumes(tmp_path / "d", [True, True, True])
    shutil.copy(folder / "l0.nii.gz", tmp_path / "l.nii.gz")
    (folder / "i1.nii.gz").write_bytes((folder / "i1.nii.gz").read_bytes()[:60])
    bad = np.zeros((12, 10, 3), np.uint8)
    bad[3:8] = 7
    nibabel.save(nibabel.Nifti1Image(bad, np.diag([1.5, 1.5, 8.0, 1.0])), folder / "l2.nii.gz")
    with pytest.raises(DataError) as error:
        training_items(folder)
    assert "i1.nii.gz" in str(error.value)
    assert "l2.nii.gz" in str(error.value)
    assert "i0.nii.gz" not in str(error.value)
    assert not (folder / ".slices").exists()


def test_other_label_values(tmp_path: Path) -> None:
    folder = volumes(tmp_path / "d", [True])
    mask = np.zeros((12, 10, 3), np.uint8)
    mask[3:8] = 2
    nibabel.save(nibabel.Nifti1Image(mask, np.diag([1.5, 1.5, 8.0, 1.0])), folder / "l0.nii.gz")
    with pytest.raises(DataError, match="unexpected label values 2"):
        training_items(folder)
    assert len(training_items(folder, label_values=(0, 1, 2))) == 3


def test_middle_slices_are_the_middle_ones_of_each_patient_in_order_of_their_number(tmp_path: Path) -> None:
    folder = volumes(tmp_path / "data", [True, False, True], depth=7)
    items = training_items(folder, middle_slices=2)
    assert [(i["patient"], i["slice"]) for i in items if i["patient"] == "p1"] == [("p1", 2), ("p1", 3)]
    both = sorted(i["slice"] for i in items if i["patient"] == "p0")  # two volumes, 0 0 1 1 ... 6 6
    assert both == [3, 3]
    assert len(training_items(folder, middle_slices=100)) == 21


def test_middle_slices_of_listed_slices_follow_their_number_not_their_order(tmp_path: Path) -> None:
    items = []
    for number in (30, 10, 50, 20, 40):
        picture = np.random.default_rng(number).integers(0, 255, (8, 8), np.uint8)
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
        Image.fromarray(np.eye(8, dtype=np.uint8)).save(tmp_path / f"l{number}.png")
        items.append({"image": f"{number}.png", "label": f"l{number}.png", "patient": "p", "slice": number})
    write_datalist(tmp_path / "datalist.json", {"training": items})
    kept = training_items(tmp_path, middle_slices=3)
    assert [item["slice"] for item in kept] == [30, 20, 40]


def test_middle_slices_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="middle_slices"):
        training_items(tmp_path, middle_slices=0)
