"""What the notes say of the data, in three situations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from monai_levelset.reproduce.notes import notes
from monai_levelset.reproduce.parts import Parts
from monai_levelset.reproduce.targets import ROWS, Target, find_target

LIVER = find_target("tang2017-liver")
COUNTS = {"training": (68, 345), "validation": (12, 72), "test": (20, 101)}


def summary(**more: Any) -> dict[str, Any]:
    models = {row: {"dice": {"mean": 0.9 + 0.01 * i}} for i, row in enumerate(ROWS)}
    run = {"labeled_patients": [str(i) for i in range(20)], "updates": {"pre-trained": 11, "joint": 22}}
    return {"models": models, "runs": [{**run, **more}] * 2, "command": "monai-levelset reproduce ..."}


def written(target: Target, parts: Parts, content: dict[str, Any]) -> str:
    return notes(target, parts, {name: COUNTS[name] for name in parts.sections}, content)


def unwrapped(text: str) -> str:
    return " ".join(text.split())


def test_a_table_on_the_validation_part() -> None:
    text = unwrapped(written(LIVER, Parts(Path("list"), inner=True), summary()))
    assert (
        "over 2 seed(s) of the mean over all images of the validation part, because the data have no test "
        "part: 20 patients with 101 images."
    ) in text
    assert "an image in which nothing is found scores 0, or 1 if its label is empty too" in text
    assert "Trained on 68 patients with 345 images, of whom 20 patients (30%), drawn by seed" in text
    assert (
        "Checkpoints are chosen on 12 patients with 72 images, drawn once from the data's training part; the "
        "validation part selects nothing."
    ) in text
    assert "Budget: 11 updates for the pre-trained FCN; 22 more" in text
    assert "11 + 22 updates" in text
    assert "40, of which on average 12 are labelled" in text


def test_a_table_on_the_test_part() -> None:
    text = unwrapped(written(find_target("tang2017-lv"), Parts(Path("list")), summary()))
    assert "all images of the test part: 20 patients with 101 images." in text
    assert "Checkpoints are chosen on 12 patients with 72 images; the test part selects nothing." in text
    assert "An update takes 12 images; in joint training 24, of which on average 12 are labelled" in text
    assert "after each 100 updates" in text
    assert "size of the object" not in text


def test_a_table_of_earlier_trainings() -> None:
    text = unwrapped(written(LIVER, Parts(Path("list"), ("test",)), summary()))
    assert (
        "The data have no training part: the networks are those of the finished trainings in `runs`, with "
        "labels of 20 patients."
    ) in text
    assert "Trained on" not in text
    assert "because" not in text


def test_sizes_make_a_table_of_their_own() -> None:
    content = summary(by_size={"< 2 %": {"images": 31}, "> 6 %": {"images": 70}})
    score = {"mean": 0.25, "sd": 0.125}
    content["by_size"] = {row: {"< 2 %": score, "> 6 %": {**score, "mean": 0.9}} for row in ROWS}
    text = written(replace(LIVER, sizes=(0.02, 0.06)), Parts(Path("list")), content)
    assert "as part of the image (< 2 %: 31 images, > 6 %: 70 images):" in unwrapped(text)
    assert "| model | < 2 % | > 6 % |" in text.splitlines()
    assert "| FCN-levelset | 0.250 ± 0.125 | 0.900 ± 0.125 |" in text.splitlines()
    assert text.endswith("\nCommand: `monai-levelset reproduce ...`\n")


def test_no_line_is_longer_than_the_page() -> None:
    text = written(LIVER, Parts(Path("list"), inner=True), summary())
    assert max(map(len, text.splitlines())) <= 110
