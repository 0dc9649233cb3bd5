"""Tasks of the Medical Segmentation Decathlon."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_levelset.data.checks import check_folder
from monai_levelset.data.errors import DataError, raise_problems
from monai_levelset.data.readers.base import Case, SourceListing
from monai_levelset.data.readers.files import check_options, strip_suffix
from monai_levelset.data.readers.listing import is_junk, visible_files

__all__ = ["read_msd"]

_DEPTH = ("dataset.json", "*/dataset.json", "*/*/dataset.json")


def read_msd(source: Path, **options: str) -> SourceListing:
    """Read one task of the Decathlon: what `dataset.json` lists is read, with the names it gives.

    `imagesTr/`, `labelsTr/` and `imagesTs/` hold `.nii.gz` files; `dataset.json` lists them under `training`
    (`{"image": "./imagesTr/liver_1.nii.gz", "label": ...}`) and `test` (names alone), with `labels` and
    `modality`. Images of several sequences (`Task01_BrainTumour`, `Task05_Prostate`) are 4D with the channel
    as last axis, and are used as they are: MONAI's `LoadImaged` moves that axis to the front. A file that was
    decompressed (`.nii`) is found too. Files that are not listed are left out and reported.

    Args:
        source: a task's folder, or the folder with several of them.
        options: `task`, the beginning of a folder's name such as `Task03`, where there are several.

    Returns:
        The training cases, to be divided by patient, and the unlabelled test cases.

    Raises:
        DataError: where no `dataset.json` is found, or several and no `task`; where it is broken; where it
            lists a file that is missing, or one image twice.

    Source: http://medicaldecathlon.com; Antonelli et al., "The Medical Segmentation Decathlon", Nature
    Communications 13, 2022. Licence: CC BY-SA 4.0.
    """
    check_options("msd", options, known=("task",))
    path = _find(source, options.get("task", ""))
    head = _read(path)
    problems: list[str] = []
    training = [_case(entry, path.parent, None, problems) for entry in head["training"]]
    test = [_case(entry, path.parent, "test", problems) for entry in head.get("test", [])]
    cases = [case for case in (*training, *test) if case is not None]
    problems += _repeated(path, cases)
    raise_problems(problems)
    channels = [str(name) for _, name in sorted(head["modality"].items(), key=lambda kv: int(kv[0]))]
    licence = head.get("licence") or head.get("license") or "CC BY-SA 4.0"
    return SourceListing(
        name=f"MSD {path.parent.name}"
        if path.parent.name.startswith("Task")
        else f"MSD {head.get('name', '')}",
        description=(
            f"{head.get('description') or head.get('name', 'Medical Segmentation Decathlon')} "
            f"(Antonelli et al. 2022), http://medicaldecathlon.com. Licence: {licence}."
        ),
        modality=", ".join(channels),
        labels={str(value): str(name) for value, name in head["labels"].items()},
        cases=cases,
        channels=channels if len(channels) > 1 else (),
        skipped=_unlisted(path.parent, cases),
    )


def _find(source: Path, task: str) -> Path:
    check_folder(source)
    found = [
        p
        for pattern in _DEPTH
        for p in sorted(source.glob(pattern))
        if not any(map(is_junk, p.relative_to(source).parts))
    ]
    chosen = [p for p in found if p.resolve().parent.name.lower().startswith(task.lower())]
    if len(chosen) == 1:
        return chosen[0]
    names = ", ".join(p.parent.name for p in found)
    if not found:
        raise DataError(f"{source}: no dataset.json in it. Give the unpacked folder of a task.")
    if not chosen:
        raise DataError(f"{source}: no task begins with {task!r}. There are: {names}.")
    raise DataError(
        f"{source}: several tasks fit: {', '.join(p.parent.name for p in chosen)}. Choose one by task=."
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        head = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: broken JSON ({error}). Unpack it again.") from error
    kinds = {"training": list, "labels": dict, "modality": dict}
    wrong = [
        key for key, kind in kinds.items() if not (isinstance(head, dict) and isinstance(head.get(key), kind))
    ]
    if wrong:
        raise DataError(f"{path}: no {', no '.join(wrong)} in it, so no Decathlon task. Unpack it again.")
    if not head["training"]:
        raise DataError(f"{path}: its training list is empty. Unpack it again.")
    return dict(head)


def _case(entry: Any, folder: Path, section: str | None, problems: list[str]) -> Case | None:
    item = entry if isinstance(entry, Mapping) else {"image": entry}
    if not isinstance(item.get("image"), str):
        problems.append(f"{folder / 'dataset.json'}: the entry {entry!r} names no image. Correct it.")
        return None
    image = _file(folder, item["image"], problems)
    label = (_file(folder, item["label"], problems),) if item.get("label") else ()
    name = strip_suffix(image)
    return Case(name, name, (image,), label, section)


def _file(folder: Path, name: str, problems: list[str]) -> Path:
    path = folder / name
    if not path.is_file() and path.with_suffix("").is_file() and path.suffix == ".gz":
        return path.with_suffix("")
    if not path.is_file():
        problems.append(f"{path}: missing, dataset.json lists it. Unpack it again.")
    return path


def _repeated(path: Path, cases: list[Case]) -> list[str]:
    seen: set[str] = set()
    repeated = [case.id for case in cases if case.id in seen or seen.add(case.id)]  # type: ignore[func-returns-value]
    return [f"{path}: {name} is listed twice. Keep one entry." for name in repeated]


def _unlisted(folder: Path, cases: list[Case]) -> list[str]:
    listed = {path.resolve() for case in cases for path in (*case.image, *case.label)}
    return [
        f"{path}: dataset.json does not list it"
        for path in visible_files(folder)
        if path.name.lower().endswith((".nii", ".nii.gz")) and path.resolve() not in listed
    ]
