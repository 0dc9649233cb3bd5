"""Runs cases: warms up, compares the results, measures memory, measures time in turns."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch

from .case import Case, Contender, Sizes
from .clock import CURVE, FULL, QUICK, Clock, Effort, clock_for, in_turns
from .memory import peak_bytes
from .row import Measurement, Pair, Row, make_row


def run_case(case: Case, device: torch.device, effort: Effort, sizes: Sizes) -> list[Row]:
    """Measure all contenders of a case at one size.

    Args:
        case: the benchmark.
        device: where the inputs lie.
        effort: how long to measure.
        sizes: of the input.

    Returns:
        One row per variant of ours and peer.

    Raises:
        RuntimeError: a contender failed; the message names it.
    """
    if "torch._dynamo" in sys.modules:
        torch._dynamo.reset()  # each size starts alike, with nothing compiled for another one
    inputs = case.inputs(sizes, device)
    suited = {name: peer for name, peer in case.peers.items() if len(sizes.shape) in peer.dims}
    present = {name: each for name, each in {**case.ours, **suited}.items() if each.installed}
    results = {name: _warm(case.name, name, each, inputs) for name, each in present.items()}
    pairs = [
        Pair(ours, peer, _difference(case, results, ours, peer)) for ours in case.ours for peer in suited
    ]
    del results
    measured = measure(present, inputs, device, effort, clock_for(device))
    return [
        make_row(
            case,
            sizes,
            pair,
            measured[pair.variant],
            measured.get(pair.peer),
            note=_note(case.peers[pair.peer], device),
            device=str(device),
            threads=torch.get_num_threads(),
        )
        for pair in pairs
    ]


def _note(peer: Contender, device: torch.device) -> str:
    return "on the CPU" if device.type != "cpu" and peer.memory != "torch" else ""


def measure(
    contenders: dict[str, Contender], inputs: object, device: torch.device, effort: Effort, clock: Clock
) -> dict[str, Measurement]:
    """Peak memory of each contender, then their times in turns."""
    calls = {name: partial(each.run, inputs) for name, each in contenders.items()}
    gc.collect()
    peaks = {name: peak_bytes(calls[name], device, each.memory) for name, each in contenders.items()}
    seconds = in_turns(calls, clock, effort)
    return {name: Measurement(seconds[name], peaks[name]) for name in calls}


def _warm(case: str, name: str, contender: Contender, inputs: object) -> object:
    """Compile and fill caches: later calls are alike."""
    try:
        return contender.run(inputs)
    except Exception as error:
        raise RuntimeError(f"benchmark {case!r}: {name!r} failed: {error}") from error


def _difference(case: Case, results: dict[str, object], ours: str, peer: str) -> float | None:
    if case.difference is None or peer not in results:
        return None
    return case.difference(results[ours], results[peer])


def rows_of(case: Case, device: torch.device, quick: bool) -> Iterator[tuple[Sizes, list[Row]]]:
    """Measure a case size by size; quickly: at the first size only, made small, which judges no aim."""
    effort = QUICK if quick else CURVE if case.plot else FULL
    sizes = [case.sizes[0].small()] if quick else case.sizes
    for each in sizes:
        yield each, run_case(replace(case, aims=()) if quick else case, device, effort, each)
