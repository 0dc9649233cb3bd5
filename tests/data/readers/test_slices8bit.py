"""The 8-bit liver slices in the names and file types they circulate in, only smaller."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_levelset.data import DataError, check_items
from monai_levelset.data.grids import read_array
from monai_levelset.data.readers.slices8bit import read_liver_slices

WIDTH, HEIGHT = 24, 16
NAMES = ("flipped_10001_103", "mirrored_10001_103", "mirrored_10059_35", "flipped_10002_7")


def label() -> np.ndarray:
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    values[3:9, 5:16] = 255
    return values


def write_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    ramp = np.linspace(0, 255, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(np.uint8)
    Image.fromarray(np.stack([ramp] * 3, -1)).save(path, quality=90)


def write_label(path: Path, values: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(label() if values is None else values).save(path)


def upright(name: str, values: np.ndarray) -> np.ndarray:
    """An array (x, y) of the source as it is written: `flipped` pictures a quarter turn counter-clockwise."""
    picture = values.T
    turned = picture.T[::-1] if name.startswith("flipped") else picture.T[:, ::-1]
    return turned.T


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "Leber übung" / "msd_slices"
    for name in NAMES:
        write_image(root / "images" / f"{name}.jpg")
        write_label(root / "labels" / f"{name}.png")
    (root / "splits.json").write_text(json.dumps({"train": ["10001", "10059"], "val": ["10002"]}))
    (root / "images" / "Thumbs.db").touch()
    return root


def test_names_tell_patient_and_slice_and_the_table_tells_the_section(source: Path) -> None:
    for folder in (source, source.parent, source.parent.parent):
        found = read_liver_slices(folder)
        assert [
            (c.id, c.patient, c.section, c.extra["slice"], c.extra["orientation"]) for c in found.cases
        ] == [
            ("flipped_10001_103", "10001", "training", 103, "flipped"),
            ("flipped_10002_7", "10002", "validation", 7, "flipped"),
            ("mirrored_10001_103", "10001", "training", 103, "mirrored"),
            ("mirrored_10059_35", "10059", "training", 35, "mirrored"),
        ]
        assert not found.skipped


def test_files_become_one_channel_with_the_same_values(source: Path, tmp_path: Path) -> None:
    found = read_liver_slices(source)
    items = []
    for case in found.cases:
        assert case.convert is not None
        images, labels = case.convert(case, tmp_path / "out")
        items.append({"id": case.id, "image": str(images[0]), "label": str(labels[0])})
        rgb, _ = read_array(case.image[0])
        grey, grid = read_array(images[0])
        assert (grey.shape, grid.channels) == ((HEIGHT, WIDTH), 1)
        np.testing.assert_array_equal(grey, upright(case.id, rgb[..., 0]))
        np.testing.assert_array_equal(read_array(labels[0])[0], upright(case.id, label().T // 255))
    check_items(items, label_values=(0, 1))


@pytest.mark.parametrize(("name", "side"), [("flipped_10001_103", 0), ("mirrored_10059_35", WIDTH - 2)])
def test_the_spine_comes_to_the_bottom(source: Path, tmp_path: Path, name: str, side: int) -> None:
    """In `flipped` pictures it is at the left, in `mirrored` ones at the right."""
    spine = np.zeros((HEIGHT, WIDTH), np.uint8)
    spine[7:9, side : side + 2] = 255
    write_label(source / "labels" / f"{name}.png", spine)
    case = next(case for case in read_liver_slices(source).cases if case.id == name)
    assert case.convert is not None
    with Image.open(case.convert(case, tmp_path)[1][0]) as picture:
        rows, columns = np.nonzero(np.asarray(picture))
    assert (set(rows), set(columns)) == ({WIDTH - 2, WIDTH - 1}, {7, 8})


def test_labels_saved_as_jpg_are_cut_in_the_middle(source: Path, tmp_path: Path) -> None:
    (source / "labels" / "flipped_10001_103.png").unlink()
    file = source / "labels" / "flipped_10001_103.jpg"
    Image.fromarray(label()).save(file, quality=60)
    noisy, _ = read_array(file)
    assert len(np.unique(noisy)) > 2
    case = read_liver_slices(source).cases[0]
    assert case.convert is not None
    values, _ = read_array(case.convert(case, tmp_path)[1][0])
    np.testing.assert_array_equal(values, upright("flipped", (noisy > 127).astype(np.uint8)))
    np.testing.assert_array_equal(values, upright("flipped", label().T // 255))


@pytest.mark.parametrize("top", [0, 1])
def test_empty_labels_and_labels_of_0_and_1_stay(source: Path, tmp_path: Path, top: int) -> None:
    write_label(source / "labels" / "flipped_10001_103.png", label() // 255 * top)
    case = read_liver_slices(source).cases[0]
    assert case.convert is not None
    found, _ = read_array(case.convert(case, tmp_path)[1][0])
    np.testing.assert_array_equal(found, upright("flipped", label().T // 255 * top))


def test_pictures_of_another_kind_are_refused(source: Path, tmp_path: Path) -> None:
    case = read_liver_slices(source).cases[0]
    assert case.convert is not None
    grey = np.random.default_rng(0).integers(60, 190, (HEIGHT, WIDTH), dtype=np.uint8)
    write_label(case.label[0], grey)
    with pytest.raises(DataError, match="flipped_10001_103.png: a label is 0 and 255"):
        case.convert(case, tmp_path / "out")
    write_label(case.image[0], np.stack([grey, 255 - grey, grey], -1))
    with pytest.raises(DataError, match="flipped_10001_103.jpg: it must be grey, but is coloured"):
        case.convert(case, tmp_path / "out")
    case.image[0].write_bytes(case.image[0].read_bytes()[:300])
    with pytest.raises(DataError, match="flipped_10001_103.jpg: cannot be read"):
        case.convert(case, tmp_path / "out")
    assert not list(tmp_path.glob("out/*/*"))


def test_everything_wrong_is_named(source: Path) -> None:
    (source / "labels" / "flipped_10001_103.png").unlink()
    (source / "images" / "mirrored_10059_35.jpg").unlink()
    write_image(source / "images" / "10003_1.jpg")
    write_image(source / "images" / "flipped_10002_7.png")
    (source / "splits.json").write_text(json.dumps({"train": ["10001"], "val": []}))
    with pytest.raises(DataError) as error:
        read_liver_slices(source)
    text = str(error.value)
    assert text.startswith("5 problems")
    assert "flipped_10001_103.jpg: no file of that name is in" in text
    assert "mirrored_10059_35.png: no file of that name is in" in text
    assert "10003_1.jpg: expected a name such as" in text
    assert "flipped_10002_7.png:" in text
    assert "the case 10002 is in no list" in text


def test_sections_are_optional_and_cases_elsewhere_are_named(source: Path) -> None:
    (source / "splits.json").write_text(json.dumps({"train": ["10001", "10059", "10120"], "test": ["10002"]}))
    found = read_liver_slices(source)
    assert {c.section for c in found.cases} == {"training", "test"}
    assert found.skipped == [f"{source / 'splits.json'}: the case 10120 has no slice"]
    (source / "splits.json").unlink()
    assert {c.section for c in read_liver_slices(source).cases} == {None}


def test_folders_without_the_layout_are_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="images/ and labels/ are not here"):
        read_liver_slices(source / "images")
    for name in ("a", "b"):
        for kind in ("images", "labels"):
            (tmp_path / "two" / name / kind).mkdir(parents=True)
    with pytest.raises(DataError, match="Give one of these"):
        read_liver_slices(tmp_path / "two")
    with pytest.raises(DataError, match="no slice is in it"):
        read_liver_slices(tmp_path / "two" / "a")


def test_the_real_slices(data_root: Path, tmp_path: Path) -> None:
    source = data_root / "liver" / "msd_slices"
    if not source.is_dir():
        pytest.skip("no liver slices")
    found = read_liver_slices(source)
    assert len(found.cases) == 518
    patients = {s: {c.patient for c in found.cases if c.section == s} for s in ("training", "validation")}
    assert {name: len(part) for name, part in patients.items()} == {"training": 80, "validation": 20}
    assert not patients["training"] & patients["validation"]
    items = []
    for case in found.cases[::50]:
        assert case.convert is not None
        images, labels = case.convert(case, tmp_path)
        raw, _ = read_array(case.image[0])
        np.testing.assert_array_equal(read_array(images[0])[0], upright(case.id, raw[..., 0]))
        mask, _ = read_array(case.label[0])
        np.testing.assert_array_equal(read_array(labels[0])[0] * 255, upright(case.id, mask))
        items.append({"image": str(images[0]), "label": str(labels[0])})
    check_items(items, label_values=(0, 1))
