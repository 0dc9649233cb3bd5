"""Train a bundle on built-in sample data, evaluate it and say where the results are: `make train`.

    python -m monai_levelset.quickstart lv_mri_levelset_segmentation

Everything is written below `runs/BUNDLE`: the sample data, a copy of the bundle (the weights it ships stay
as they are), and the report. What is trained, and for how long, stands in `configs/quickstart.json` of the
bundle.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from monai_levelset.bundles import find_bundle
from monai_levelset.data import load_datalist
from monai_levelset.data.phantoms import generate_phantoms
from monai_levelset.evaluation import evaluate


def quickstart(bundle: str, out: str = "runs") -> dict[str, Any]:
    """Generate data, train, evaluate on the test part, and print the metrics and the files to look at.

    Args:
        bundle: its name or folder.
        out: where to write; an earlier run of the same bundle there is replaced.

    Returns:
        The summary of `monai_levelset.evaluation.evaluate`.

    Raises:
        FileNotFoundError: there is no such bundle.
        SystemExit: a training failed; its exit code.
    """
    start, source = time.perf_counter(), find_bundle(bundle)
    folder = Path(out) / source.name
    recipe = ConfigParser.load_config_file(source / "configs" / "quickstart.json")
    copy, data = _copy_bundle(source, folder / "bundle"), folder / "data"
    generate_phantoms(
        recipe["sample"]["task"], data, cases=recipe["sample"]["cases"], seed=recipe["sample"]["seed"]
    )
    for training in recipe["trainings"]:
        _train(copy, data, training)
    _copy_test(data, folder / "test")
    report = folder / "report"
    summary = evaluate(
        labels=folder / "test" / "labels",
        images=folder / "test" / "images",
        bundle=copy,
        out=report,
        classes=recipe.get("classes"),
        metrics=recipe.get("metrics"),
    )
    print(f"\nmetrics   {report / 'summary.json'}")
    if (report / "overlays.png").is_file():
        print(f"overlays  {report / 'overlays.png'}")
    print(f"report    {report / 'report.html'}\nweights   {copy / 'models' / 'model.pt'}")
    print(f"finished in {time.perf_counter() - start:.0f} s")
    return summary


def _copy_bundle(source: Path, target: Path) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("models", "eval", "predictions"))
    (target / "models").mkdir()
    return target


def _train(bundle: Path, data: Path, training: Mapping[str, Any]) -> None:
    """One `python -m monai.bundle run training`, as a user would type it."""
    files = [str(bundle / "configs" / f"{name}.json") for name in training["configs"]]
    settings = {"dataset_dir": str(data), "bundle_root": str(bundle), **training["settings"]}
    command = [sys.executable, "-m", "monai.bundle", "run", "training", "--config_file", str(files)]
    command += ["--meta_file", str(bundle / "configs" / "metadata.json")]
    command += ["--logging_file", str(bundle / "configs" / "logging.conf")]
    command += [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    print("$", " ".join(_quoted(command)), flush=True)
    code = subprocess.run(command, env={**os.environ, "PYTHONWARNINGS": "ignore"}, check=False).returncode
    if code:
        raise SystemExit(code)
    if "keep_as" in training:
        shutil.copy(bundle / "models" / "model.pt", bundle / "models" / training["keep_as"])


def _quoted(command: Sequence[str]) -> list[str]:
    return [f'"{word}"' if " " in word or "[" in word else word for word in ["python", *command[1:]]]


def _copy_test(data: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    for item in load_datalist(data / "datalist.json", "test"):
        for key in ("image", "label"):
            folder = target / f"{key}s"
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(item[key], folder)


if __name__ == "__main__":
    try:
        quickstart(*sys.argv[1:])
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
