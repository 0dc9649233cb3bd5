"""Time: several functions in turns, so that whatever else happens on the machine happens to all of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

Call = Callable[[], object]
Clock = Callable[[Call, int], float]


def cpu_clock(call: Call, times: int) -> float:
    """Seconds of processor time that `times` calls take in all threads of this process.

    Waiting for a core that others use does not count, and a second thread is no advantage.
    """
    start = time.process_time()
    for _ in range(times):
        call()
    return time.process_time() - start


def cuda_clock(call: Call, times: int) -> float:
    """Seconds between two events on the device's stream around `times` calls."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begin.record()
    for _ in range(times):
        call()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) / 1000


def clock_for(device: torch.device) -> Clock:
    """The clock of a device."""
    return cuda_clock if device.type == "cuda" else cpu_clock


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Attributes:
        rounds: at most so many rounds after the first, which finds out how long a call takes.
        least_rounds: at least so many, however long they take.
        sample: seconds one sample should take; short functions are called several times in one.
        budget: seconds after which no further round starts.
    """

    rounds: int = 9
    least_rounds: int = 2
    sample: float = 0.05
    budget: float = 20.0


FULL = Effort()
CURVE = Effort(rounds=5, budget=5.0)
QUICK = Effort(rounds=3, sample=0.002, budget=0.5)


def in_turns(calls: Mapping[str, Call], clock: Clock, effort: Effort) -> dict[str, list[float]]:
    """Seconds per call of each function, one sample of every function per round: A B C A B C ...

    Args:
        calls: the functions, warmed up.
        clock: measures several calls.
        effort: how long to measure.

    Returns:
        The samples of each function, in the order of the rounds.
    """
    first = {name: clock(call, 1) for name, call in calls.items()}
    times = {name: max(1, math.ceil(effort.sample / max(t, 1e-7))) for name, t in first.items()}
    samples = {name: [t] if times[name] == 1 else [] for name, t in first.items()}
    spent = sum(first.values())
    for done in range(effort.rounds):
        if done >= effort.least_rounds and spent >= effort.budget:
            break
        for name, call in calls.items():
            seconds = clock(call, times[name])
            samples[name].append(seconds / times[name])
            spent += seconds
    return samples
