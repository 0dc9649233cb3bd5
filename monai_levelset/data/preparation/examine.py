"""Read every file of one case, convert it where needed, and tell what is wrong and what is in it."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_levelset.data.atomic import atomic_path
from monai_levelset.data.checks import _grid_problems, _image_values, _label_values
from monai_levelset.data.errors import DataError
from monai_levelset.data.grids import Grid, read_array
from monai_levelset.data.preparation.facts import (
    fingerprint,
    grid_facts,
    image_facts,
    label_facts,
    spacing_problem,
)
from monai_levelset.data.readers.base import Case

__all__ = ["Job", "Result", "examine", "is_disk_full", "state"]

_FULL = (errno.ENOSPC, errno.EDQUOT)
_BINARY = frozenset({0, 1})
_PICTURES = (".png", ".bmp", ".jpg", ".jpeg", ".tif", ".tiff", ".gif")


@dataclass(frozen=True)
class Job:
    """What is to be done for one case.

    Attributes:
        case: the case.
        key: hash of everything the result depends on; also the name of the folder of converted files.
        staging: folder for converted files.
        allowed: values that its labels may hold; None: any whole numbers from 0 on.
    """

    case: Case
    key: str
    staging: Path
    allowed: frozenset[int] | None


@dataclass(frozen=True)
class Result:
    """What was found, as JSON can hold it.

    Attributes:
        id: the case's.
        key: the job's.
        files: `image` and `label` -> paths; converted ones as `images/NAME` and `labels/NAME`.
        states: size and time of every converted file.
        facts: see `facts`; with `hash`, `intensity`, `label` (amounts), `annotators`.
        problems: one line per problem; nothing was kept where there is one.
    """

    id: str
    key: str
    files: dict[str, list[str]] = field(default_factory=dict)
    states: dict[str, list[int]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def examine(job: Job) -> Result:
    """Check and, where needed, convert one case. Runs in worker processes.

    A case with a problem leaves no file behind; converted files appear in `job.staging/key` all or none.

    Raises:
        OSError: where the disk is full: going on with other cases is of no use.
    """
    problems = _missing(job.case)
    if problems:
        return Result(job.case.id, job.key, problems=tuple(problems))
    if job.case.convert is None:
        files = {"image": list(job.case.image), "label": list(job.case.label)}
        problems, facts = _inspect(files, job.allowed)
        listed = {role: list(map(str, paths)) for role, paths in files.items() if paths}
        return Result(job.case.id, job.key, listed, facts=facts, problems=tuple(problems))
    try:
        return _convert(job)
    except (KeyboardInterrupt, SystemExit):
        raise
    except OSError as error:
        if is_disk_full(error):
            raise
        return _failed(job, error)
    except Exception as error:  # a broken file makes decoders raise anything
        return _failed(job, error)


def _convert(job: Job) -> Result:
    case, folder = job.case, job.staging / job.key
    assert case.convert is not None
    with atomic_path(folder) as temporary:
        temporary.mkdir(parents=True)
        images, labels = case.convert(case, temporary)
        files = {
            "image": [_sorted_into(temporary, "images", path) for path in images],
            "label": [_sorted_into(temporary, "labels", path) for path in labels],
        }
        problems, facts = _inspect(files, job.allowed)
        if problems:
            raise _Refused([_of_source(problem, files, case) for problem in problems])
        written = [path for paths in files.values() for path in paths if path.is_relative_to(temporary)]
        states = {path.relative_to(temporary).as_posix(): state(path) for path in written}
        names = {path: path.relative_to(temporary).as_posix() for path in written}
    listed = {role: [names.get(path, str(path)) for path in paths] for role, paths in files.items() if paths}
    return Result(case.id, job.key, listed, states, facts)


class _Refused(Exception):
    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def is_disk_full(error: OSError) -> bool:
    """Whether the reason is lack of space."""
    return error.errno in _FULL


def state(path: Path) -> list[int]:
    """Size and time of a file, by which it is recognised later."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _sorted_into(folder: Path, role: str, path: Path) -> Path:
    """Where a converted file belongs; a file of the source that is used as it is stays where it is."""
    target = folder / role / path.name
    if path != target and path.is_relative_to(folder):
        target.parent.mkdir(exist_ok=True)
        return path.rename(target)
    return path


