"""REFUGE in the folders, names and file types of its archives, only with smaller photographs."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_levelset.data import DataError, check_items
from monai_levelset.data.grids import read_array
from monai_levelset.data.readers.base import SourceListing
from monai_levelset.data.readers.refuge import convert_refuge, read_refuge

WIDTH, HEIGHT = 12, 10


def mask() -> np.ndarray:
    """Rows and columns, as a picture: the cup off-centre in the disc, so that a transposed label is seen."""
    values = np.full((HEIGHT, WIDTH), 255, np.uint8)
    values[2:8, 3:9] = 128
    values[3:5, 4:8] = 0
    return values


def write_photograph(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)).save(path)


def write_mask(path: Path, values: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask() if values is None else values).save(path)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "RÉFUGE data"
    train, masks = root / "REFUGE-Training400" / "Training400", root / "Annotation-Training400"
    masks = masks / "Annotation-Training400" / "Disc_Cup_Masks"
    for folder, name in (("Glaucoma", "g0001"), ("Non-Glaucoma", "n0001"), ("Non-Glaucoma", "n0002")):
        write_photograph(train / folder / f"{name}.jpg")
        write_mask(masks / folder / f"{name}.bmp")
        write_photograph(masks.parent / "Disc_Cup_Fovea_Illustration" / folder / f"{name}.jpg")
    (masks.parent / "Fovea_location.xlsx").write_bytes(b"PK")
    write_photograph(root / "REFUGE-Validation400" / "REFUGE-Validation400" / "V0001.jpg")
    write_mask(root / "REFUGE-Validation400-GT" / "Disc_Cup_Masks" / "V0001.bmp")
    (root / "REFUGE-Validation400-GT" / "Fovea_locations.xlsx").write_bytes(b"PK")
    for name, folder in (("T0001", "G"), ("T0002", "N")):
        write_photograph(root / "Test400" / f"{name}.jpg")
        write_mask(root / "REFUGE-Test-GT" / "Disc_Cup_Masks" / folder / f"{name}.bmp")
    (train / "Thumbs.db").touch()
    (train / "Glaucoma" / "._g0001.jpg").touch()
    return root


def test_the_three_official_parts(source: Path) -> None:
    found = read_refuge(source)
    assert {case.id: (case.section, dict(case.extra)) for case in found.cases} == {
        "g0001": ("training", {"glaucoma": 1}),
        "n0001": ("training", {"glaucoma": 0}),
        "n0002": ("training", {"glaucoma": 0}),
        "V0001": ("validation", {}),
        "T0001": ("test", {"glaucoma": 1}),
        "T0002": ("test", {"glaucoma": 0}),
    }
    assert len({case.patient for case in found.cases}) == 6
    assert not found.skipped
    assert not any("Illustration" in str(case.image[0]) for case in found.cases)


def convert_all(found: SourceListing, out: Path) -> list[dict[str, object]]:
    items: list[dict[str, object]] = []
    for case in found.cases:
        convert = pickle.loads(pickle.dumps(case)).convert
        assert convert is not None
        images, labels = convert(case, out)
        items.append({"id": case.id, "image": str(images[0]), "label": str(labels[0])})
    return items


def test_masks_become_labels_beside_unchanged_photographs(source: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    found = read_refuge(source)
    items = convert_all(found, tmp_path / "out")
    check_items(items, label_values=map(int, found.labels))
    assert [Path(str(item["image"])) for item in items] == [case.image[0] for case in found.cases]
    expected = np.select([mask() == 0, mask() == 128], [2, 1], 0)
    for item in items:
        values, _ = read_array(str(item["label"]))
        np.testing.assert_array_equal(values, expected.T)
    assert {path: path.read_bytes() for path in source.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("kind", ["RGB", "P"])
def test_masks_stored_in_another_way(source: Path, tmp_path: Path, kind: str) -> None:
    case = read_refuge(source).cases[0]
    picture = Image.fromarray(mask()).convert("RGB")
    if kind == "P":  # the palette's order has nothing to do with the grey values
        picture = picture.quantize(3, dither=Image.Dither.NONE)
    picture.save(case.label[0])
    values, _ = read_array(convert_refuge(case, tmp_path)[1][0])
    np.testing.assert_array_equal(values, np.select([mask() == 0, mask() == 128], [2, 1], 0).T)


def test_a_mask_with_other_values_is_refused_and_nothing_is_written(source: Path, tmp_path: Path) -> None:
    case = read_refuge(source).cases[0]
    write_mask(case.label[0], np.full((HEIGHT, WIDTH), 127, np.uint8))
    with pytest.raises(DataError, match=r"only 0 \(cup\), 128 .* but \[127\] do"):
        convert_refuge(case, tmp_path / "out")
    write_photograph(case.label[0].with_suffix(".jpg"))
    case.label[0].write_bytes(case.label[0].with_suffix(".jpg").read_bytes())
    with pytest.raises(DataError, match="coloured"):
        convert_refuge(case, tmp_path / "out")
    case.label[0].write_bytes(b"BM half a file")
    with pytest.raises(DataError, match="cannot be read"):
        convert_refuge(case, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_every_missing_and_doubled_file_is_named(source: Path) -> None:
    root = source / "Annotation-Training400" / "Annotation-Training400" / "Disc_Cup_Masks"
    (root / "Glaucoma" / "g0001.bmp").unlink()
    (root / "Non-Glaucoma" / "n0002.bmp").unlink()
    write_mask(root / "Glaucoma" / "g0040.bmp")
    write_photograph(source / "copy" / "V0001.jpg")
    with pytest.raises(DataError) as error:
        read_refuge(source)
    text = str(error.value)
    assert text.startswith("4 problems")
    assert "g0001.jpg: no mask g0001.bmp" in text
    assert "n0002.jpg: no mask n0002.bmp" in text
    assert "g0040.bmp: no photograph g0040.jpg" in text
    assert "V0001: it is there 2 times" in text


def test_parts_whose_masks_are_not_there(source: Path) -> None:
    import shutil

    shutil.rmtree(source / "REFUGE-Test-GT")
    unlabelled = [case for case in read_refuge(source).cases if not case.label]
    assert [(case.id, case.section, case.convert) for case in unlabelled] == [
        ("T0001", "test", None),
        ("T0002", "test", None),
    ]
    shutil.rmtree(source / "REFUGE-Validation400-GT")
    with pytest.raises(DataError, match="the validation part has no mask at all"):
        read_refuge(source)


def test_other_folders_are_refused_and_odd_files_named(source: Path, tmp_path: Path) -> None:
    write_photograph(source / "Test400" / "readme_example.jpg")
    assert read_refuge(source).skipped == [f"{source / 'Test400' / 'readme_example.jpg'}: no name of REFUGE"]
    write_photograph(tmp_path / "other" / "a.jpg")
    with pytest.raises(DataError, match="no photograph of REFUGE is here"):
        read_refuge(tmp_path / "other")
