"""`monai-levelset split`: other labelled patients, other sections, no image touched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monai_levelset.cli import main
from monai_levelset.data import DataError, load_datalist, write_datalist
from monai_levelset.data.preparation.sections import assign_sections, sections_of
from monai_levelset.data.split import split

PATIENTS = [f"p{n:02d}" for n in range(10)]


def write_data(root: Path, sections: dict[str, str]) -> Path:
    """One image for each patient; a list with the given sections."""
    listed: dict[str, list[dict[str, Any]]] = {}
    for number, (patient, section) in enumerate(sections.items()):
        item = {"id": patient, "patient": patient}
        for role in ("image", "label"):
            item[role] = str(root / f"{role}s" / f"{patient}.png")
            Path(item[role]).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((4, 4), number, np.uint8)).save(item[role])
        listed.setdefault(section, []).append(item)
    return write_datalist(root / "datalist.json", listed, name="mine", labels={"0": "bg", "1": "organ"})


@pytest.fixture
def official(tmp_path: Path) -> Path:
    sections = ["training"] * 6 + ["validation"] * 2 + ["test"] * 2
    return write_data(tmp_path / "data", dict(zip(PATIENTS, sections, strict=True)))


@pytest.fixture
def undivided(tmp_path: Path) -> Path:
    return write_data(tmp_path / "data", dict.fromkeys(PATIENTS, "training"))


def labelled(path: Path) -> set[str]:
    return {item["id"] for item in load_datalist(path) if item["labeled"]}


def section(path: Path, name: str) -> set[str]:
    return {item["id"] for item in load_datalist(path, name)}


def test_labels_can_be_hidden_and_given_back(official: Path) -> None:
    first = official.read_bytes()
    times = {p: p.stat().st_mtime_ns for p in official.parent.rglob("*.png")}
    split(official, labeled_fraction=1 / 3)
    few = labelled(official)
    assert len(few) == 2
    assert not [name for name in set(PATIENTS[:6]) - few if f"labels/{name}" in official.read_text()]
    split(official.parent, labeled_fraction=0.5)
    assert few < labelled(official)
    assert len(labelled(official)) == 3
    split(official, labeled_fraction=1)
    assert official.read_bytes() == first
    assert times == {p: p.stat().st_mtime_ns for p in official.parent.rglob("*.png")}


def test_another_seed_labels_other_patients_of_the_same_sections(undivided: Path) -> None:
    split(undivided, validation=0.2, test=0.2, labeled_fraction=0.5)
    parts = [section(undivided, name) for name in ("training", "validation", "test")]
    assert [len(part) for part in parts] == [6, 2, 2]
    draws = set()
    for seed in range(4):
        split(undivided, labeled_fraction=0.5, seed=seed)
        assert parts == [section(undivided, name) for name in ("training", "validation", "test")]
        draws.add(frozenset(labelled(undivided)))
    assert len(draws) > 1


def test_sections_are_drawn_anew_only_when_asked_for(undivided: Path) -> None:
    split(undivided, validation=0.3)
    assert len(section(undivided, "validation")) == 3
    split(undivided, validation=0.5, test=0, seed=5)
    assert len(section(undivided, "validation")) == 5
    split(undivided, validation=0, test=0)
    assert section(undivided, "training") == set(PATIENTS)


def test_official_sections_are_not_drawn(official: Path) -> None:
    before = official.read_bytes()
    with pytest.raises(DataError, match="official validation section"):
        split(official, validation=0.5)
    with pytest.raises(ValueError, match="labeled_fraction must be in"):
        split(official, labeled_fraction=1.5)
    assert official.read_bytes() == before


def test_a_second_list_beside_the_first(official: Path) -> None:
    first = official.read_bytes()
    other = split(official, out=official.with_name("few.json"), labeled_fraction=0.5)
    assert official.read_bytes() == first
    assert len(labelled(other)) == 3
    split(other, labeled_fraction=1)  # its hidden labels are known, too
    assert len(labelled(other)) == 6


def test_a_list_in_another_folder_finds_the_images(official: Path, tmp_path: Path) -> None:
    other = split(official, out=tmp_path / "elsewhere", labeled_fraction=0.5)
    assert other == tmp_path / "elsewhere" / "datalist.json"
    assert all(Path(item["image"]).is_file() for item in load_datalist(other))


def test_an_interrupted_write_keeps_the_list(official: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split(official, labeled_fraction=0.5)
    before, real = official.read_bytes(), Path.write_text

    def failing(self: Path, text: str, *args: Any, **kwargs: Any) -> int:
        if self.name.endswith("datalist.json"):
            real(self, text[:10], *args, **kwargs)
            raise OSError(28, "No space left on device", str(self))
        return real(self, text, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", failing)
    with pytest.raises(OSError, match="No space left"):
        split(official, labeled_fraction=1)
    assert official.read_bytes() == before
    assert not list(official.parent.glob(".tmp-*"))


def test_a_prepared_folder_and_its_report(
    data_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    source, out = tmp_path / "sunny brook", tmp_path / "out"
    for folder in ("images", "endocardium"):
        (source / folder).mkdir(parents=True)
        for path in sorted(
            (data_root / "lv" / "sunnybrook" / folder).glob("SC-HF-I-0[1259]-IM-0001-00*.png")
        ):
            shutil.copy(path, source / folder)
    words = ["--source", str(source), "--out", str(out), "--labeled_fraction", "0.5", "--workers", "1"]
    assert main(["prepare", "sunnybrook", *words]) == 0
    all_labels = json.loads((out / "cases.json").read_text())["cases"]
    few = labelled(out / "datalist.json")
    assert main(["split", str(out), "--labeled_fraction", "1"]) == 0
    assert few < labelled(out / "datalist.json") == section(out / "datalist.json", "training")
    report = json.loads((out / "report.json").read_text())
    counts = report["sections"]["training"]
    assert counts["labeled"] == counts["cases"] == sum(c["section"] == "training" for c in all_labels)
    assert report["split"]["labeled_fraction"] == 1
    assert f"{counts['cases']} labelled, 0 unlabelled" in capsys.readouterr().out
    assert main(["split", str(out), "--test", "0.3"]) == 1
    assert "official test section" in capsys.readouterr().err


def test_no_list_or_a_broken_one(tmp_path: Path, official: Path) -> None:
    with pytest.raises(DataError, match="the data list does not exist"):
        split(tmp_path / "nowhere")
    official.write_text("{")
    with pytest.raises(DataError, match="broken JSON"):
        split(official)


def items(count: int, unlabelled: int = 0) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"id": p, "patient": p, "image": p, "label": p} for p in PATIENTS[:count]]
    for item in found[: unlabelled or 0]:
        del item["label"]
    return found


@pytest.mark.parametrize(
    ("count", "official", "expected"),
    [
        (5, [], (3, 1, 1)),
        (3, [], (1, 1, 1)),
        (2, [], (1, 1, 0)),  # validation comes first
        (1, [], (1, 0, 0)),
        (5, ["training"] * 5, (4, 1, 0)),
        (5, ["training"] * 3 + ["test"] * 2, (2, 1, 2)),
        (5, ["training"] * 3 + ["validation"] + ["test"], (3, 1, 1)),
        (5, ["training"] * 3 + ["validation"] * 2, (3, 2, 0)),
    ],
)
def test_which_sections_are_drawn_without_being_asked_for(
    count: int, official: list[str], expected: tuple[int, int, int]
) -> None:
    known = dict(zip(PATIENTS, official, strict=False))
    found = assign_sections(items(count), {p: known.get(p) for p in PATIENTS[:count]})
    counts = tuple(list(found.values()).count(name) for name in ("training", "validation", "test"))
    assert counts == expected


def test_unlabelled_patients_stay_in_training() -> None:
    listed = items(10, unlabelled=6)
    found = assign_sections(listed, {}, validation=0.25, test=0.25)
    assert {found[p] for p in PATIENTS[:6]} == {"training"}
    assert sorted(found[p] for p in PATIENTS[6:]) == ["test", "training", "training", "validation"]
    parts = sections_of(listed, found, labeled_fraction=1.0, seed=0)
    assert [len(part) for part in parts.values()] == [8, 1, 1]


def test_more_sections_than_patients_is_refused_where_they_are_asked_for() -> None:
    with pytest.raises(DataError, match="2 patients cannot fill 3 sections"):
        assign_sections(items(2), {}, validation=0.2, test=0.2)
