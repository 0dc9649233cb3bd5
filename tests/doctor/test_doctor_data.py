"""Data folders: what is counted, and what is told about damaged ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from monai_levelset.data.phantoms import generate_phantoms
from monai_levelset.doctor import Finding, training_cache
from monai_levelset.doctor.data import data_findings


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four volumes with labels: two to train on, one to validate, one to test."""
    folder = tmp_path_factory.mktemp("data") / "lv"
    generate_phantoms("lv", folder, cases=4, seed=3)
    return folder


@pytest.fixture
def folder(phantoms: Path, tmp_path: Path) -> Path:
    """A copy."""
    return Path(shutil.copytree(phantoms, tmp_path / "lv"))


def edit(folder: Path) -> Any:
    """The data list, and a function that writes it."""
    path = folder / "datalist.json"
    content = json.loads(path.read_text())
    return content, lambda: path.write_text(json.dumps(content))


def told(folder: Path, state: str = "problem") -> list[tuple[str, str]]:
    """Check and message of the findings in one state."""
    return [(f.check, f.message) for f in data_findings(folder) if f.state == state]


def said(folder: Path) -> dict[str, str]:
    """Check -> message of the findings that are ok."""
    return dict(told(folder, "ok"))


def write(path: Path, values: Any, affine: Any = None) -> None:
    """Write a NIfTI file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, np.diag([2.0, 2, 5, 1]) if affine is None else affine), path)


def voxels(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 100, shape).astype(np.int16)


def test_whole_data_are_counted(tmp_path: Path) -> None:
    for k in range(5):
        write(tmp_path / f"i{k}.nii.gz", voxels(10, 12, 4 + k, seed=k))
        write(tmp_path / f"l{k}.nii.gz", (voxels(10, 12, 4 + k, seed=k) > 50).astype(np.uint8) * (1 + k % 2))
    items = [{"image": f"i{k}.nii.gz", "label": f"l{k}.nii.gz", "patient": f"p{k // 2}"} for k in range(5)]
    del items[1]["label"]
    content = {"labels": {"0": "background", "1": "liver"}, "training": items[:4], "test": items[4:]}
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    found = said(tmp_path)
    assert found["training"] == "4 cases of 2 patients, 3 labelled, 1 unlabelled"
    assert found["test"] == "1 case of 1 patient, 1 labelled, 0 unlabelled"
    assert found["patients"] == "3, none in two sections"
    assert found["files"] == "9 files of 5 cases can be read, each label on its image's grid"
    assert found["grids"] == "5 of 10 x 12 x 4-8 voxels, 2 x 2 x 5 mm"
    assert found["labels"] == "values: 1 (liver) in 3 of 4, 2 in 1 of 4"
    assert told(tmp_path) == []
    warnings = dict(told(tmp_path, "warning"))
    assert warnings["labels"] == "the values 2 are not among the data list's `labels`"
    assert "cannot select its best network" in warnings["validation"]


def test_the_cache_is_compared_with_the_free_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = json.loads((folder / "datalist.json").read_text())
    used = [item for name in ("training", "validation") for item in content[name]]
    shapes = [nib.load(folder / item["image"]).shape for item in used]
    needed = sum(int(np.prod(shape)) for shape in shapes) * 2 * 4  # image and label, float32
    monkeypatch.setattr(training_cache, "free_memory", lambda: 2 * needed)
    assert f"{needed / 2**20:.0f} MiB of memory" in said(folder)["cache"]
    monkeypatch.setattr(training_cache, "free_memory", lambda: needed)
    assert [check for check, _ in told(folder, "warning")] == ["cache"]
    monkeypatch.setattr(training_cache, "free_memory", lambda: None)
    assert "unknown how much is free" in said(folder)["cache"]


def test_a_patient_in_two_sections(folder: Path) -> None:
    content, save = edit(folder)
    for section in ("training", "test"):
        content[section][0]["patient"] = "p1"
    save()
    (problem,) = told(folder)
    assert problem[0] == "data list"
    assert "patient p1 is in the sections training and test" in problem[1]
    assert "patients" not in said(folder)


def test_broken_json_is_told_with_its_line(folder: Path) -> None:
    (folder / "datalist.json").write_text('{"training": [\n  {"image": "a.nii.gz",}\n]}')
    ((check, message),) = told(folder)
    assert check == "data list"
    assert "datalist.json: broken JSON in line 2" in message


@pytest.mark.parametrize("content", ["[]", "{}", '{"training": []}', '{"training": {"image": "a.png"}}'])
def test_a_list_without_cases(folder: Path, content: str) -> None:
    (folder / "datalist.json").write_text(content)
    ((check, message),) = told(folder)
    assert check == "data list"
    assert "training" in message


def test_a_section_of_another_name(folder: Path) -> None:
    content, save = edit(folder)
    content["val"] = content.pop("validation")
    save()
    warnings = told(folder, "warning")
    assert ("data list", "the section 'val' is not known, nothing reads it") in warnings


def test_a_missing_file_in_one_section_leaves_the_others(folder: Path) -> None:
    content, save = edit(folder)
    content["test"][0]["image"] = "images/absent.nii.gz"
    save()
    ((_, message),) = told(folder)
    assert f"{folder}/images/absent.nii.gz does not exist" in message
    assert "training" in said(folder)


def test_a_training_without_labels(folder: Path) -> None:
    content, save = edit(folder)
    for item in content["training"]:
        del item["label"]
    save()
    ((_, message),) = told(folder)
    assert "no case of the section 'training' has a label" in message


def test_a_truncated_image(folder: Path) -> None:
    content, _ = edit(folder)
    path = folder / content["training"][0]["image"]
    path.write_bytes(path.read_bytes()[:2000])
    ((check, message),) = told(folder)
    assert check == "files"
    assert str(path) in message
    assert "truncated" in message


def test_a_label_on_another_grid(folder: Path) -> None:
    content, _ = edit(folder)
    path = folder / content["training"][0]["label"]
    label = nib.load(path)
    write(path, np.asarray(label.dataobj)[:-1], label.affine)
    ((check, message),) = told(folder)
    assert check == "files"
    assert "differs from" in message


@pytest.mark.parametrize(("empty", "state"), [(1, "warning"), (4, "problem")])
def test_empty_labels(folder: Path, empty: int, state: str) -> None:
    for path in sorted((folder / "labels").glob("*.nii.gz"))[:empty]:
        label = nib.load(path)
        write(path, np.zeros(label.shape, np.uint8), label.affine)
    ((check, message),) = told(folder, state)
    assert check == "labels"
    assert "4 labels are empty" in message


def test_the_same_image_in_two_sections(folder: Path) -> None:
    content, _ = edit(folder)
    source, target = (folder / content[name][0]["image"] for name in ("training", "test"))
    shutil.copy(source, target)
    shutil.copy(*(folder / content[name][0]["label"] for name in ("training", "test")))
    ((check, message),) = told(folder, "warning")
    names = [content[name][0]["id"] for name in ("training", "test")]
    assert (check, message) == ("copies", f"the same image: {names[0]} in training, {names[1]} in test")


def test_images_without_a_position(folder: Path) -> None:
    for path in [*folder.glob("images/*.nii.gz"), *folder.glob("labels/*.nii.gz")]:
        write(path, np.asarray(nib.load(path).dataobj), np.eye(4))
    warnings = told(folder, "warning")
    assert [check for check, _ in warnings] == ["grids"]
    assert warnings[0][1].startswith("4 of 4 images state the spacing 1 mm")


def test_labels_in_pictures_hold_255_for_1(tmp_path: Path) -> None:
    for k in range(2):
        Image.fromarray(voxels(8, 6, seed=k).astype(np.uint8)).save(tmp_path / f"i{k}.png")
        label = ((voxels(8, 6, seed=k) > 50) * 255).astype(np.uint8)
        Image.fromarray(label).save(tmp_path / f"l{k}.png")
    items = [{"image": f"i{k}.png", "label": f"l{k}.png"} for k in range(2)]
    content = {"labels": {"0": "rest", "1": "disc"}, "training": items[:1], "validation": items[1:]}
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    assert told(tmp_path, "warning") == []
    assert said(tmp_path)["labels"] == "values: 255 (disc) in 2 of 2"
    assert said(tmp_path)["grids"] == "2 of 6 x 8 voxels, no spacing in the files"


def test_sunnybrook_as_pictures(tmp_path: Path) -> None:
    patients = ["SC-HF-I-01", "SC-HF-I-02", "SC-HF-I-04"]
    for k, patient in enumerate(patients):
        for kind in ("images", "endocardium"):
            (tmp_path / kind).mkdir(exist_ok=True)
            values = voxels(8, 6, seed=k) if kind == "images" else (voxels(8, 6, seed=k) > 50) * 255
            Image.fromarray(values.astype(np.uint8)).save(tmp_path / kind / f"{patient}-IM-0001-0048.png")
    splits = dict(zip(("train", "val", "test"), ([patient] for patient in patients), strict=True))
    (tmp_path / "splits.json").write_text(json.dumps(splits))
    assert said(tmp_path)["training"] == "1 case of 1 patient, 1 labelled, 0 unlabelled"
    assert said(tmp_path)["files"].startswith("6 files of 3 cases can be read")
    assert told(tmp_path) == []
    (tmp_path / "endocardium" / f"{patients[0]}-IM-0001-0048.png").unlink()
    (tmp_path / "splits.json").write_text("{}")
    ((check, message),) = told(tmp_path)
    assert (check, "train, val and test are expected" in message) == ("data list", True)


def test_a_folder_of_images(tmp_path: Path) -> None:
    write(tmp_path / "a.nii.gz", voxels(8, 8, 3))
    write(tmp_path / "sub/b.nii", voxels(8, 8, 5))
    Image.fromarray(voxels(9, 7).astype(np.uint8)).save(tmp_path / "c.png")
    (tmp_path / "d.nii.gz").write_text("no image")
    Image.new("L", (5, 5)).save(tmp_path / "e.png")
    (tmp_path / "notes.txt").write_text("not counted")
    assert said(tmp_path)["images"] == "3 NIfTI, 2 PNG; 3 can be segmented"
    problems = [message for _, message in told(tmp_path)]
    assert len(problems) == 2
    assert problems[0].startswith(f"{tmp_path}/d.nii.gz: cannot be read")
    assert problems[1].startswith(f"{tmp_path}/e.png: every voxel has the value 0")
    assert ("grids", "slices and volumes are mixed") in told(tmp_path, "warning")


def test_two_images_of_one_name(tmp_path: Path) -> None:
    write(tmp_path / "a/x.nii.gz", voxels(4, 4, 4))
    write(tmp_path / "b/x.nii.gz", voxels(4, 4, 4))
    ((_, message),) = told(tmp_path)
    assert "have the same name 'x'" in message


def test_images_and_labels_without_a_list(folder: Path) -> None:
    (folder / "datalist.json").unlink()
    (found,) = data_findings(folder)
    assert found.state == "problem"
    assert "no datalist.json" in found.message
    assert "write_datalist" in found.fix


@pytest.mark.parametrize("name", ["absent", "empty", "file.nii.gz"])
def test_what_is_no_folder_with_data(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.nii.gz").touch()
    (found,) = data_findings(tmp_path / name)
    assert isinstance(found, Finding)
    assert (found.check, found.state) == ("folder", "problem")
    assert str(tmp_path / name) in found.message


def test_nothing_is_written(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    data_findings(folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
