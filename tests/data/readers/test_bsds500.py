"""BSDS500 in the folders of its archive, with `.mat` files of the same nested struct."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from monai.transforms import LoadImaged
from PIL import Image
from scipy.io import savemat

from monai_levelset.data import DataError, check_items
from monai_levelset.data.grids import read_array
from monai_levelset.data.readers.bsds500 import read_bsds500, read_segmentations

WIDTH, HEIGHT = 24, 15


def regions(count: int) -> np.ndarray:
    """`count` regions, numbered from 1 in rows as Matlab saves them."""
    return (np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) * count // (HEIGHT * WIDTH) + 1).astype(
        np.uint16
    )


def write_mat(path: Path, counts: tuple[int, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = np.empty((1, len(counts)), object)
    for person, count in enumerate(counts):
        values = regions(count)
        edges = np.zeros_like(values, dtype=np.uint8)
        cells[0, person] = {"Segmentation": values, "Boundaries": edges}
    savemat(path, {"groundTruth": cells}, do_compression=True)


def write_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    Image.fromarray(values).save(path)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "Bilder ß" / "BSR" / "BSDS500" / "data"
    for part, name, counts in (
        ("train", "100075", (3, 7)),
        ("val", "3096", (2, 5, 300)),
        ("test", "2018", (4,)),
    ):
        write_image(root / "images" / part / f"{name}.jpg")
        write_mat(root / "groundTruth" / part / f"{name}.mat", counts)
        (root / "images" / part / "Thumbs.db").touch()
    bench = root.parents[1] / "bench" / "data"
    write_image(bench / "images" / "2018.jpg")
    write_mat(bench / "groundTruth" / "2018.mat", (2,))
    return tmp_path / "Bilder ß"


def test_the_official_parts(source: Path) -> None:
    for folder in (source, source / "BSR", source / "BSR" / "BSDS500", source / "BSR" / "BSDS500" / "data"):
        found = read_bsds500(folder)
        assert [(case.id, case.section) for case in found.cases] == [
            ("100075", "training"),
            ("3096", "validation"),
            ("2018", "test"),
        ]
        assert (found.skipped, found.labels) == ([], {})


def test_every_person_becomes_one_label(source: Path, tmp_path: Path) -> None:
    items = []
    for case in read_bsds500(source).cases:
        assert case.convert is not None
        images, labels = case.convert(case, tmp_path / "out")
        assert images == list(case.image)
        items.append({"id": case.id, "image": str(images[0]), "label": [str(path) for path in labels]})
    assert [[Path(label).name for label in item["label"]] for item in items] == [
        ["100075_1.png", "100075_2.png"],
        ["3096_1.png", "3096_2.png", "3096_3.png"],
        ["2018_1.png"],
    ]
    check_items(items)
    for label, count in zip(items[1]["label"], (2, 5, 300), strict=True):
        values, _ = read_array(label)
        np.testing.assert_array_equal(values, regions(count).T)
        assert values.dtype == (np.uint8 if count < 256 else np.uint16)
    loaded = LoadImaged(keys=("image", "label"), ensure_channel_first=True)(items[1])
    assert loaded["image"].shape == (3, WIDTH, HEIGHT)
    np.testing.assert_array_equal(loaded["label"], np.stack([regions(n).T for n in (2, 5, 300)]))


def test_everything_missing_is_named(source: Path) -> None:
    root = source / "BSR" / "BSDS500" / "data"
    (root / "images" / "train" / "100075.jpg").unlink()
    (root / "groundTruth" / "val" / "3096.mat").unlink()
    with pytest.raises(DataError) as error:
        read_bsds500(source)
    assert str(error.value).startswith("2 problems")
    assert "images/train/100075.jpg: it is missing" in error.value.args[0]
    assert "groundTruth/val/3096.mat: it is missing" in error.value.args[0]


def test_a_test_part_without_ground_truth_has_no_labels(source: Path) -> None:
    shutil.rmtree(source / "BSR" / "BSDS500" / "data" / "groundTruth" / "test")
    assert [(c.label, c.convert) for c in read_bsds500(source).cases if c.section == "test"] == [((), None)]


def test_two_copies_and_no_copy_are_refused(source: Path, tmp_path: Path) -> None:
    root = source / "BSR" / "BSDS500" / "data"
    (root / "images" / "notes.txt").touch()
    (root / "images" / "val" / "notes.txt").touch()
    assert [line.split(":")[0] for line in read_bsds500(source).skipped] == [
        str(root / "images" / "val" / "notes.txt")
    ]
    shutil.copytree(root, source / "copy")
    with pytest.raises(DataError, match="BSDS500 is here 2 times"):
        read_bsds500(source)
    (tmp_path / "other" / "images").mkdir(parents=True)
    with pytest.raises(DataError, match="beside groundTruth is not here"):
        read_bsds500(tmp_path / "other")


@pytest.mark.parametrize("damage", ["half", "text", "other variable", "no cell", "not 2D"])
def test_broken_mat_files_are_refused_by_name(source: Path, tmp_path: Path, damage: str) -> None:
    case = read_bsds500(source).cases[1]
    file = case.label[0]
    if damage == "half":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    elif damage == "text":
        file.write_bytes(b"<html>404</html>" * 20)
    elif damage == "other variable":
        savemat(file, {"segs": np.ones(3)})
    elif damage == "no cell":
        savemat(file, {"groundTruth": np.empty((1, 0), object)})
    else:
        cells = np.empty((1, 1), object)
        cells[0, 0] = {"Segmentation": np.ones((2, 2)), "Boundaries": np.ones((2, 2))}
        savemat(file, {"groundTruth": cells})
    assert case.convert is not None
    with pytest.raises(DataError, match=r"3096\.mat: "):
        case.convert(case, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_real_bsds500(data_root: Path, tmp_path: Path) -> None:
    source = data_root / "bsds500"
    if not source.is_dir():
        pytest.skip("no BSDS500")
    found = read_bsds500(source)
    assert {case.section for case in found.cases} >= {"validation"}
    assert sum(case.section == "validation" for case in found.cases) == 100
    for case in found.cases[::25]:
        assert case.convert is not None
        images, labels = case.convert(case, tmp_path)
        truth = read_segmentations(case.label[0])
        assert len(labels) == len(truth) >= 4
        check_items([{"image": str(images[0]), "label": [str(path) for path in labels]}])
        for path, values in zip(labels, truth, strict=True):
            np.testing.assert_array_equal(read_array(path)[0], values)
