"""Drishti-GS1 in the folders and names of its archive, only with smaller photographs."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_levelset.data import DataError, check_items
from monai_levelset.data.grids import read_array
from monai_levelset.data.readers.drishti import read_drishti

WIDTH, HEIGHT = 14, 11
LEVELS = np.array([0, 64, 128, 191, 255], np.uint8)  # none to four of the experts


def soft_map(top: int, left: int) -> np.ndarray:
    """Nested boxes, so that the number of agreeing experts grows by one from each to the next."""
    votes = np.zeros((HEIGHT, WIDTH), int)
    for margin in range(4):
        votes[top + margin : HEIGHT - margin, left + margin : WIDTH - margin] += 1
    return votes


def write(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def write_photograph(path: Path) -> None:
    write(path, np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8))


def write_part(part: Path, truth: str, name: str, folder: str = "") -> None:
    write_photograph(part / "Images" / folder / f"{name}.png")
    case = part / truth / name
    write(case / "SoftMap" / f"{name}_ODsegSoftmap.png", LEVELS[soft_map(0, 0)])
    write(case / "SoftMap" / f"{name}_cupsegSoftmap.png", LEVELS[soft_map(1, 3)])
    (case / "AvgBoundary").mkdir()
    (case / "AvgBoundary" / f"{name}_ODAvgBoundary.txt").write_text("1 2\n")
    (case / f"{name}_cdrValues.txt").write_text("0.5 0.6 0.5 0.6\n")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "Drishti GS ö"
    files = root / "Drishti-GS1_files" / "Drishti-GS1_files"
    write_part(files / "Training", "GT", "drishtiGS_002", "GLAUCOMA")
    write_part(files / "Training", "GT", "drishtiGS_008", "NORMAL")
    write_part(files / "Test", "Test_GT", "drishtiGS_001")
    (files / "Training" / "GT" / ".DS_Store").touch()
    (files / "Training" / "Images" / "GLAUCOMA" / "Thumbs.db").touch()
    return root


def test_the_official_parts(source: Path) -> None:
    found = read_drishti(source)
    assert [(case.id, case.section, dict(case.extra)) for case in found.cases] == [
        ("drishtiGS_001", "test", {}),
        ("drishtiGS_002", "training", {"glaucoma": 1}),
        ("drishtiGS_008", "training", {"glaucoma": 0}),
    ]
    assert not found.skipped
    assert "at least 2 of 4 experts" in found.description


@pytest.mark.parametrize(
    ("agreement", "experts"), [("0.25", 1), ("0.5", 2), ("0.6", 3), ("0.75", 3), ("1", 4)]
)
def test_soft_maps_are_cut_at_the_agreement_asked_for(
    source: Path, tmp_path: Path, agreement: str, experts: int
) -> None:
    found = read_drishti(source, agreement=agreement)
    items = []
    for case in found.cases:
        assert case.convert is not None
        images, labels = case.convert(case, tmp_path / "out")
        assert images == list(case.image)
        items.append({"id": case.id, "image": str(images[0]), "label": str(labels[0])})
    check_items(items, label_values=map(int, found.labels))
    disc, cup = soft_map(0, 0) >= experts, soft_map(1, 3) >= experts
    values, _ = read_array(items[0]["label"])
    np.testing.assert_array_equal(values, np.where(cup, 2, disc).T)


@pytest.mark.parametrize("two_of_four", [127, 128])
def test_half_of_the_experts_is_half_whichever_way_it_was_rounded(
    source: Path, tmp_path: Path, two_of_four: int
) -> None:
    case = read_drishti(source).cases[0]
    levels = LEVELS.copy()
    levels[2] = two_of_four
    for path, votes in zip(case.label, (soft_map(0, 0), soft_map(1, 3)), strict=True):
        Image.fromarray(levels[votes]).convert("RGB").save(path)
    assert case.convert is not None
    values, _ = read_array(case.convert(case, tmp_path)[1][0])
    np.testing.assert_array_equal(values > 0, (soft_map(0, 0) >= 2).T)


@pytest.mark.parametrize("agreement", ["0", "1.5", "half", "nan"])
def test_an_agreement_that_makes_no_sense(source: Path, agreement: str) -> None:
    with pytest.raises(DataError, match="agreement must be a number above 0"):
        read_drishti(source, agreement=agreement)


def test_everything_missing_is_named(source: Path) -> None:
    files = source / "Drishti-GS1_files" / "Drishti-GS1_files"
    (files / "Training" / "GT" / "drishtiGS_002" / "SoftMap" / "drishtiGS_002_cupsegSoftmap.png").unlink()
    shutil.rmtree(files / "Test" / "Test_GT" / "drishtiGS_001")
    (files / "Training" / "Images" / "NORMAL" / "drishtiGS_008.png").unlink()
    write_part(source / "again" / "Test", "Test_GT", "drishtiGS_002")
    with pytest.raises(DataError) as error:
        read_drishti(source)
    text = str(error.value)
    assert text.startswith("5 problems")
    assert "drishtiGS_002_cupsegSoftmap.png: it is missing" in text
    assert "drishtiGS_001_ODsegSoftmap.png: it is missing" in text
    assert "drishtiGS_001_cupsegSoftmap.png: it is missing" in text
    assert "no photograph drishtiGS_008" in text
    assert "drishtiGS_002 is there twice" in text


def test_a_test_part_without_ground_truth_has_no_labels(source: Path) -> None:
    files = source / "Drishti-GS1_files" / "Drishti-GS1_files"
    shutil.rmtree(files / "Test" / "Test_GT")
    first = read_drishti(source).cases[0]
    assert (first.section, first.label, first.convert) == ("test", (), None)
    shutil.rmtree(files / "Training" / "GT")
    with pytest.raises(DataError, match="the folder GT is missing"):
        read_drishti(source)


def test_soft_maps_of_two_sizes_are_refused(source: Path, tmp_path: Path) -> None:
    case = read_drishti(source).cases[0]
    write(case.label[1], np.zeros((HEIGHT, WIDTH + 1), np.uint8))
    assert case.convert is not None
    with pytest.raises(DataError, match=r"its size \(15, 11\) differs from \(14, 11\)"):
        case.convert(case, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_repackaged_layout(tmp_path: Path) -> None:
    for part, name in (("train", "a"), ("val", "b"), ("test", "c")):
        write_photograph(tmp_path / part / "images" / f"{name}.jpg")
        write(tmp_path / part / "labels" / f"{name}.png", np.eye(HEIGHT, WIDTH, dtype=np.uint8))
    found = read_drishti(tmp_path)
    assert [(c.id, c.section, c.convert) for c in found.cases] == [
        ("a", "training", None),
        ("b", "validation", None),
        ("c", "test", None),
    ]
    (tmp_path / "val" / "labels" / "b.png").rename(tmp_path / "val" / "labels" / "d.png")
    with pytest.raises(DataError, match=r"(?s)b\.png: it is missing.*d\.png: no photograph d"):
        read_drishti(tmp_path)


def test_another_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match="neither the official layout"):
        read_drishti(tmp_path)


def test_the_real_drishti(data_root: Path) -> None:
    source = data_root / "fundus" / "drishti"
    if not source.is_dir():
        pytest.skip("no Drishti")
    found = read_drishti(source)
    assert [sum(c.section == s for c in found.cases) for s in ("training", "validation")] == [50, 31]
    items = [{"image": str(c.image[0]), "label": str(c.label[0])} for c in found.cases[::20]]
    check_items(items, label_values=map(int, found.labels))
