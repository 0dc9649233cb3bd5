"""Files with clicks: read beside their images, and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from monai_levelset.data import DataError, check_clicks, click_items, write_clicks
from monai_levelset.data.click_files import image_name
from monai_levelset.data.image_files import find_files
from tests.dicom_files import write_series

FOUR = [[12, 3], [12, 30], [2, 14], [25, 15]]
EIGHT = [[*click, k] for k in (1, 2) for click in FOUR]


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("L", (40, 32)).save(folder / "photo.png")
    nib.save(nib.Nifti1Image(np.zeros((40, 32, 4), np.float32), np.eye(4)), folder / "scan.1.nii.gz")
    nib.save(nib.Nifti1Image(np.zeros((40, 32), np.float32), np.eye(4)), folder / "slice.nii")
    return sorted(folder.iterdir())


def items(images: list[Path], content: Any, **options: Any) -> list[dict[str, Any]]:
    file = images[0].parents[1] / "clicks.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return click_items(images, file, **options)


def test_every_image_gets_its_clicks(images: list[Path]) -> None:
    content = {"photo": {"disc": FOUR, "cup": []}, "scan.1": EIGHT}
    found = items(images, content, structures={"disc": [1, 2], "cup": [2]})
    assert found == [
        {"image": str(images[0]), "foreground": content["photo"]},
        {"image": str(images[1]), "foreground": EIGHT},
        {"image": str(images[2]), "foreground": []},
    ]


def test_clicks_on_the_background_go_beside_those_of_the_structures(images: list[Path]) -> None:
    content = {
        "photo": {"disc": FOUR, "cup": [], "background": [[3, 4]]},
        "scan.1": {"background": [[1, 2, 3]]},
        "slice": {"disc": FOUR, "background": []},
    }
    assert items(images, content, structures=["disc", "cup"]) == [
        {"image": str(images[0]), "foreground": {"disc": FOUR, "cup": []}, "background": [[3, 4]]},
        {"image": str(images[1]), "foreground": {}, "background": [[1, 2, 3]]},
        {"image": str(images[2]), "foreground": {"disc": FOUR}},
    ]


def test_no_file_is_no_click(images: list[Path]) -> None:
    found = click_items(images, None)
    assert [item["foreground"] for item in found] == [[], [], []]
    with pytest.raises(DataError, match="clicks: no image has a click.*Give a JSON file"):
        check_clicks(found)


def test_names_are_those_of_find_files(images: list[Path], tmp_path: Path) -> None:
    folder = images[0].parent
    affine = np.diag([-1.0, -1.0, 3.0, 1.0])
    write_series(folder / "patient 1/T2", np.arange(6 * 6 * 4, dtype=np.int16).reshape(6, 6, 4), affine)
    for name, path in find_files(folder).items():
        assert image_name(path, folder) == name
    given_ = {"patient 1_T2": [[1, 2, 3]]}
    series = folder / "patient 1/T2"
    (tmp_path / "c.json").write_text(json.dumps(given_))
    assert click_items([series], tmp_path / "c.json", root=folder)[0]["foreground"] == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", ["clicks.json: this is no JSON", "line 1 column 2"]),
        ("[1]", ["clicks.json: it must hold {", "no such mapping"]),
        ({"photos": FOUR}, ["clicks.json: there is no image 'photos'; there are photo, scan.1, slice"]),
        ({}, ["clicks.json: no image has a click", "Give a JSON file"]),
        ({"photo": [], "slice": {"disc": []}}, ["clicks.json: no image has a click"]),
        ({"scan.1": FOUR}, ["clicks.json: 'scan.1' has the click [12, 3], but a click is three numbers"]),
        ({"photo": [[1, 2, 3, 4]]}, ["'photo' has the click [1, 2, 3, 4], but a click is two numbers"]),
        ({"photo": [1, 2]}, ["'photo' has the click 1, but"]),
        ({"photo": {"disc": [["a", 2]]}}, ["'photo' has the click ['a', 2], but"]),
        ({"photo": {"disc": 7}}, ["'photo' has the click 7, but"]),
        ('{"photo": [[NaN, 3]]}', ["'photo' has the click [nan, 3], but"]),
        ({"photo": [[True, 3]]}, ["'photo' has the click [True, 3], but"]),
        ({"photo": "here"}, ["clicks.json: 'photo' has no list of clicks. Write [[x, y], ...]"]),
        ({"photo": {"disc": FOUR, "background": [[1]]}}, ["'photo' has the click [1], but a click is two"]),
        ({"scan.1": {"background": [[1, 2]]}}, ["'scan.1' has the click [1, 2], but a click is three"]),
        ({"photo": {"background": [[1, 2]]}}, ["clicks.json: no image has a click"]),
        ({"photo": {"lens": FOUR}}, ["'photo' has clicks of 'lens'; structures are disc, cup."]),
        ({"x": FOUR, "scan.1": FOUR}, ["2 problems", "no image 'x'", "'scan.1' has the click"]),
    ],
)
def test_bad_files_are_refused(images: list[Path], content: Any, words: list[str]) -> None:
    with pytest.raises(DataError) as error:
        items(images, content, structures=["disc", "cup"])
    assert [word for word in words if word not in str(error.value)] == []


def test_a_missing_file_and_images_of_one_name(images: list[Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"typo.json: the file with the clicks does not exist"):
        click_items(images, tmp_path / "typo.json")
    Image.new("L", (4, 4)).save(images[0].with_suffix(".jpg"))
    with pytest.raises(DataError, match=r"photo.png: .*photo.jpg is called 'photo', too"):
        click_items([images[0].with_suffix(".jpg"), *images], None)


def test_a_slice_may_be_clicked_in_three_coordinates(images: list[Path]) -> None:
    assert items(images, {"slice": [[1, 2, 0]]})[2]["foreground"] == [[1, 2, 0]]


@given(
    st.dictionaries(
        st.text(min_size=1),
        st.lists(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=3)),
        max_size=4,
    )
)
def test_what_is_written_is_read(clicks: dict[str, list[list[float]]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        write_clicks(clicks, Path(folder) / "new/clicks.json")
        text = (Path(folder) / "new/clicks.json").read_text(encoding="utf-8")
        assert json.loads(text) == clicks
        assert len(text.splitlines()) == max(len(clicks), 1) + 2
        assert len(list((Path(folder) / "new").iterdir())) == 1


def test_nothing_is_written_of_clicks_that_json_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_clicks({"a": [[float("nan"), 1.0]]}, tmp_path / "clicks.json")
    assert not list(tmp_path.iterdir())
