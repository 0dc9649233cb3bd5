"""Each training runs once; an interrupted one goes on; another one starts anew."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from monai_levelset.data import DataError
from monai_levelset.reproduce import stages
from monai_levelset.reproduce.stages import budget, train, training_set
from monai_levelset.reproduce.targets import Stage, config_files, find_target

LEFT_VENTRICLE = find_target("tang2017-lv")
FIRST = Stage("first", "pretrain")
SECOND = Stage("second", "joint", after="first", settings={"labeled_fraction": 0.25})


def run(stage: Stage, folder: Path, *, seed: int = 3, updates: int = 7) -> Path:
    return train(LEFT_VENTRICLE, stage, folder, data=Path("data"), seed=seed, updates=updates)


def test_the_training_gets_its_settings_and_leaves_a_record(tmp_path: Path, trainings: Any) -> None:
    out = run(SECOND, tmp_path)
    (settings,) = trainings.settings
    assert {key: settings[key] for key in ("seed", "max_updates", "labeled_fraction", "resume")} == {
        "seed": 3,
        "max_updates": 7,
        "labeled_fraction": 0.25,
        "resume": False,
    }
    assert settings["ckpt_dir"] == settings["output_dir"] == str(out) == str(tmp_path / "second")
    assert settings["pretrained"] == str(tmp_path / "first" / "model.pt")
    record = json.loads((out / "finished.json").read_text())
    assert record["settings"] == {key: value for key, value in settings.items() if key != "resume"}
    assert record["seconds"] >= 0
    assert not record["resumed"]
    assert not (out / "checkpoint.pt").exists()


def test_a_first_stage_starts_from_no_weights(tmp_path: Path, trainings: Any) -> None:
    run(FIRST, tmp_path)
    assert trainings.settings[0]["pretrained"] is None


def test_a_finished_training_is_not_repeated(tmp_path: Path, trainings: Any) -> None:
    run(FIRST, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    run(FIRST, tmp_path)
    assert trainings.names == ["first"]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")} == before


@pytest.mark.parametrize("change", [{"seed": 4}, {"updates": 8}])
def test_other_settings_train_anew(tmp_path: Path, trainings: Any, change: dict[str, int]) -> None:
    run(FIRST, tmp_path)
    run(FIRST, tmp_path, **change)
    assert [settings["resume"] for settings in trainings.settings] == [False, False]


def test_a_changed_configuration_trains_anew(
    tmp_path: Path, trainings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(FIRST, tmp_path)
    bundle = tmp_path / LEFT_VENTRICLE.bundle
    shutil.copytree(LEFT_VENTRICLE.folder, bundle)
    monkeypatch.setattr(stages.Target, "files", lambda self, *names: config_files(bundle, *names))
    run(FIRST, tmp_path)
    assert trainings.names == ["first"]
    changed = bundle / "configs/pretrain.json"
    changed.write_text(changed.read_text().replace("{", '{"pseudo_weight": 0.25,', 1))
    run(FIRST, tmp_path)
    run(FIRST, tmp_path)
    assert trainings.names == ["first", "first"]


def test_an_interrupted_training_is_resumed(tmp_path: Path, trainings: Any) -> None:
    trainings.interrupt = "first"
    with pytest.raises(KeyboardInterrupt):
        run(FIRST, tmp_path)
    assert not (tmp_path / "first" / "finished.json").exists()
    trainings.interrupt = None
    out = run(FIRST, tmp_path)
    assert [settings["resume"] for settings in trainings.settings] == [False, True]
    assert json.loads((out / "finished.json").read_text())["resumed"]


def test_a_checkpoint_of_other_settings_is_never_resumed(
    tmp_path: Path, trainings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings.interrupt = "first"
    with pytest.raises(KeyboardInterrupt):
        run(FIRST, tmp_path, seed=1)

    def killed_before_the_first_checkpoint(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stages, "run_workflow", killed_before_the_first_checkpoint)
        with pytest.raises(KeyboardInterrupt):
            run(FIRST, tmp_path, seed=2)
    trainings.interrupt = None
    run(FIRST, tmp_path, seed=2)
    assert not trainings.settings[-1]["resume"]


def test_an_interrupted_retraining_voids_the_earlier_result(tmp_path: Path, trainings: Any) -> None:
    run(FIRST, tmp_path, seed=1)
    trainings.interrupt = "first"
    with pytest.raises(KeyboardInterrupt):
        run(FIRST, tmp_path, seed=2)  # has begun to overwrite the weights of seed 1
    trainings.interrupt = None
    run(FIRST, tmp_path, seed=1)
    assert [settings["seed"] for settings in trainings.settings] == [1, 2, 1]


def test_the_budget_stands_in_the_override() -> None:
    files = LEFT_VENTRICLE.files("pretrain")
    assert [Path(file).name for file in files] == ["train.json", "pretrain.json"]
    assert budget(LEFT_VENTRICLE, FIRST) == json.loads(Path(files[1]).read_text())["max_updates"]


def test_the_training_set_is_what_the_stage_trains_on(data: Path, tmp_path: Path) -> None:
    def patients(stage: Stage, seed: int) -> set[str]:
        items = training_set(LEFT_VENTRICLE, stage, tmp_path / "seed", data=data, seed=seed)
        return {item["patient"] for item in items}

    pre_trained, joint = LEFT_VENTRICLE.stages[:2]
    drawn = {frozenset(patients(pre_trained, seed)) for seed in range(8)}
    assert drawn == {frozenset({"SC-N-02"}), frozenset({"SC-N-03"})}
    assert patients(joint, 0) == {"SC-N-02", "SC-N-03"}


def test_a_mistake_in_the_training_set_comes_out_unwrapped(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        training_set(LEFT_VENTRICLE, FIRST, tmp_path, data=tmp_path / "none", seed=0)


def test_a_mistake_in_the_data_comes_out_unwrapped(own_data: Path, tmp_path: Path) -> None:
    name = "SC-N-02-IM-0001-0008.png"
    (own_data / "images" / name).write_bytes(b"not a picture")
    with pytest.raises(DataError, match=name):
        train(LEFT_VENTRICLE, Stage("first", "baseline"), tmp_path / "out", data=own_data, seed=0, updates=1)