def _of_source(problem: str, files: dict[str, list[Path]], case: Case) -> str:
    """The message with the source's file names instead of those of its conversion, which is not kept."""
    for role, sources in (("image", case.image), ("label", case.label or case.image)):
        for position, path in enumerate(files[role]):
            problem = problem.replace(str(path), str(sources[min(position, len(sources) - 1)]))
    return problem


def _failed(job: Job, error: Exception) -> Result:
    if isinstance(error, _Refused):
        problems = error.problems
    elif isinstance(error, DataError):
        lines = str(error).splitlines()
        problems = tuple(line.removeprefix("- ") for line in lines[len(lines) > 1 :])
    else:
        files = ", ".join(map(str, (*job.case.image, *job.case.label)))
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        problems = (f"{files}: cannot be converted ({reason}). Unpack or copy the files again.",)
    return Result(job.case.id, job.key, problems=(*problems, *_also_truncated(job.case, problems)))


def _also_truncated(case: Case, problems: Sequence[str]) -> list[str]:
    """Other files of a case that were cut short, too: a conversion ends with the first one."""
    found = []
    for path in (*case.image, *case.label):
        if path.name.lower().endswith((*_PICTURES, ".nii", ".nii.gz")) and not _is_named(path, problems):
            try:
                read_array(path)
            except DataError as error:
                found += [str(error)] if "truncated" in str(error) else []
    return found


def _is_named(path: Path, problems: Sequence[str]) -> bool:
    return any(str(path) in problem for problem in problems)


def _missing(case: Case) -> list[str]:
    problems = []
    for role, paths in (("image", case.image), ("label", case.label)):
        for path in paths:
            if not path.exists():
                problems.append(f"{path}: this {role} of {case.id} is missing. Unpack or copy it again.")
            elif path.is_file() and path.stat().st_size == 0:
                problems.append(f"{path}: the file is empty. Unpack or copy it again.")
    return (
        problems if case.image else [f"{case.id}: the case has no image. Remove it or copy the data again."]
    )


def _inspect(
    files: dict[str, list[Path]], allowed: frozenset[int] | None
) -> tuple[list[str], dict[str, Any]]:
    problems: list[str] = []
    facts: dict[str, Any] = {"intensity": [], "hash": "", "annotators": len(files["label"])}
    reference: tuple[Path, Grid] | None = None
    for role in ("image", "label"):
        for path in files[role]:
            try:
                values, grid = read_array(path)
            except DataError as error:
                problems.append(str(error))
                continue
            if reference is None:
                reference = (path, grid)
                facts.update(grid_facts(grid))
            else:
                problems += _grid_problems(path, grid, *reference)
            if role == "image":
                problems += _look_at_image(path, values, grid, facts)
            else:
                problems += _look_at_label(path, values, grid, allowed, facts)
    return problems, facts


def _look_at_image(path: Path, values: NDArray[Any], grid: Grid, facts: dict[str, Any]) -> list[str]:
    odd = spacing_problem(grid)
    problems = [*_image_values(path, values), *([f"{path}: {odd}"] if odd else [])]
    if not problems:
        facts["intensity"] += image_facts(values, grid)
        facts["hash"] += fingerprint(values)
    return problems


def _look_at_label(
    path: Path, values: NDArray[Any], grid: Grid, allowed: frozenset[int] | None, facts: dict[str, Any]
) -> list[str]:
    if grid.channels != 1:
        return [
            f"{path}: a label has one channel, this one {grid.channels}. Save it as a map of label values."
        ]
    values = _small(values)
    if allowed == _BINARY and path.suffix.lower() in _PICTURES:
        allowed = _BINARY | {255}
    problems = _label_values(path, values, allowed)
    if not problems and "label" not in facts:
        facts["label"] = label_facts(values if 255 not in (allowed or ()) else np.minimum(values, 1), grid)
    return problems


def _small(values: NDArray[Any]) -> NDArray[Any]:
    """As unsigned bytes where that changes nothing: counting values is then fast."""
    if values.dtype == np.uint8 or values.dtype.kind == "b":
        return values.astype(np.uint8, copy=False)
    with np.errstate(invalid="ignore"):
        small = values.astype(np.uint8)
    return small if np.array_equal(small, values) else values
