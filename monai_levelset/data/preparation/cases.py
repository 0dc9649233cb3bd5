"""Look at all cases of a data set, as far as earlier runs have not, and compare them with each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from monai_levelset.data.errors import DataError
from monai_levelset.data.preparation.examine import Job, Result, examine, is_disk_full
from monai_levelset.data.preparation.index import Index, case_key
from monai_levelset.data.preparation.workers import in_processes
from monai_levelset.data.readers.base import Case, SourceListing

__all__ = ["across_cases", "examine_all", "join_patients", "refuse_full_disk"]


def examine_all(
    found: SourceListing,
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
    with refuse_full_disk(index.out):
        for result in in_processes(examine, jobs, workers=workers, title=title) if jobs else ():
            results[result.id] = result
            if not result.problems:
                index.add(result)
    return [results[case.id] for case in found.cases]


@contextmanager
def refuse_full_disk(out: Path) -> Iterator[None]:
    """Say what to do where the disk is full."""
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise DataError(
            f"{out}: the disk is full ({error.strerror}). Free some space and run the same command again; "
            "cases that are done are kept."
        ) from error


def across_cases(found: SourceListing, results: Sequence[Result]) -> tuple[list[str], list[str]]:
    """Problems of single cases and of several together; and notes that are no problems."""
    problems = [problem for result in results for problem in result.problems]
    labelled = [result for result in results if result.files.get("label") and not result.problems]
    empty = [result.id for result in labelled if not result.facts["label"]["amount"]]
    if not problems and labelled and len(empty) == len(labelled):
        problems.append("every label is empty. Check that the labels belong to these images.")
    notes = [f"{len(empty)} labels are empty, for example that of {empty[0]}"] if empty else []
    if not problems and all(result.facts["identity"] for result in results):
        notes.append("every affine is the identity: the files probably state no spacing, so mm are voxels")
    for case, other in _same_images(found.cases, results):
        what = f"{case.image[0]}: the same image as {other.image[0]}"
        if case.section != other.section:
            sections = f"in the sections {other.section or 'to be drawn'} and {case.section or 'to be drawn'}"
            problems.append(f"{what}, {sections}. Copy both again; if they stay the same, remove one.")
        elif case.patient != other.patient:
            notes.append(f"{what}; {case.patient} and {other.patient} are kept together in one section")
        else:
            notes.append(what)
    return problems, notes


def join_patients(found: SourceListing, results: Sequence[Result]) -> SourceListing:
    """The data set with one name for all patients that share an image, so that no draw divides them."""
    joined: dict[str, str] = {}

    def name(patient: str) -> str:
        while patient in joined:
            patient = joined[patient]
        return patient

    for case, other in _same_images(found.cases, results):
        if name(case.patient) != name(other.patient):
            joined[name(case.patient)] = name(other.patient)
    return replace(found, cases=[replace(case, patient=name(case.patient)) for case in found.cases])


def _same_images(cases: Sequence[Case], results: Sequence[Result]) -> list[tuple[Case, Case]]:
    """Every case whose image an earlier case has, too, with the first such case."""
    first: dict[str, Case] = {}
    pairs = []
    for case, result in zip(cases, results, strict=True):
        value = result.facts.get("hash")
        other = first.setdefault(value, case) if value else case
        if other is not case:
            pairs.append((case, other))
    return pairs
