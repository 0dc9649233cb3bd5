"""The command `monai-levelset predict`."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser

from monai_levelset.bundles import find_bundle, inference_config
from monai_levelset.data.checks import check_writable
from monai_levelset.prediction.bundle import BundlePredictor, weights_hashes
from monai_levelset.prediction.cases import PredictionCase, find_cases, root_of
from monai_levelset.prediction.dicom_seg import check_highdicom, save_dicom_seg
from monai_levelset.prediction.journal import Journal
from monai_levelset.prediction.preview import save_preview
from monai_levelset.prediction.ranks import Ranks
from monai_levelset.prediction.run import Extra, PredictionRun
from monai_levelset.report.atomic import write_json
from monai_levelset.report.origin import command_line, versions

__all__ = ["SomeFailed", "predict"]


class SomeFailed(ValueError):
    """Cases could not be predicted; the report says which, and why.

    Attributes:
        exit_code: of the command line: 3 where other cases succeeded, else 1.
    """

    def __init__(self, message: str, *, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def predict(
    bundle: str | Path,
    input: str | Path,
    out: str | Path,
    *,
    points: str | Path | None = None,
    space: str = "voxel",
    interpolate: bool = False,
    checkpoint: str | Path | None = None,
    overrides: str | Path | None = None,
    settings: dict[str, Any] | None = None,
    device: str | None = None,
    amp: bool = False,
    probabilities: bool = False,
    preview: bool = False,
    dicom_seg: bool = False,
) -> dict[str, Any]:
    """Segment an image, or all images of a folder, with a bundle.

    Every result is a label map on its image's exact grid, under its image's name and in its format: NIfTI,
    MHA, NRRD and PNG as they are, MHD as MHA, JPG as PNG, DICOM as NIfTI. A case that fails is told and
    passed over. Run the same command again to go on after an interruption: finished cases are skipped; those
    whose image, weights or options have changed are done again. Processes started by `torchrun` share the
    cases; `out` must be a folder that all of them see.

    Args:
        bundle: name of a bundle of this collection, or a bundle's folder.
        input: an image (NIfTI, MHA, MHD, NRRD, PNG, JPG), a folder of the slices of one DICOM series, or a
            folder of such images and folders; for a bundle of several MR sequences, a folder per case.
        out: folder for the results and the run's `report.json`.
        points: JSON file of the clicks, for a bundle that segments what is clicked; see `click_items`.
        space: what the points are: `voxel`, or `world` for mm (RAS).
        interpolate: segment slices between clicked ones, too, if the bundle can.
        checkpoint: weights in the place of the bundle's `models/model.pt`.
        overrides: configuration file applied after `inference.json`: a path, or a name in the bundle's
            `configs`, such as `slices`; several with commas between.
        settings: entries of the bundle's inference to replace, such as `{"spacing": [1.4, 1.4]}`.
        device: `cpu`, `cuda`, `cuda:1`, ...; default: a GPU if there is one.
        amp: run the network in mixed precision.
        probabilities: also write the network's probabilities, `NAME_probabilities.nii.gz`: a channel per
            class or structure, before any level set or cleaning.
        preview: also draw each result on its image, `NAME_preview.png`.
        dicom_seg: also write the results of DICOM images as DICOM-SEG, `NAME.dcm`; needs highdicom.

    Returns:
        The content of `report.json`: `command`, `bundle`, `weights` (SHA-256), `versions`, `device`,
        `peak_memory_bytes`, `started`, `seconds`, `counts`, and per case `id`, `image`, `status` (done,
        skipped, failed, not reached), `files`, `seconds`, `warnings` and `error`.

    Raises:
        FileNotFoundError: there is no such bundle, or no image.
        ValueError: an option does not fit the bundle or the machine.
        DataError: the points or the weights are unfit.
        SomeFailed: a case failed. The report is written.
    """
    report: dict[str, Any] = {"command": command_line("predict", locals())}
    begin, started = time.perf_counter(), datetime.now(timezone.utc).isoformat(timespec="seconds")
    root, ranks = find_bundle(bundle).resolve(), Ranks.from_environment()
    files = _override_files(root, overrides)
    _check_apart(Path(input), Path(out))
    cases = find_cases(inference_config(root), input, points=points)
    given = {
        **(settings or {}),
        **_settings(space, interpolate, checkpoint, device or ranks.device, probabilities),
    }
    settings = _known(given, root, files)
    settings |= {"dataset_dir": str(root_of(input)), "output_dir": str(check_writable(out).resolve())}
    settings |= {} if points is None else {"clicks": str(points)}
    weights = weights_hashes(root, settings)
    made_how = {"weights": weights, "overrides": [file.read_text() for file in files], "amp": amp}
    made_how |= {
        "versions": versions(),
        "settings": {**settings, "device": None},
        "extras": [preview, dicom_seg],
    }

    def start(some: Sequence[PredictionCase]) -> BundlePredictor:
        return BundlePredictor(root, some, settings, overrides=files, amp=amp)

    run = PredictionRun(
        cases,
        start,
        Journal(out, made_how),
        Path(out).resolve(),
        extras=_extras(root, Path(out).resolve(), preview, dicom_seg),
        also=["_probabilities.nii.gz"] if probabilities else [],
        ranks=ranks,
    )
    report |= {"bundle": root.name, "weights": weights, "versions": versions(), "started": started}
    report |= {"processes": ranks.world_size}
    try:
        run.run()
    finally:
        report |= {"seconds": round(time.perf_counter() - begin, 1), **run.outcome()}
        if ranks.first:
            write_json(Path(out) / "report.json", report)
    if ranks.first:
        _conclude(report, Path(out) / "report.json")
    return report


def _check_apart(source: Path, out: Path) -> None:
    """Results among the images would be taken for images next time."""
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise ValueError(f"{out}: it lies in {source}, the folder of the images; give --out another folder")


def _override_files(root: Path, overrides: str | Path | None) -> list[Path]:
    configs, files = root / "configs", []
    for name in [] if overrides is None else str(overrides).split(","):
        file = next((f for f in (Path(name), configs / name, configs / f"{name}.json") if f.is_file()), None)
        if file is None:
            known = ", ".join(sorted(path.stem for path in configs.glob("*.json")))
            raise FileNotFoundError(f"{name}: no such configuration; the bundle has {known}")
        files.append(file)
    return files


def _settings(
    space: str,
    interpolate: bool,
    checkpoint: str | Path | None,
    device: str | None,
    probabilities: bool,
) -> dict[str, Any]:
    """Entries of the configuration that options stand for."""
    if space not in ("voxel", "world"):
        raise ValueError(f"--space is voxel or world, got {space!r}")
    given: dict[str, Any] = {} if space == "voxel" else {"space": space}
    given |= {"interpolate": True} if interpolate else {}
    given |= {"save_probabilities": True} if probabilities else {}
    given |= {} if checkpoint is None else {"checkpoint": str(Path(checkpoint).resolve())}
    given |= {} if device is None else {"device": f"$torch.device('{_device(device)}')"}
    return given


def _known(settings: dict[str, Any], root: Path, overrides: Sequence[Path]) -> dict[str, Any]:
    """The settings, if the bundle has entries of all their names."""
    known = {**inference_config(root)}
    for file in overrides:
        known |= ConfigParser.load_config_file(file)
    for name in settings:
        if name not in known:
            option = {"save_probabilities": "probabilities"}.get(name, name)
            raise ValueError(f"--{option}: the bundle {root.name} has no such option; leave it out")
    return settings


def _device(name: str) -> str:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"--device is cpu, cuda or cuda:NUMBER, got {name!r}") from error
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise ValueError(f"--device {name}: this machine has {count} usable GPU(s); use cpu, or leave it out")
    return str(device)


def _extras(root: Path, out: Path, preview: bool, dicom_seg: bool) -> list[Extra]:
    extras: list[Extra] = []
    if preview:
        extras.append(lambda case, mask: save_preview(case.paths[0], mask, out / f"{case.name}_preview.png"))
    if dicom_seg:
        check_highdicom()
        extras.append(lambda case, mask: save_dicom_seg(case.paths[0], mask, out / f"{case.name}.dcm", root))
    return extras


def _conclude(report: Mapping[str, Any], file: Path) -> None:
    counts = report["counts"]
    print(f"{', '.join(f'{number} {name}' for name, number in counts.items() if number)}; {file}")
    for case in report["cases"]:
        for note in case.get("warnings", []) if case["status"] == "done" else []:
            print(f"warning: {case['id']}: {note}", file=sys.stderr)
    failed = [case for case in report["cases"] if case["status"] == "failed"]
    if failed:
        number = f"{len(failed)} of {len(report['cases'])} cases" if report["cases"][1:] else "the only case"
        first = "" if len(failed) == 1 else ", the first"
        raise SomeFailed(
            f"{number} failed{first}: {failed[0]['id']}: {failed[0]['error']} See {file}.",
            exit_code=3 if counts["done"] + counts["skipped"] else 1,
        )
