"""The brain-tumour table: what is trained, what is compared with what, and a whole small run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from monai_levelset.cli import main
from monai_levelset.data import DataError, load_section
from monai_levelset.data.phantoms import generate_phantoms
from monai_levelset.reproduce import volumes
from monai_levelset.reproduce.kimye2020_brats import METRICS, TARGET, notes, stages, summarize
from monai_levelset.reproduce.stages import budget
from monai_levelset.reproduce.targets import Stage


def test_rows_of_a_ratio_go_on_from_one_training() -> None:
    rows = {**stages("1/4", 0.1), **stages("1", 0.1)}
    assert list(rows) == [
        "1/4 supervised",
        "1/4 + Mumford-Shah",
        "1/4 + Mumford-Shah, beta 0.01",
        "1/4 + Mumford-Shah, beta 1",
        "1/4 + Mumford-Shah, means per image",
        "1 supervised",
        "1 + Mumford-Shah",
    ]
    assert len({stage.name for stage in rows.values()}) == len(rows)
    assert {stage.after for stage in list(rows.values())[:5]} == {"1of4-first"}
    assert {budget(TARGET, stage) for stage in rows.values()} == {budget(TARGET, Stage("", "finetune"))}
    assert rows["1/4 + Mumford-Shah, beta 1"].settings == {"labeled_fraction": 0.25, "beta": 1.0}


def run_of(*dice: tuple[float, float]) -> dict[str, Any]:
    """A seed with these Dice of two volumes for the rows in order."""
    names = ["1/4 supervised", "1/4 + Mumford-Shah", "1 supervised", "1 + Mumford-Shah"]
    rows = {
        name: [{"id": str(k), **dict.fromkeys(METRICS, value)} for k, value in enumerate(pair)]
        for name, pair in zip(names, dice, strict=True)
    }
    return {"rows": rows}


def test_gains_are_differences_within_a_seed() -> None:
    runs = [
        run_of((0.2, 0.4), (0.4, 0.8), (0.8, 0.8), (0.7, 0.9)),
        run_of((0.5, 0.5), (0.5, 0.6), (0.8, 0.8), (0.9, 0.9)),
    ]
    summary = summarize(runs)
    assert summary["models"]["1/4 supervised"]["dice"]["mean"] == pytest.approx(0.4)
    assert summary["gains"]["1/4"]["seeds"] == pytest.approx([0.3, 0.05])
    assert summary["gains"]["1"]["mean"] == pytest.approx(0.05)
    text = notes({**summary, "reported_on": "validation", "command": "the command"})
    assert "2 volume(s) of the validation section" in text.replace("\n", " ")
    assert "- 1/4 of the labels: +0.175 (+0.300, +0.050)" in text


def test_the_scored_section(tmp_path: Path) -> None:
    def of(**sections: list[Any]) -> str:
        (tmp_path / "datalist.json").write_text(json.dumps(sections))
        return volumes.scored_section(tmp_path)

    assert of(training=[1], validation=[1], test=[1]) == "test"
    assert of(training=[1], validation=[1], test=[]) == "validation"
    with pytest.raises(DataError, match="only training. Add a test or validation section"):
        of(training=[1])


def test_sequences_are_told_by_their_files() -> None:
    one = {"image": ["a/BraTS20_Training_001_t1ce.nii.gz", "a/BraTS20_Training_001_flair.nii.gz"]}
    assert volumes.sequences_of([{**one, "id": "a"}]) == ["t1c", "flair"]
    assert volumes.sequences_of([{"image": "a/all.nii.gz", "id": "a"}]) is None


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four heads in the bare layout of BraTS: FLAIR and T1, three for training and one for validation."""
    folder = tmp_path_factory.mktemp("brats")
    generate_phantoms("brats", folder / "phantoms", cases=4, seed=1)
    names = []
    for section in ("training", "validation", "test"):
        for item in load_section(folder / "phantoms", section):
            case = folder / "data" / f"case_{len(names)}"
            case.mkdir(parents=True)
            image, label = (nib.load(item[key]).slicer[:, :, 20:32] for key in ("image", "label"))
            for channel, name in enumerate(("flair", "t1")):
                values = np.asarray(image.dataobj)[..., channel]
                nib.save(nib.Nifti1Image(values, image.affine), case / f"{name}.nii.gz")
            whole = (np.asarray(label.dataobj) > 0).astype(np.uint8)
            nib.save(nib.Nifti1Image(whole, image.affine), case / "label.nii.gz")
            names.append(case.name)
    (folder / "data/splits.json").write_text(json.dumps({"train": names[:3], "val": names[3:]}))
    return folder / "data"


@pytest.mark.slow
def test_a_small_run_and_a_test_part_alone(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--out", str(tmp_path / "out"), "--seeds", "1", "--epochs", "1"]
    assert main(["reproduce", "kimye2020-brats", "--data", str(data), *words]) == 0
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["target"] == "kimye2020-brats"
    assert list(summary["models"]) == list({**stages("1/4", 0.1), **stages("1", 0.1)})
    assert set(summary["models"]["1 supervised"]) == set(METRICS)
    table = (tmp_path / "out/table.md").read_text()
    assert "| 1/4 + Mumford-Shah |" in table
    assert (tmp_path / "out/beta.png").stat().st_size > 5000
    finished = {f: f.stat().st_mtime_ns for f in (tmp_path / "out/runs").rglob("finished.json")}
    assert len(finished) == 9
    alone = tmp_path / "alone"
    (alone / "case_9").mkdir(parents=True)
    for file in (data / "case_0").iterdir():
        (alone / "case_9" / file.name).write_bytes(file.read_bytes())
    (alone / "splits.json").write_text(json.dumps({"test": ["case_9"]}))
    assert main(["reproduce", "kimye2020-brats", "--data", str(alone), *words]) == 0
    again = json.loads((tmp_path / "out/summary.json").read_text())
    assert again["reported_on"] == "test"
    assert [case["id"] for case in again["runs"][0]["rows"]["1 supervised"]] == ["case_9"]
    assert finished == {f: f.stat().st_mtime_ns for f in (tmp_path / "out/runs").rglob("finished.json")}


def test_a_test_part_alone_without_finished_trainings(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data/case_9").mkdir(parents=True)
    for file in (data / "case_0").iterdir():
        (tmp_path / "data/case_9" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "data/splits.json").write_text(json.dumps({"test": ["case_9"]}))
    words = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--seeds", "1"]
    assert main(["reproduce", "kimye2020-brats", *words]) == 1
    assert "it has no training section, and" in capsys.readouterr().err
