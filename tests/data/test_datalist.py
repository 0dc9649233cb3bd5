from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_levelset.data import DataError, load_datalist, split_labeled, split_patients, write_datalist

Items = list[dict[str, Any]]


def cases(folder: Path, names: str, *, labels: str = "") -> Items:
    items: Items = []
    for name in names:
        (folder / f"{name}.png").touch()
        item: dict[str, Any] = {"image": str(folder / f"{name}.png"), "id": name, "patient": f"p{name}"}
        if name in labels:
            (folder / f"{name}_label.png").touch()
            item["label"] = str(folder / f"{name}_label.png")
        items.append(item)
    return items


def in_memory(patients: int, per_patient: int = 2) -> Items:
    return [
        {"image": f"{p}_{k}.png", "label": f"{p}_{k}_l.png", "patient": f"p{p}", "id": f"{p}_{k}"}
        for p in range(patients)
        for k in range(per_patient)
    ]


def labelled_patients(items: Items) -> set[str]:
    return {item["patient"] for item in items if "label" in item}


def test_written_list_is_read_back_with_absolute_paths_and_labelled_flags(tmp_path: Path) -> None:
    items = cases(tmp_path, "ab", labels="a")
    path = write_datalist(
        tmp_path / "datalist.json", {"training": items}, name="n", labels={"0": "background"}
    )
    assert load_datalist(path) == [{**items[0], "labeled": 1}, {**items[1], "labeled": 0}]


def test_files_inside_the_folder_are_relative_and_survive_a_move(tmp_path: Path) -> None:
    (tmp_path / "old" / "images").mkdir(parents=True)
    image = tmp_path / "old" / "images" / "a.png"
    image.touch()
    path = write_datalist(
        tmp_path / "old" / "datalist.json", {"training": [{"image": image, "label": image}]}
    )
    assert json.loads(path.read_text())["training"][0]["image"] == "images/a.png"
    (tmp_path / "old").rename(tmp_path / "new")
    moved = load_datalist(tmp_path / "new" / "datalist.json")
    assert moved[0]["image"] == str(tmp_path / "new" / "images" / "a.png")


def test_files_outside_the_folder_keep_their_absolute_path(tmp_path: Path) -> None:
    items = cases(tmp_path, "a", labels="a")
    path = write_datalist(tmp_path / "lists" / "datalist.json", {"training": items})
    assert json.loads(path.read_text())["training"][0]["image"] == str(tmp_path / "a.png")


def test_a_failed_write_leaves_the_old_list(tmp_path: Path) -> None:
    path = write_datalist(tmp_path / "datalist.json", {"training": cases(tmp_path, "a", labels="a")})
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_datalist(path, {"training": [{"image": "b.png", "extra": object()}]})
    assert path.read_bytes() == before
    assert not list(tmp_path.glob(".tmp*"))


def test_decathlon_strings_and_several_channels_are_understood(tmp_path: Path) -> None:
    cases(tmp_path, "abc")
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps({"test": ["./a.png", {"image": ["b.png", "c.png"]}]}))
    items = load_datalist(path, "test")
    assert items[0]["image"] == str(tmp_path / "a.png")
    assert items[1]["image"] == [str(tmp_path / "b.png"), str(tmp_path / "c.png")]
    assert [item["id"] for item in items] == ["a", "b"]


def test_broken_json_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "datalist.json"
    path.write_text('{\n "training": [\n  {"image": }\n ]\n}')
    with pytest.raises(DataError, match=r"datalist\.json: broken JSON in line 3"):
        load_datalist(path)


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "JSON object"),
        ({"training": []}, "section 'training' is empty"),
        ({"validation": []}, "no section 'training'"),
        ({"training": [{"image": "a.png"}]}, "no case of the section 'training' has a label"),
        ({"training": [{"label": "a.png"}]}, "item 0 .* has no `image`"),
        ({"training": [{"image": "missing.png", "label": "a.png"}]}, r"missing\.png does not exist"),
        (
            {"training": [{"image": "a.png"}, {"image": "a.png", "id": "b"}]},
            r"image .*a\.png is listed 2 times",
        ),
        (
            {"training": [{"image": "a.png", "id": "x"}, {"image": "b.png", "id": "x"}]},
            "id x is listed 2 times",
        ),
        (
            {
                "training": [{"image": "a.png", "label": "a.png", "patient": "p"}],
                "validation": [{"image": "b.png", "patient": "p"}],
            },
            "patient p is in the sections training and validation",
        ),
    ],
)
def test_bad_lists_are_refused(tmp_path: Path, content: Any, message: str) -> None:
    cases(tmp_path, "ab")
    with pytest.raises(DataError, match=message) as error:
        load_datalist(write(tmp_path / "datalist.json", content))
    assert "datalist.json" in str(error.value)


