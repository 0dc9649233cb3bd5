"""Write a phantom data set: images, labels and the data list."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from monai_levelset.data.datalist import split_patients, write_datalist
from monai_levelset.data.phantoms.case import PhantomCase, PhantomTask
from monai_levelset.data.phantoms.files import encode, json_bytes, write_atomically
from monai_levelset.data.phantoms.tasks import TASKS, get_task

MARKER = "phantom.json"
SECTIONS = ("training", "validation", "test")


def draw_cases(task: str, patient: int, seed: int) -> list[PhantomCase]:
    """Draw all pictures of one patient, without writing anything.

    Args:
        task: name of the task.
        patient: number of the patient, from 0.
        seed: seed of the data set, at least 0.

    Returns:
        The patient's cases; the same for equal arguments, whatever else is drawn.

    Raises:
        ValueError: if the task is unknown.

    Example:
        >>> case = draw_cases("lv", 0, seed=0)[0]
        >>> case.image.shape[:2], case.image.dtype.name
        ((160, 160), 'int16')
    """
    rng = np.random.default_rng([seed, zlib.crc32(task.encode()), patient])
    return get_task(task).draw_patient(rng)


def generate_phantoms(
    task: str,
    out_dir: str | Path,
    *,
    cases: int = 12,
    seed: int = 0,
    validation_fraction: float = 0.2,
    test_fraction: float = 0.2,
) -> Path:
    """Generate a phantom data set in ``out_dir``.

    Writes ``images/`` and ``labels/`` with equal file names, ``datalist.json`` (sections ``training``,
    ``validation`` and ``test``, split by patient) and ``phantom.json`` (how it was made). The files are
    byte-identical for equal arguments, and case ``i`` does not depend on ``cases``. May be run again over
    its own output, also with other arguments; files it had written before and that no longer belong are
    removed.

    Args:
        task: ``liver``, ``lv``, ``prostate``, ``lits``, ``brats``, ``fundus`` or ``natural``.
        out_dir: folder; created if missing, otherwise empty or an earlier output.
        cases: number of images, at least 1.
        seed: seed of pictures and split, at least 0.
        validation_fraction: share of the patients for validation; at least one if there are two patients or
            more.
        test_fraction: share of the patients for testing; at least one if there are three patients or more.

    Returns:
        Path of ``datalist.json``.

    Raises:
        ValueError: for an unknown task, ``cases`` below 1, a negative seed or fractions that leave no
            training.
        FileExistsError: if ``out_dir`` is a file, or holds files that are not an earlier output.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = generate_phantoms("lv", folder, cases=1)
        ...     sorted(p.name for p in path.parent.iterdir())
        ['datalist.json', 'images', 'labels', 'phantom.json']
    """
    what = get_task(task)
    check_arguments(cases, seed, validation_fraction, test_fraction)
    out = claim_folder(Path(out_dir), {"task": task, "cases": cases, "seed": seed})
    items = write_cases(what, out, cases, seed)
    remove_stale(out, {item["image"].removeprefix("images/") for item in items})
    sections = split_by_patient(items, seed, validation_fraction, test_fraction)
    head = {"name": f"{task} phantoms", "description": what.description, "modality": what.modality}
    return write_datalist(out / "datalist.json", sections, labels=what.labels, **head)


def check_arguments(cases: int, seed: int, validation_fraction: float, test_fraction: float) -> None:
    """Reject numbers that make no data set."""
    if cases < 1:
        raise ValueError(f"cases must be at least 1, got {cases}")
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}")
    if min(validation_fraction, test_fraction) < 0 or validation_fraction + test_fraction >= 1:
        raise ValueError(
            f"validation_fraction {validation_fraction} and test_fraction {test_fraction} must be 0 or more "
            "and leave room for training (sum below 1)"
        )


def claim_folder(out: Path, how: dict[str, Any]) -> Path:
    """Make the folder ours: it must be missing, empty, or hold our marker."""
    if out.exists() and not out.is_dir():
        raise FileExistsError(f"{out} is a file: give a folder for the phantoms")
    if out.is_dir() and any(out.iterdir()) and not is_own(out):
        raise FileExistsError(
            f"{out} is not empty and holds no {MARKER} of an earlier run: "
            "choose an empty folder, or remove its files"
        )
    for sub in ("images", "labels"):
        (out / sub).mkdir(parents=True, exist_ok=True)
    write_atomically(out / MARKER, json_bytes({"generator": "monai-levelset phantom", **how}))
    return out


def is_own(out: Path) -> bool:
    """Whether an earlier run wrote its marker here."""
    try:
        content = json.loads((out / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("generator") == "monai-levelset phantom"


def remove_stale(out: Path, current: set[str]) -> None:
    """Remove pictures of an earlier run that this one has not written; files with foreign names stay."""
    name = re.compile(rf"({'|'.join(TASKS)})_\d{{3,}}(_\d)?\.(nii\.gz|png)")
    for path in (p for sub in ("images", "labels") for p in sorted((out / sub).iterdir())):
        if name.fullmatch(path.name) and path.name not in current:
            path.unlink()


def write_cases(task: PhantomTask, out: Path, cases: int, seed: int) -> list[dict[str, str]]:
    """Write patient after patient until there are ``cases`` images; returns the data list's items."""
    items: list[dict[str, str]] = []
    while len(items) < cases:
        patient = f"{task.name}_{len(items) // task.images_per_patient:03d}"
        drawn = draw_cases(task.name, len(items) // task.images_per_patient, seed)[: cases - len(items)]
        for view, case in enumerate(drawn):
            name = patient if task.images_per_patient == 1 else f"{patient}_{view}"
            files = {"image": f"images/{name}{task.suffix}", "label": f"labels/{name}{task.suffix}"}
            write_atomically(out / files["image"], encode(case.image, case.affine))
            write_atomically(out / files["label"], encode(case.label, case.affine))
            items.append({**files, "id": name, "patient": patient})
    return items


def split_by_patient(
    items: list[dict[str, str]], seed: int, validation_fraction: float, test_fraction: float
) -> dict[str, list[dict[str, Any]]]:
    """Deal the patients out by seed; too few of them fill training first, then validation."""
    training = 1 - validation_fraction - test_fraction
    wanted = {"training": training, "validation": validation_fraction, "test": test_fraction}
    patients = len({item["patient"] for item in items})
    kept = {name: share for name, share in list(wanted.items())[:patients] if share > 0}
    fractions = {name: share / sum(kept.values()) for name, share in kept.items()}
    return {name: [] for name in SECTIONS} | split_patients(items, fractions, seed)
