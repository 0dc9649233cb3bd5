"""Run a function on many jobs in several processes, with a progress bar."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import Any, TypeVar

from monai_levelset.data.errors import DataError

__all__ = ["in_processes"]

J = TypeVar("J")
R = TypeVar("R")
_MOST = 4  # a volume takes a gigabyte or two while it is looked at
_WORTH = 8  # jobs per process, below which starting it takes longer


def in_processes(
    work: Callable[[J], R],
    jobs: Sequence[J],
    *,
    workers: int | None = None,
    title: str = "",
    unit: str = "case",
) -> Iterator[R]:
    """Results of `work` on every job, in the order in which they are finished.

    Args:
        work: a function of a module.
        jobs: its arguments.
        workers: processes; 1: this one; None: one per processor, at most 4, fewer where there are few jobs.
        title: text of the progress bar, which is shown on a terminal only.
        unit: what is counted.

    Yields:
        The results.

    Raises:
        DataError: where a process was killed, usually for lack of memory.
        ValueError: where `workers` is below 1.

    Example:
        >>> list(in_processes(abs, [-1, -2], workers=1))
        [1, 2]
    """
    from tqdm import tqdm

    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    default = min(os.cpu_count() or 1, _MOST, -(-len(jobs) // _WORTH))
    count = min(workers or default, len(jobs))
    results = map(work, jobs) if count <= 1 else _pooled(work, jobs, count)
    yield from tqdm(results, total=len(jobs), desc=title, unit=unit, disable=None)


def _pooled(work: Callable[[J], R], jobs: Sequence[J], count: int) -> Iterator[R]:
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_start)
    try:
        for done in as_completed([pool.submit(work, job) for job in jobs]):
            yield done.result()
    except BrokenProcessPool as error:
        raise DataError(
            "a worker process was killed, usually because the memory was full. Run the same command again "
            "with --workers 1; finished cases are kept. (Scripts: call it under `if __name__ == '__main__'`.)"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start() -> None:
    """Ctrl-C is the parent's business; a killed parent takes its workers with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()

    def follow(process: Any) -> None:
        process.join()
        os._exit(1)

    threading.Thread(target=follow, args=(parent,), daemon=True).start()
