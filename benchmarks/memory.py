"""Peak of the memory that a call holds at once, above what was there before it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterable

import torch

Call = Callable[[], object]


def peak_bytes(call: Call, device: torch.device, memory: str) -> int | None:
    """Most bytes alive at once during one call, its result included, above those alive before it.

    Args:
        call: the function, warmed up, so that caches and compiled code are not counted.
        device: the device whose allocator is watched.
        memory: what can see the function's memory, see `Contender`.

    Returns:
        The peak; None if it cannot be seen.
    """
    if memory == "unseen":
        return None
    if memory == "torch":
        return _peak_torch(call, device)
    watched = _Python(call)
    return _peak_torch(watched, device) + watched.peak


class _Python:
    """A call that notes the peak of Python's allocator, which NumPy reports its arrays to."""

    def __init__(self, call: Call) -> None:
        self.call, self.peak = call, 0

    def __call__(self) -> object:
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            result = self.call()
            self.peak = tracemalloc.get_traced_memory()[1] - before
            return result
        finally:
            tracemalloc.stop()


def _peak_torch(call: Call, device: torch.device) -> int:
    return _peak_cuda(call, device) if device.type == "cuda" else _peak_cpu(call)


def _peak_cuda(call: Call, device: torch.device) -> int:
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    call()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def _peak_cpu(call: Call) -> int:
    """From every allocation and release of torch's CPU allocator: kernels' scratch and compiled code too."""
    with torch.autograd.profiler.profile(profile_memory=True) as profile:
        result = call()
    del result
    events = [e for e in profile.kineto_results.events() if e.name() == "[memory]"]
    return highest(e.nbytes() for e in sorted(events, key=lambda e: e.start_ns()))


def highest(changes: Iterable[int]) -> int:
    """Highest sum on the way, at least 0.

    Example:
        >>> highest([4, 8, -4, 2, -10])
        12
    """
    total = peak = 0
    for change in changes:
        total += change
        peak = max(peak, total)
    return peak