def test_missing_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.json: the data list does not exist"):
        load_datalist(tmp_path / "nowhere.json")


def test_test_section_needs_no_labels_unless_asked(tmp_path: Path) -> None:
    path = write_datalist(tmp_path / "datalist.json", {"test": cases(tmp_path, "a")})
    assert len(load_datalist(path, "test")) == 1
    with pytest.raises(DataError, match="has a label"):
        load_datalist(path, "test", require_labels=True)


def test_writing_refuses_a_shared_patient(tmp_path: Path) -> None:
    items = cases(tmp_path, "a")
    with pytest.raises(DataError, match="patient pa is in the sections training and test"):
        write_datalist(tmp_path / "datalist.json", {"training": items, "test": items})
    assert not (tmp_path / "datalist.json").exists()


def test_half_of_fifteen_patients_is_eight() -> None:
    assert len(labelled_patients(split_labeled(in_memory(15), 0.5, seed=0))) == 8


@given(st.integers(1, 30), st.floats(0.01, 1), st.floats(0.01, 1), st.integers(0, 2**31))
def test_labelled_patients_are_nested_and_whole(patients: int, one: float, other: float, seed: int) -> None:
    items = in_memory(patients)
    few, many = (split_labeled(items, f, seed) for f in sorted((one, other)))
    assert labelled_patients(few) <= labelled_patients(many)
    assert len(labelled_patients(few)) == max(1, int(min(one, other) * patients + 0.5))
    for item in few:
        assert ("label" in item) == bool(item["labeled"]) == (item["patient"] in labelled_patients(few))
    assert [item["image"] for item in few] == [item["image"] for item in items]
    assert all("label" in item for item in items), "the input must stay as it was"


def test_the_draw_depends_on_seed_and_names_only() -> None:
    items = in_memory(20)
    draw = labelled_patients(split_labeled(items, 0.5, seed=1))
    assert labelled_patients(split_labeled(items[::-1], 0.5, seed=1)) == draw
    assert labelled_patients(split_labeled(items, 0.5, seed=2)) != draw
    drawn_today = {"p2", "p4", "p5"}
    assert labelled_patients(split_labeled(in_memory(6), 0.5, seed=0)) == drawn_today


def test_unlabelled_patients_do_not_count_as_drawn() -> None:
    items = [*in_memory(2), *({"image": f"u{k}.png", "patient": f"u{k}"} for k in range(50))]
    assert labelled_patients(split_labeled(items, 1.0, seed=0)) == {"p0", "p1"}
    assert len(labelled_patients(split_labeled(items, 0.5, seed=0))) == 1


def test_split_labeled_refuses_bad_arguments() -> None:
    with pytest.raises(ValueError, match="fraction"):
        split_labeled(in_memory(2), 0.0, seed=0)
    with pytest.raises(DataError, match="No case has a label"):
        split_labeled([{"image": "a.png", "patient": "p"}], 0.5, seed=0)
    with pytest.raises(DataError, match="has no `patient`"):
        split_labeled([{"image": "a.png", "label": "b.png"}], 0.5, seed=0)


@given(st.integers(3, 40), st.lists(st.integers(1, 9), min_size=1, max_size=3), st.integers(0, 1000))
def test_split_patients_is_a_partition_by_patient(patients: int, weights: list[int], seed: int) -> None:
    fractions = {f"s{k}": w / sum(weights) for k, w in enumerate(weights)}
    items = in_memory(patients)
    parts = split_patients(items, fractions, seed)
    groups = [{item["patient"] for item in part} for part in parts.values()]
    assert all(groups)
    assert sum(len(group) for group in groups) == len(set().union(*groups)) == patients
    assert sum(len(part) for part in parts.values()) == len(items)


def test_split_patients_gives_the_shares_and_refuses_too_few() -> None:
    parts = split_patients(in_memory(45), {"training": 0.6, "validation": 0.2, "test": 0.2}, seed=3)
    assert {name: len(part) // 2 for name, part in parts.items()} == {
        "training": 27,
        "validation": 9,
        "test": 9,
    }
    with pytest.raises(DataError, match="1 patients cannot fill 2 sections"):
        split_patients(in_memory(1), {"a": 0.5, "b": 0.5}, seed=0)
    with pytest.raises(ValueError, match="sum to 1"):
        split_patients(in_memory(5), {"a": 0.5}, seed=0)
