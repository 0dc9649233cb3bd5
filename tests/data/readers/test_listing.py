from __future__ import annotations

from pathlib import Path

import pytest

from monai_levelset.data import DataError
from monai_levelset.data.readers.listing import find_folders, list_files


def test_files_are_found_at_any_depth_and_linked_folders_once(tmp_path: Path) -> None:
    for name in ("b/deep/2.png", "a/1.PNG", "a/._1.png", "__MACOSX/a/1.png", "a/Thumbs.db", "a/1.txt"):
        path = tmp_path / "ä b" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "ä b" / "b" / "loop").symlink_to(tmp_path / "ä b", target_is_directory=True)
    (tmp_path / "link").symlink_to(tmp_path / "ä b" / "b", target_is_directory=True)
    assert [p.name for p in list_files(tmp_path / "ä b", ".png")] == ["1.PNG", "2.png"]
    assert {p.name for p in list_files(tmp_path / "link", ".png")} >= {"2.png"}
    assert [p.name for p in list_files(tmp_path / "ä b" / "a")] == ["1.PNG", "1.txt"]
    assert list_files(tmp_path / "missing") == []


def test_the_nearest_folder_that_matches_hides_those_below_it(tmp_path: Path) -> None:
    for name in ("x", "x/y/z", "w/v", "w/v/u/t"):
        (tmp_path / name / "images").mkdir(parents=True)

    def holds_images(folder: Path) -> bool:
        return (folder / "images").is_dir()

    assert find_folders(tmp_path, holds_images) == [tmp_path / "x", tmp_path / "w" / "v"]
    assert find_folders(tmp_path, holds_images, depth=1) == [tmp_path / "x"]
    assert find_folders(tmp_path / "x", holds_images) == [tmp_path / "x"]


def test_a_missing_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        find_folders(tmp_path / "no", lambda folder: True)
