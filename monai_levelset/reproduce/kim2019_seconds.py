"""Seconds per update with and without the level-set loss, and per image with and without the CRF."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import permutations
from typing import Any

import torch

_ROUNDS = 60
_WARM_UP = 3


def seconds(calls: Mapping[str, Callable[[], Any]], rounds: int = _ROUNDS) -> dict[str, float]:
    """Median processor seconds of each call on one thread; the calls take turns, in changing order.

    They equal the seconds by the clock on an idle machine, and do not count what other processes take.

    Args:
        calls: what is timed, by name.
        rounds: how often each is called, after three calls that do not count.

    Returns:
        Name -> seconds.

    Raises:
        ValueError: no call or no round.

    Example:
        >>> times = seconds({"much": lambda: sum(range(100_000)), "little": lambda: None}, rounds=5)
        >>> times["much"] > times["little"]
        True
    """
    if not calls or rounds < 1:
        raise ValueError("Something must be timed at least once.")
    times: dict[str, list[float]] = {name: [] for name in calls}
    orders = list(permutations(calls))
    with one_thread():
        for turn in range(_WARM_UP + rounds):
            for name in orders[turn % len(orders)]:
                start = time.process_time()
                calls[name]()
                times[name].append(time.process_time() - start)
    return {name: statistics.median(values[_WARM_UP:]) for name, values in times.items()}


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread, and as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
