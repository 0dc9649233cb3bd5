"""Look at all cases of a data set, as far as earlier runs have not, and compare them with each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from monai_levelset.data.errors import DataError
from monai_levelset.data.preparation.examine import Job, Result, examine, is_disk_full
from monai_levelset.data.preparation.index import Index, case_key
from monai_levelset.data.preparation.workers import in_processes
from monai_levelset.data.readers.base import Case, Dataset

__all__ = ["across_cases", "examine_all"]


def examine_all(
    found: Dataset,
    index: Index,
    *,
    reader: str,
    version: int = 1,
    options: Mapping[str, str] | None = None,
    workers: int | None = None,
) -> list[Result]:
    """The result of every case, in the data set's order; each is remembered as soon as it is there.

    Args:
        found: the data set.
        index: what earlier runs finished.
        reader: name of the reader.
        version: of the reader.
        options: of the reader.
        workers: processes, see `in_processes`.

    Raises:
        DataError: where the disk is full.
    """
    allowed = frozenset(map(int, found.labels)) if found.labels else None
    results: dict[str, Result] = {}
    jobs = []
    for case in found.cases:
        key = case_key(case, reader=reader, version=version, options=options or {}, labels=found.labels)
        done = index.finished(case.id, key)
        if done is None:
            jobs.append(Job(case, key, index.staging, allowed))
        else:
            results[case.id] = done
    converts = any(job.case.convert for job in jobs)
    title = "checking and converting" if converts else "checking"
    try:
        for result in in_processes(examine, jobs, workers=workers, title=title) if jobs else ():
            results[result.id] = result
            if not result.problems:
                index.add(result)
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise DataError(
            f"{index.out}: the disk is full ({error.strerror}); {len(results)} of {len(found.cases)} cases "
            "are done and kept. Free some space and run the same command again."
        ) from error
    return [results[case.id] for case in found.cases]


def across_cases(found: Dataset, results: Sequence[Result]) -> tuple[list[str], list[str]]:
    """Problems of single cases and of several together; and notes that are no problems."""
    problems = [problem for result in results for problem in result.problems]
    labelled = [result for result in results if result.files.get("label")]
    if not problems and not any(case.label for case in found.cases):
        problems.append("no case has a label. Put the labels of the data set into the source.")
    elif not problems and not any(result.facts["label"]["amount"] for result in labelled):
        problems.append("every label is empty. Check that the labels belong to these images.")
    same, notes = _duplicates(found.cases, results)
    empty = [result.id for result in labelled if not result.problems and not result.facts["label"]["amount"]]
    if empty:
        notes.append(f"{len(empty)} labels are empty, for example that of {empty[0]}")
    return [*problems, *same], notes


def _duplicates(cases: Sequence[Case], results: Sequence[Result]) -> tuple[list[str], list[str]]:
    first: dict[str, Case] = {}
    problems, notes = [], []
    for case, result in zip(cases, results, strict=True):
        value = result.facts.get("hash")
        other = first.setdefault(value, case) if value else case
        if other is case:
            continue
        what = f"{_name(case)}: the same image as {_name(other)}"
        if case.patient == other.patient:
            notes.append(what)
        else:
            problems.append(
                f"{what}, of another patient. Find out whose it is, and copy the other one again."
            )
    return problems, notes


def _name(case: Case) -> Path:
    return case.image[0]
