"""MONAI's `--tracking mlflow` with our trainers and bundles."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from monai_levelset.data.phantoms import generate_phantoms

from .common import ROOT, monai_bundle

BUNDLES = sorted(path.parents[1] for path in (ROOT / "bundles").glob("*/configs/train.json"))
without_mlflow = pytest.mark.skipif(
    importlib.util.find_spec("mlflow") is None,
    reason="MLflow is not installed: pip install -e '.[tracking]' -c constraints.txt",
)


def tracked(words: list[str | Path], out: Path) -> dict[str, list[tuple[int, float]]]:
    """The curves, as (step, value), of the only run that a command has left, which has finished."""
    import mlflow

    done = monai_bundle("run", *words, "--tracking", "mlflow", "--output_dir", out, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    client = mlflow.MlflowClient(f"sqlite:///{out / 'mlruns.db'}")
    (experiment,) = client.search_experiments(filter_string="name = 'monai_experiment'")
    (run,) = client.search_runs(experiment.experiment_id)
    assert run.info.status == "FINISHED"
    assert len(list(out.glob("config_*.json"))) == 1
    curves = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
    return {name: [(point.step, point.value) for point in curve] for name, curve in curves.items()}


@without_mlflow
@pytest.mark.slow
@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_a_training_is_recorded(bundle: Path, tmp_path: Path) -> None:
    task = bundle.name.split("_")[0]
    generate_phantoms(task, tmp_path / "data", cases=4, seed=0)
    words = ["training", "--config_file", bundle / "configs/train.json", "--bundle_root", bundle]
    settings = {"dataset_dir": tmp_path / "data", "ckpt_dir": tmp_path / "models", "max_updates": 3}
    if task == "lits":
        settings["liver_checkpoint"] = bundle / "models/liver_network.pt"
    for name, value in {**settings, "val_interval": 2}.items():
        words += [f"--{name}", str(value)]
    curves = tracked(words, tmp_path / "out")
    assert [step for step, _ in curves["train_loss"]] == [1, 2, 3]
    assert all(value > 0 for _, value in curves["train_loss"])
    validated = next(name for name in curves if name.startswith("val_"))
    assert len(curves[validated]) >= 1


@without_mlflow
@pytest.mark.slow
def test_an_inference_is_recorded(tmp_path: Path) -> None:
    bundle = ROOT / "bundles" / "lv_mri_levelset_segmentation"
    generate_phantoms("lv", tmp_path / "data", cases=2, seed=0)
    words = ["--config_file", bundle / "configs/inference.json", "--bundle_root", bundle]
    tracked([*words, "--dataset_dir", tmp_path / "data/images"], tmp_path / "out")
