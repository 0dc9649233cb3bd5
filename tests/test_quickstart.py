"""`make train` on stand-ins, and once for real with a few updates."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from monai_levelset import quickstart as module
from monai_levelset.bundles import find_bundle
from monai_levelset.data import write_datalist
from monai_levelset.quickstart import quickstart

RECIPE = {
    "sample": {"task": "lv", "cases": 5, "seed": 7},
    "trainings": [
        {"configs": ["train", "first"], "settings": {"max_updates": 2}, "keep_as": "pretrained.pt"},
        {"configs": ["train", "second"], "settings": {"max_updates": 3}},
    ],
}


class Stubs:
    """Stand-ins for the drawing of data, the trainings and the evaluation."""

    def __init__(self) -> None:
        self.drawn: list[tuple[Any, ...]] = []
        self.commands: list[list[str]] = []
        self.evaluated: dict[str, Path] = {}
        self.exit_code = 0

    def generate(self, task: str, out: Path, *, cases: int, seed: int) -> None:
        self.drawn.append((task, cases, seed))
        items = []
        for number in range(cases):
            for folder in ("images", "labels"):
                (out / folder).mkdir(parents=True, exist_ok=True)
                (out / folder / f"{number}.nii.gz").write_text(f"{folder} {number}")
            items.append({"image": f"images/{number}.nii.gz", "label": f"labels/{number}.nii.gz"})
        sections = {"training": items[:2], "validation": items[2:3], "test": items[3:]}
        write_datalist(out / "datalist.json", sections)

    def run(self, command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        self.commands.append(list(command))
        models = Path(command[command.index("--bundle_root") + 1]) / "models"
        (models / "model.pt").write_text(f"weights {len(self.commands)}")
        return subprocess.CompletedProcess(command, self.exit_code)

    def evaluate(self, **arguments: Path) -> dict[str, Any]:
        self.evaluated = arguments
        arguments["out"].mkdir(parents=True)
        (arguments["out"] / "overlays.png").touch()
        return {"mean": {"dice": 0.5}}


@pytest.fixture
def stubs(monkeypatch: pytest.MonkeyPatch) -> Stubs:
    stubs = Stubs()
    monkeypatch.setattr(module, "generate_phantoms", stubs.generate)
    monkeypatch.setattr(module.subprocess, "run", stubs.run)
    monkeypatch.setattr(module, "evaluate", stubs.evaluate)
    return stubs


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    root = tmp_path / "some_levelset_segmentation"
    (root / "configs").mkdir(parents=True)
    (root / "models").mkdir()
    (root / "models" / "model.pt").write_text("shipped weights")
    for name in ("train", "first", "second", "inference", "metadata"):
        (root / "configs" / f"{name}.json").write_text("{}")
    (root / "configs" / "quickstart.json").write_text(json.dumps(RECIPE))
    return root


def options(command: list[str]) -> dict[str, str]:
    """Option -> value of a `monai.bundle run training` command line."""
    assert command[1:5] == ["-m", "monai.bundle", "run", "training"]
    words = command[5:]
    return dict(zip([word.removeprefix("--") for word in words[::2]], words[1::2], strict=True))


def test_it_draws_trains_and_evaluates_as_the_recipe_says(
    stubs: Stubs, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = quickstart(str(bundle), str(tmp_path / "runs"))
    folder = tmp_path / "runs" / bundle.name
    assert stubs.drawn == [("lv", 5, 7)]
    first, second = map(options, stubs.commands)
    for given, name, updates in ((first, "first", "2"), (second, "second", "3")):
        configs = folder / "bundle" / "configs"
        assert given["config_file"] == str([str(configs / "train.json"), str(configs / f"{name}.json")])
        assert given["meta_file"] == str(configs / "metadata.json")
        assert given["dataset_dir"] == str(folder / "data")
        assert given["bundle_root"] == str(folder / "bundle")
        assert given["max_updates"] == updates
    assert summary == {"mean": {"dice": 0.5}}
    assert stubs.evaluated["bundle"] == folder / "bundle"
    assert stubs.evaluated["out"] == folder / "report"
    assert (stubs.evaluated["classes"], stubs.evaluated["metrics"]) == (None, None)
    printed = capsys.readouterr().out
    for path in ("report/summary.json", "report/overlays.png", "report/report.html"):
        assert str(folder / path) in printed
    assert "$ python -m monai.bundle run training --config_file" in printed


def test_the_first_network_is_kept_and_the_shipped_weights_stay(
    stubs: Stubs, bundle: Path, tmp_path: Path
) -> None:
    quickstart(str(bundle), str(tmp_path / "runs"))
    models = tmp_path / "runs" / bundle.name / "bundle" / "models"
    assert (models / "pretrained.pt").read_text() == "weights 1"
    assert (models / "model.pt").read_text() == "weights 2"
    assert (bundle / "models" / "model.pt").read_text() == "shipped weights"


def test_only_the_test_part_is_evaluated(stubs: Stubs, bundle: Path, tmp_path: Path) -> None:
    stale = tmp_path / "runs" / bundle.name / "test" / "images" / "stale.nii.gz"
    stale.parent.mkdir(parents=True)
    stale.touch()
    quickstart(str(bundle), str(tmp_path / "runs"))
    for key in ("images", "labels"):
        files = sorted(stubs.evaluated[key].iterdir())
        assert [file.read_text() for file in files] == [f"{key} 3", f"{key} 4"]


def test_a_failed_training_ends_with_its_exit_code(stubs: Stubs, bundle: Path, tmp_path: Path) -> None:
    stubs.exit_code = 3
    with pytest.raises(SystemExit) as error:
        quickstart(str(bundle), str(tmp_path / "runs"))
    assert error.value.code == 3
    assert len(stubs.commands) == 1
    assert not stubs.evaluated


def test_an_unknown_bundle_is_refused_before_anything_is_written(stubs: Stubs, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no_such_bundle: no bundle .* known names: .*lv_mri_"):
        quickstart("no_such_bundle", str(tmp_path / "runs"))
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_the_left_ventricle_bundle_runs_as_make_train_runs_it(tmp_path: Path) -> None:
    source = find_bundle("lv_mri_levelset_segmentation")
    copy = shutil.copytree(source, tmp_path / source.name, ignore=shutil.ignore_patterns("models"))
    recipe = json.loads((copy / "configs" / "quickstart.json").read_text())
    recipe["sample"]["cases"] = 6
    for training in recipe["trainings"]:
        training["settings"]["max_updates"] = 2
    (copy / "configs" / "quickstart.json").write_text(json.dumps(recipe))
    command = [sys.executable, "-m", "monai_levelset.quickstart", str(copy)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    folder = tmp_path / "runs" / source.name
    summary = json.loads((folder / "report" / "summary.json").read_text())
    tested = sorted(path.name for path in (folder / "test" / "labels").iterdir())
    assert [case["id"] for case in summary["cases"]] == [name.removesuffix(".nii.gz") for name in tested]
    (line,) = [line for line in run.stdout.splitlines() if line.startswith("dice ")]
    assert line.split()[1] == f"{summary['mean']['dice']:.3f}"
    assert np.asarray(Image.open(folder / "report" / "overlays.png")).std() > 0
    for name in ("report.html", "overlays.png"):
        assert str(Path("runs") / source.name / "report" / name) in run.stdout
    assert not (copy / "models").exists()


@pytest.mark.slow
def test_a_mistyped_bundle_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "monai_levelset.quickstart", "lv_mri"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr.strip().startswith("error: lv_mri: no bundle")
    assert "Traceback" not in run.stderr
