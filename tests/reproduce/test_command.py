"""Wrong requests and unfit data end with a clear error before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from monai_levelset.cli import main
from monai_levelset.data import sunnybrook_png_items, write_datalist
from monai_levelset.reproduce import reproduce


def failed(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The error of a command line that must fail."""
    assert main(["reproduce", *words]) == 1
    return capsys.readouterr().err


def options(data: Path, out: Path, *more: str) -> list[str]:
    return ["tang2017-lv", "--data", str(data), "--out", str(out), *more]


def test_unknown_target(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["tang2017", "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    assert "unknown target 'tang2017'; choose from tang2017-lv" in failed(words, capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["seeds", "epochs", "jobs"])
def test_numbers_below_one(
    option: str, data: Path, tmp_path: Path, trainings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    error = failed(options(data, tmp_path / "out", f"--{option}", "0"), capsys)
    assert f"--{option} must be a whole number of at least 1, got 0" in error
    assert trainings.settings == []


def test_missing_and_empty_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"{tmp_path / 'none'}: the data folder does not exist" in failed(
        options(tmp_path / "none", tmp_path / "out"), capsys
    )
    (tmp_path / "empty").mkdir()
    assert "is empty" in failed(options(tmp_path / "empty", tmp_path / "out"), capsys)


def test_a_folder_without_any_known_layout(
    tmp_path: Path, trainings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "notes.txt").touch()
    assert "neither datalist.json nor the Sunnybrook layout" in failed(
        options(tmp_path / "data", tmp_path / "out"), capsys
    )
    assert trainings.settings == []


def test_a_broken_test_image_is_found_before_the_first_training(
    own_data: Path, tmp_path: Path, trainings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = own_data / "images" / "SC-N-07-IM-0001-0020.png"
    broken.write_bytes(broken.read_bytes()[:200])
    assert str(broken) in failed(options(own_data, tmp_path / "out"), capsys)
    assert trainings.settings == []


def test_a_test_case_without_label(
    own_data: Path, tmp_path: Path, trainings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    sections = sunnybrook_png_items(own_data)
    del sections["test"][1]["label"]
    write_datalist(own_data / "datalist.json", sections)
    assert f"{sections['test'][1]['image']}: a test case without label cannot be scored" in failed(
        options(own_data, tmp_path / "out"), capsys
    )
    assert trainings.settings == []


def test_an_output_that_cannot_be_written(
    data: Path, tmp_path: Path, trainings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert "cannot be written" in failed(options(data, tmp_path / "file" / "out"), capsys)
    assert trainings.settings == []


def test_the_same_errors_from_python(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown target 'x'"):
        reproduce("x", str(tmp_path), str(tmp_path))
