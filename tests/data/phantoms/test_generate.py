"""Writing phantom data sets: bytes, names, splits, folders and errors."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_levelset.data import load_datalist
from monai_levelset.data.phantoms import TASKS, draw_cases, generate_phantoms, phantom
from monai_levelset.data.phantoms.files import read_image
from monai_levelset.data.phantoms.generate import MARKER, SECTIONS

QUICK = ("lv", "prostate", "fundus", "natural")


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file by relative name."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.mark.parametrize("task", sorted(TASKS))
def test_repeated_run_is_identical_byte_for_byte(task: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        generate_phantoms(task, tmp_path / name, cases=1, seed=3)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


@pytest.mark.parametrize("task", QUICK)
def test_a_case_does_not_depend_on_how_many_are_asked(task: str, tmp_path: Path) -> None:
    generate_phantoms(task, tmp_path / "few", cases=1)
    generate_phantoms(task, tmp_path / "many", cases=3)
    few, many = digests(tmp_path / "few"), digests(tmp_path / "many")
    pictures = {name for name in few if not name.endswith(".json")}
    assert len(pictures) == 2
    assert {name: many[name] for name in pictures} == {name: few[name] for name in pictures}


def test_seeds_and_cases_differ() -> None:
    pictures = [draw_cases("lv", i, seed)[0].image.tobytes() for i, seed in ((0, 0), (1, 0), (0, 1))]
    assert len(set(pictures)) == 3


def test_same_seed_gives_different_pictures_for_different_tasks() -> None:
    assert draw_cases("liver", 0, 0)[0].image.tobytes() != draw_cases("lits", 0, 0)[0].image.tobytes()


@pytest.mark.parametrize("task", QUICK)
def test_files_hold_what_was_drawn(task: str, tmp_path: Path) -> None:
    generate_phantoms(task, tmp_path, cases=1)
    case = draw_cases(task, 0, 0)[0]
    name = json.loads((tmp_path / "datalist.json").read_text())["training"][0]
    image, label = (read_image(tmp_path / name[key]) for key in ("image", "label"))
    assert image.dtype == case.image.dtype
    assert label.dtype == np.uint8
    np.testing.assert_array_equal(image, case.image)
    np.testing.assert_array_equal(label, case.label)


def test_nifti_header_carries_the_affine_twice_in_millimetres(tmp_path: Path) -> None:
    generate_phantoms("lv", tmp_path, cases=1)
    image = nib.load(tmp_path / "images/lv_000.nii.gz")
    affine = draw_cases("lv", 0, 0)[0].affine
    assert image.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(image.header.get_sform(), affine, atol=1e-4)
    np.testing.assert_allclose(image.header.get_qform(), affine, atol=1e-4)
    np.testing.assert_allclose(image.header.get_zooms(), (1.4, 1.4, 8.0), rtol=1e-6)


@pytest.mark.parametrize("cases", [1, 2, 3, 7])
def test_splits_are_disjoint_by_patient_and_complete(cases: int, tmp_path: Path) -> None:
    path = generate_phantoms("fundus", tmp_path, cases=cases)
    sections = {name: load_datalist(path, name) for name in SECTIONS if json.loads(path.read_text())[name]}
    patients = [{item["patient"] for item in items} for items in sections.values()]
    assert sum(map(len, patients)) == len(set().union(*patients)) == (cases + 1) // 2
    listed = {Path(item["image"]).name for items in sections.values() for item in items}
    for folder in ("images", "labels"):
        assert listed == {p.name for p in (tmp_path / folder).iterdir()}
    assert len(listed) == cases
    assert all(item["labeled"] == 1 for items in sections.values() for item in items)


def test_split_shares_and_seed(tmp_path: Path) -> None:
    def split(seed: int) -> dict[str, list[str]]:
        path = generate_phantoms("natural", tmp_path, cases=10, seed=seed, test_fraction=0.3)
        content = json.loads(path.read_text())
        return {name: [item["id"] for item in content[name]] for name in SECTIONS}

    first = split(0)
    assert {name: len(ids) for name, ids in first.items()} == {"training": 5, "validation": 2, "test": 3}
    assert split(0) == first
    assert split(1) != first


def test_zero_fractions_leave_everything_to_training(tmp_path: Path) -> None:
    path = generate_phantoms("natural", tmp_path, cases=3, validation_fraction=0, test_fraction=0)
    content = json.loads(path.read_text())
    assert [len(content[name]) for name in SECTIONS] == [3, 0, 0]


def test_datalist_describes_the_data(tmp_path: Path) -> None:
    content = json.loads(generate_phantoms("lv", tmp_path, cases=1).read_text())
    item = {
        "image": "images/lv_000.nii.gz",
        "label": "labels/lv_000.nii.gz",
        "id": "lv_000",
        "patient": "lv_000",
    }
    assert content["training"] == [item]
    assert content["labels"] == {"0": "background", "1": "left ventricle endocardium"}
    assert content["modality"] == "MRI"


def test_running_again_over_its_own_output(tmp_path: Path) -> None:
    generate_phantoms("fundus", tmp_path / "out", cases=4)
    (tmp_path / "out/images/mine.png").write_bytes(b"kept")
    generate_phantoms("natural", tmp_path / "out", cases=1)
    assert {p.name for p in (tmp_path / "out/images").iterdir()} == {"natural_000.png", "mine.png"}
    assert {p.name for p in (tmp_path / "out/labels").iterdir()} == {"natural_000.png"}


def test_an_interrupted_run_can_be_repeated(tmp_path: Path) -> None:
    generate_phantoms("natural", tmp_path / "out", cases=2)
    complete = digests(tmp_path / "out")
    (tmp_path / "out/datalist.json").unlink()
    (tmp_path / "out/labels/natural_001.png").unlink()
    generate_phantoms("natural", tmp_path / "out", cases=2)
    assert digests(tmp_path / "out") == complete


@pytest.mark.parametrize("marker", [None, "{", "[]", '{"generator": "another"}'])
def test_foreign_folder_is_refused_and_untouched(marker: str | None, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("valuable")
    if marker is not None:
        (tmp_path / MARKER).write_text(marker)
    before = digests(tmp_path)
    with pytest.raises(FileExistsError, match="not empty.*choose an empty folder"):
        generate_phantoms("lv", tmp_path)
    assert digests(tmp_path) == before


def test_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(FileExistsError, match="is a file"):
        generate_phantoms("lv", tmp_path / "out")


def test_unknown_task_lists_the_tasks(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'heart'.*brats, fundus, lits, liver, lv, natural, prostate"):
        generate_phantoms("heart", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cases": 0}, "cases must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"validation_fraction": 0.5, "test_fraction": 0.5}, "leave room for training"),
        ({"test_fraction": -0.1}, "must be 0 or more"),
    ],
)
def test_bad_numbers_are_refused_before_anything_is_written(
    arguments: dict[str, float], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        generate_phantoms("lv", tmp_path / "out", **arguments)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_command_prints_a_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    phantom("natural", str(tmp_path / "out"), cases=5, seed=2)
    printed = capsys.readouterr().out
    assert "natural phantoms, seed 2: 3 training, 1 validation, 1 test" in printed
    assert str(tmp_path / "out" / "datalist.json") in printed
