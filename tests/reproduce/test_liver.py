"""The liver's table from the slices as they are published; only the slow test trains."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monai_levelset.data import DataError
from monai_levelset.reproduce import reproduce, tang2017
from monai_levelset.reproduce.targets import ROWS, find_target

from .slices import LIVER_SPLITS, write_slices

LIVER = find_target("tang2017-liver")


@pytest.fixture(scope="module")
def stubbed(
    tmp_path_factory: pytest.TempPathFactory, stub_trainings: Callable[[], Any]
) -> tuple[Path, dict[str, Any], Any]:
    """Everything but the trainings, one seed, reported on the validation part."""
    root, trainings = tmp_path_factory.mktemp("liver"), stub_trainings()
    data = write_slices(root / "slices", "train", "val")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("monai_levelset.reproduce.stages.run_workflow", trainings)
        summary = reproduce("tang2017-liver", str(data), str(root / "out"), seeds=1, epochs=2)
    return root / "out", summary, trainings


def test_every_training_gets_the_slices_settings_and_the_inner_list(stubbed: Any) -> None:
    out, _, trainings = stubbed
    assert trainings.names == [stage.name for stage in LIVER.stages]
    overrides = [files[2] for files in trainings.files]
    assert overrides == ["pretrain", "joint", "control", "baseline", "control"]
    assert {tuple(files[:2]) for files in trainings.files} == {("train", "slices")}
    (folder,) = {settings["dataset_dir"] for settings in trainings.settings}
    assert Path(folder).parent == out / "data"
    assert [settings.get("labeled_fraction") for settings in trainings.settings] == [0.3] * 3 + [None] * 2


def test_the_validation_patients_are_scored_and_not_trained_on(stubbed: Any) -> None:
    _, summary, _ = stubbed
    assert summary["target"] == "tang2017-liver"
    assert summary["reported_on"] == "validation"
    (run,) = summary["runs"]
    assert len(run["labeled_patients"]) == 2  # 30 % of the 7 that are left
    assert set(run["labeled_patients"]) < set(LIVER_SPLITS["train"])
    for row in ROWS:
        cases = run["rows"][row]["cases"]
        assert {case["patient"] for case in cases} == set(LIVER_SPLITS["val"])
        assert len(cases) == 4


def test_dice_by_size_is_the_mean_of_those_slices(stubbed: Any) -> None:
    out, summary, _ = stubbed
    (run,) = summary["runs"]
    # a radius of 2 (9 pixels) and of 12 (437) in 48 x 48: 0.4 % and 19 %
    assert {name: found["images"] for name, found in run["by_size"].items()} == {"< 2 %": 2, "> 6 %": 2}
    for row in ROWS:
        dice = {case["id"]: case["dice"] for case in run["rows"][row]["cases"]}
        for name, number in (("< 2 %", 41), ("> 6 %", 40)):
            mean = np.mean([value for case, value in dice.items() if case.endswith(f"_{number}")])
            assert summary["by_size"][row][name]["mean"] == pytest.approx(mean)
    text = (out / "table.md").read_text()
    assert "| model | < 2 % | > 6 % |" in text
    assert "| FCN-levelset | " in text.split("| model | < 2 %")[1]


def test_the_paper_s_numbers_and_the_figures(stubbed: Any) -> None:
    out, _, _ = stubbed
    lines = (out / "table.md").read_text().splitlines()
    assert lines[5].split(" | ")[2::2] == ["0.923", "0.857 |"]
    assert "because the data have no test part" in " ".join(lines)
    for name in ("convergence.png", "models.png"):
        assert min(np.asarray(Image.open(out / name)).shape[:2]) > 200


def test_a_test_part_alone_is_scored_with_the_finished_trainings(
    stubbed: Any, liver_data: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tang2017, "write_figures", lambda *arguments: None)
    first, summary, _ = stubbed
    out = tmp_path / "out"
    shutil.copytree(first, out)
    tested = reproduce("tang2017-liver", str(liver_data("test")), str(out), seeds=1)
    (run,) = tested["runs"]
    assert tested["reported_on"] == "test"
    assert {case["patient"] for case in run["rows"]["FCN-levelset"]["cases"]} == set(LIVER_SPLITS["test"])
    for same in ("labeled_patients", "updates", "seconds"):
        assert run[same] == summary["runs"][0][same]
    assert "The data have no training part" in (out / "table.md").read_text()


def test_a_test_part_alone_without_trainings(
    liver_data: Callable[..., Path], tmp_path: Path, trainings: Any
) -> None:
    with pytest.raises(DataError, match="no training section, and .*seed0/pre-trained holds no finished"):
        reproduce("tang2017-liver", str(liver_data("test")), str(tmp_path / "out"), seeds=1)
    assert trainings.settings == []


@pytest.mark.slow
def test_the_real_trainings_on_a_few_slices(tmp_path: Path) -> None:
    data, out = write_slices(tmp_path / "slices", "train", "val", radius=22), tmp_path / "out"
    summary = reproduce("tang2017-liver", str(data), str(out), seeds=1, epochs=2)
    assert summary["runs"][0]["updates"]["pre-trained"] == 2
    written = {path: path.stat().st_mtime_ns for path in out.rglob("finished.json")}
    assert len(written) == 5
    again = reproduce("tang2017-liver", str(data), str(out), seeds=1, epochs=2)
    assert again["models"] == json.loads((out / "summary.json").read_text())["models"] == summary["models"]
    assert {path: path.stat().st_mtime_ns for path in written} == written
