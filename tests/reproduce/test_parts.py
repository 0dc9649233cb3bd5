"""No patient has two roles, and what chooses checkpoints is never reported on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from monai_levelset.data import DataError, load_section, sunnybrook_png_items, write_datalist
from monai_levelset.data.readers.slices8bit import read_liver_slices
from monai_levelset.reproduce.parts import Parts, check_parts, check_runs, find_parts
from monai_levelset.reproduce.targets import find_target

from .slices import LIVER_SPLITS

LIVER = find_target("tang2017-liver")
Data = Callable[..., Path]


def patients(parts: Parts) -> dict[str, set[str]]:
    return {name: {item["patient"] for item in load_section(parts.folder, name)} for name in parts.sections}


def test_without_a_test_part_some_training_patients_choose_the_checkpoints(
    liver_data: Data, tmp_path: Path
) -> None:
    parts = find_parts(LIVER, liver_data("train", "val"), tmp_path / "out")
    assert (parts.scored, parts.name, parts.inner, parts.trains) == ("test", "validation", True, True)
    found = patients(parts)
    assert found["test"] == set(LIVER_SPLITS["val"])
    assert len(found["validation"]) == 1  # 15 % of 8
    assert len(found["training"]) == 7
    assert found["training"] | found["validation"] == set(LIVER_SPLITS["train"])
    counts = check_parts(parts)
    assert counts == {"training": (7, 14), "validation": (1, 2), "test": (2, 4)}


def test_the_draw_is_the_same_at_every_call_and_in_every_folder(liver_data: Data, tmp_path: Path) -> None:
    data = liver_data("train", "val")
    first, again, elsewhere = (find_parts(LIVER, data, tmp_path / out) for out in ("out", "out", "other"))
    assert first == again
    assert first.folder != elsewhere.folder
    assert patients(first) == patients(elsewhere)


def test_another_way_to_write_the_path_is_the_same_data(liver_data: Data, tmp_path: Path) -> None:
    data = liver_data("train", "val")
    roundabout = data / ".." / data.name
    assert find_parts(LIVER, roundabout, tmp_path / "out") == find_parts(LIVER, data, tmp_path / "out")


def test_prepared_results_can_be_moved(liver_data: Data, tmp_path: Path) -> None:
    parts = find_parts(LIVER, liver_data("train", "val"), tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "moved")
    moved = tmp_path / "moved" / parts.folder.relative_to(tmp_path / "out")
    for item in load_section(moved, "training"):
        assert Path(item["image"]).is_relative_to(tmp_path / "moved")


def test_a_test_part_is_used_as_it_is(liver_data: Data, tmp_path: Path) -> None:
    parts = find_parts(LIVER, liver_data("train", "val", "test"), tmp_path / "out")
    assert (parts.scored, parts.name, parts.inner) == ("test", "test", False)
    names = {"training": "train", "validation": "val", "test": "test"}
    assert patients(parts) == {name: set(LIVER_SPLITS[split]) for name, split in names.items()}


def test_a_folder_with_a_data_list_is_read_where_it_is(liver_data: Data, tmp_path: Path) -> None:
    prepared = find_parts(LIVER, liver_data("train", "val", "test"), tmp_path / "first").folder
    assert find_parts(LIVER, prepared, tmp_path / "second") == Parts(prepared)
    assert not (tmp_path / "second").exists()


def test_a_data_list_without_test_part_is_left_alone_and_its_unlabelled_patients_are_trained_on(
    data: Path, tmp_path: Path
) -> None:
    sections = sunnybrook_png_items(data)
    training = sections["training"] + sections["test"]
    for item in sections["test"]:
        del item["label"]
    own = write_datalist(
        tmp_path / "own" / "datalist.json", {"training": training, "validation": sections["validation"]}
    )
    before = own.read_bytes()
    parts = find_parts(find_target("tang2017-lv"), own.parent, tmp_path / "out")
    assert own.read_bytes() == before
    found = patients(parts)
    assert found["validation"] < {"SC-N-02", "SC-N-03"}
    assert found["training"] == {"SC-N-02", "SC-N-03", "SC-N-06", "SC-N-07"} - found["validation"]
    assert all(item["labeled"] for item in load_section(parts.folder, "validation"))


def test_other_data_never_take_the_place_of_those_trained_on(liver_data: Data, tmp_path: Path) -> None:
    trained = find_parts(LIVER, liver_data("train", "val"), tmp_path / "out")
    before = patients(trained)
    other = find_parts(LIVER, liver_data("test"), tmp_path / "out")
    assert not other.trains
    assert other.folder != trained.folder
    assert patients(other) == {"test": set(LIVER_SPLITS["test"])}
    assert patients(trained) == before


def test_without_training_part_finished_trainings_are_needed(liver_data: Data, tmp_path: Path) -> None:
    out = tmp_path / "out"
    parts = find_parts(LIVER, liver_data("test"), out)
    for stage in LIVER.stages:
        folder = out / "runs" / "seed0" / stage.name
        with pytest.raises(DataError, match=f"no training section, and {folder} holds no finished training"):
            check_runs(LIVER, parts, out, seeds=1)
        folder.mkdir(parents=True)
        (folder / "finished.json").write_text("{}")
    check_runs(LIVER, parts, out, seeds=1)
    with pytest.raises(DataError, match="seed1.*Run the command on data with a training section first"):
        check_runs(LIVER, parts, out, seeds=2)


def test_data_to_train_on_need_no_earlier_trainings(data: Path, tmp_path: Path) -> None:
    check_runs(LIVER, Parts(data), tmp_path, seeds=3)


def test_broken_data_list(tmp_path: Path) -> None:
    for content in ("{", "[]"):
        (tmp_path / "datalist.json").write_text(content)
        with pytest.raises(DataError, match="datalist.json: not a data list"):
            find_parts(LIVER, tmp_path, tmp_path / "out")


def test_a_folder_in_another_layout(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "notes.txt").touch()
    with pytest.raises(DataError, match="images/ and labels/ are not here"):
        find_parts(LIVER, tmp_path / "data", tmp_path / "out")


def test_the_split_of_the_real_slices(data_root: Path, tmp_path: Path) -> None:
    source = data_root / "liver" / "msd_slices"
    if not source.is_dir() or "test" in (splits := json.loads((source / "splits.json").read_text())):
        pytest.skip("these slices have a test part")
    sections: dict[str, list[dict[str, str]]] = {"training": [], "validation": []}
    for case in read_liver_slices(source).cases:
        item = {"image": str(case.image[0]), "label": str(case.label[0]), "patient": case.patient}
        sections[case.section or ""].append(item)
    write_datalist(tmp_path / "list" / "datalist.json", sections)
    parts = find_parts(LIVER, tmp_path / "list", tmp_path / "out")
    found = patients(parts)
    assert found["test"] == set(splits["val"])
    assert found["training"] | found["validation"] == set(splits["train"])
    assert [len(found[name]) for name in parts.sections] == [68, 12, 20]
    assert sum(len(load_section(parts.folder, name)) for name in parts.sections) == 518
