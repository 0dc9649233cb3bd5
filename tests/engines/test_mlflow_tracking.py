"""What tracking with MLflow needs beside MLflow: settings as parameters, clear words where it is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from monai.bundle import ConfigWorkflow

from monai_levelset.engines import mlflow_tracking
from monai_levelset.engines.mlflow_tracking import MLflowTracking
from monai_levelset.engines.tracked_parameters import saved_config, tracked_parameters

BUNDLES = sorted(path.parent for path in (Path(__file__).resolve().parents[2] / "bundles").glob("*/configs"))
each_bundle = pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)


def write(file: Path, content: object) -> Path:
    file.write_text(json.dumps(content))
    return file


def test_plain_values_are_parameters_and_all_else_is_not(tmp_path: Path) -> None:
    content = {
        "imports": ["$import torch"],
        "_meta_": {"version": "1"},
        "pretrained": None,
        "resume": False,
        "sizes": [[1, 2], [3, 4]],
        "device": "$torch.device('cpu')",
        "network": "@network_def",
        "liver": "%other.json#liver",
        "mixed": [1, "@rate"],
        "loss": {"_target_": "Losses", "first": {"_target_": "Dice", "weight": 0.5}, "second": "@other"},
        "preprocessing": [{"_target_": "LoadImaged"}],
        "expand": {"_target_": "function", "_mode_": "callable"},
        "text": "x" * 9000,
    }
    assert tracked_parameters(write(tmp_path / "config.json", content)) == {
        "pretrained": "None",
        "resume": "False",
        "sizes": "[[1, 2], [3, 4]]",
        "loss": "Losses",
        "loss.first": "Dice",
        "loss.first.weight": "0.5",
        "expand": "function",
        "text": "x" * 500,
    }


def test_the_saved_configuration_is_found_as_monai_names_it(tmp_path: Path) -> None:
    file = write(tmp_path / "config_1.json", {})
    assert saved_config(str(file)) == file
    assert saved_config(f"{tmp_path} + '/config_1.json'") == file  # where the output folder is a plain path
    assert saved_config(None) is None
    assert saved_config(f"{tmp_path} + '/config_2.json'") is None


def test_without_mlflow_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_tracking, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'mlflow>=3.13', or leave out --tracking"):
        MLflowTracking(uri="sqlite:///mlruns.db", experiment="mine")


@each_bundle
def test_all_bundles_are_tracked_alike(bundle: Path) -> None:
    assert (bundle / "configs/tracking.json").read_text() == (
        BUNDLES[0] / "configs/tracking.json"
    ).read_text()


@each_bundle
@pytest.mark.parametrize(
    ("file", "lists"),
    [("train", ["train#observers", "validate#handlers"]), ("inference", ["handlers"])],
)
def test_the_handler_comes_last_where_it_belongs(
    bundle: Path, file: str, lists: list[str], tmp_path: Path
) -> None:
    """In `train#observers`: before what raises the errors of a training."""
    arguments = {"config_file": str(bundle / f"configs/{file}.json"), "logging_file": False}
    plain = ConfigWorkflow(**arguments).parser
    plain.parse()
    tracking = str(bundle / "configs/tracking.json")
    tracked = ConfigWorkflow(**arguments, tracking=tracking, output_dir=str(tmp_path)).parser
    for name in lists:
        *others, last = tracked[name]
        assert others == plain[name]
        assert last == "@tracking" or last["_target_"].endswith(".MLflowTracking")
    assert len(list(tmp_path.glob("config_*.json"))) == 1
