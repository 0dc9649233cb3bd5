"""Predicting many cases: what is finished is skipped, what fails is noted, and all is reported."""

from __future__ import annotations

import logging
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from monai_levelset.engines.peak_memory import peak_memory
from monai_levelset.prediction.bundle import BundlePredictor
from monai_levelset.prediction.cases import PredictionCase
from monai_levelset.prediction.journal import Journal
from monai_levelset.prediction.ranks import Ranks

__all__ = ["Extra", "PredictionRun"]

#: Makes one more file of a case from its label map; returns its path, or None where it does not apply.
Extra = Callable[[PredictionCase, Path], Path | None]


@dataclass
class PredictionRun:
    """Cases on their way to their results.

    Attributes:
        cases: all of them, those with a problem included.
        start: makes the predictor of some cases; not called where nothing is left to do.
        journal: what is finished.
        out: folder of the results.
        extras: further files of each case.
        device: where the network ran, once it has run.
        peak_memory: bytes that this process has used at most, of the GPU if it has one.
        skipped: names of the cases that were finished before.
        also: endings of files that the bundle writes beside the label map, such as `_probabilities.nii.gz`.
        ranks: the processes that share the cases.
    """

    cases: Sequence[PredictionCase]
    start: Callable[[Sequence[PredictionCase]], BundlePredictor]
    journal: Journal
    out: Path
    extras: Sequence[Extra] = ()
    also: Sequence[str] = ()
    ranks: Ranks = field(default_factory=Ranks.from_environment)
    device: str | None = None
    peak_memory: int | None = None
    skipped: frozenset[str] = frozenset()

    def run(self) -> None:
        """Predict this process's share, and wait for the others."""
        self.skipped = frozenset(case.name for case in self.cases if self.journal.finished(case))
        with self.ranks.together():
            mine = self.ranks.share([case for case in self.cases if case.name not in self.skipped])
            if mine:
                self._predict(mine)

    def outcome(self) -> dict[str, Any]:
        """Counts, and a record per case, of all processes."""
        records = []
        for case in self.cases:
            record = self.journal.read(case) or {"status": "not reached", "files": []}
            record.pop("key", None)
            record |= {"status": "skipped"} if case.name in self.skipped else {}
            images = [str(path) for path in case.paths] if "image" in case.item else []
            records.append({"id": case.name, "image": images, **record})
        names = ("done", "skipped", "failed", "not reached")
        counts = {name: sum(record["status"] == name for record in records) for name in names}
        return {
            "device": self.device,
            "peak_memory_bytes": self.peak_memory,
            "counts": counts,
            "cases": records,
        }

    def _predict(self, cases: Sequence[PredictionCase]) -> None:
        from tqdm import tqdm

        for case in cases:
            self.journal.forget(case)
        predictor = self.start(cases)
        self.device = str(predictor.device)
        name = "" if self.ranks.world_size == 1 else f" (process 1 of {self.ranks.world_size})"
        with tqdm(cases, desc="predicting" + name, unit="case", disable=not self.ranks.first) as bar:
            for case in bar:
                record = self._one(predictor, case)
                self.journal.write(case, record)
                if record["status"] == "failed":
                    bar.write(f"failed: {case.name}: {record['error']}", file=sys.stderr)
        self.peak_memory = peak_memory(predictor.device)

    def _one(self, predictor: BundlePredictor, case: PredictionCase) -> dict[str, Any]:
        begin, notes = time.perf_counter(), list[str]()
        record: dict[str, Any] = {"status": "failed", "files": []}
        try:
            with _collected(notes):
                record["files"] = self._files(predictor, case)
            record["status"] = "done"
        except (Exception, MemoryError) as error:
            record["error"] = _told(error)
            if not isinstance(error, ValueError | OSError):
                record["traceback"] = "".join(traceback.format_exception(error))
        return record | {"seconds": round(time.perf_counter() - begin, 3), "warnings": notes}

    def _files(self, predictor: BundlePredictor, case: PredictionCase) -> list[str]:
        if case.problem is not None:
            raise ValueError(case.problem)
        predictor.run(case)
        result = self.out / case.file_name
        if not result.is_file():
            raise OSError(f"the bundle did not write {result}")
        more = [self.out / f"{case.name}{ending}" for ending in self.also]
        made = [extra(case, result) for extra in self.extras]
        return [str(p.relative_to(self.out)) for p in (result, *more, *made) if p is not None]


@contextmanager
def _collected(notes: list[str]) -> Iterator[None]:
    """Gather the texts of warnings, Python's and those of this package's log."""
    handler, logger = _Notes(notes), logging.getLogger("monai_levelset")
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            yield
        notes += dict.fromkeys(str(warning.message) for warning in caught if _concerns(warning.category))
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


class _Notes(logging.Handler):
    """Keeps the texts of warnings."""

    def __init__(self, notes: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.notes = notes

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.notes.append(record.getMessage())


def _concerns(category: type[Warning]) -> bool:
    """Deprecations concern programmers."""
    return not issubclass(category, DeprecationWarning | FutureWarning)


def _told(error: BaseException) -> str:
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError):
        return f"out of memory ({error}). Use --device cpu, or --amp, or a machine with more memory."
    return str(error) or type(error).__name__
