"""One line of the result: one of our variants beside one peer at one size."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from .case import Case, Sizes


@dataclass(frozen=True)
class Measurement:
    """What one contender took.

    Attributes:
        seconds: of one call, one number per round.
        peak: bytes, None if not seen.
    """

    seconds: list[float]
    peak: int | None


@dataclass(frozen=True)
class Row:
    """One line of `latest.json`; costs are nanoseconds per `unit`.

    Attributes:
        name: of the case.
        variant: ours.
        peer_name: the peer's.
        sizes: of the input.
        unit: pixel, voxel or pixel-iteration.
        units: how many of them one call works on.
        ours: our lowest cost.
        ours_median: the median of the rounds.
        peer: the peer's lowest cost, None if it is not installed.
        peer_median: its median.
        ratio: peer/ours: how many times as fast we are.
        peak_bytes: our peak memory above the inputs.
        peer_peak_bytes: the peer's.
        bytes_per_pixel: our peak memory per pixel; per unit where the case says so.
        peer_bytes_per_pixel: the peer's.
        memory_ratio: ours/peer.
        difference: how far the results are apart, in the case's measure.
        aim: what was aimed at, in words.
        met: whether it was reached.
        threads: of both.
        device: of ours.
        note: what to know about the line.
        plot: the line is a point of a curve.
    """

    name: str
    variant: str
    peer_name: str
    sizes: dict[str, Any]
    unit: str
    units: int
    ours: float
    ours_median: float
    peer: float | None
    peer_median: float | None
    ratio: float | None
    peak_bytes: int | None
    peer_peak_bytes: int | None
    bytes_per_pixel: float | None
    peer_bytes_per_pixel: float | None
    memory_ratio: float | None
    difference: float | None
    aim: str | None
    met: bool | None
    threads: int
    device: str
    note: str
    plot: bool


@dataclass(frozen=True)
class Pair:
    """Our variant and a peer, by name, and how far their results are apart."""

    variant: str
    peer: str
    difference: float | None = None


def make_row(
    case: Case,
    sizes: Sizes,
    pair: Pair,
    ours: Measurement,
    peer: Measurement | None,
    *,
    device: str = "cpu",
    threads: int = 1,
    note: str = "",
) -> Row:
    """Compare two measurements.

    Args:
        case: the benchmark.
        sizes: of the input.
        pair: who is compared.
        ours: our measurement.
        peer: the peer's, None if it is not installed.
        device: of ours.
        threads: of both.
        note: what to know about the line.

    Returns:
        The line.
    """
    nano = 1e9 / sizes.units
    spread = sizes.units if case.memory_per_unit else sizes.pixels
    theirs = peer.seconds if peer else None
    ratio = min(theirs) / min(ours.seconds) if theirs else None
    peer_peak = peer.peak if peer else None
    memory_ratio = ours.peak / peer_peak if ours.peak is not None and peer_peak else None
    aim = case.aim(pair.variant, pair.peer, sizes)
    return Row(
        name=case.name,
        variant=pair.variant,
        peer_name=pair.peer,
        sizes=asdict(sizes) | {"shape": list(sizes.shape)},
        unit=case.unit,
        units=sizes.units,
        ours=nano * min(ours.seconds),
        ours_median=nano * median(ours.seconds),
        peer=nano * min(theirs) if theirs else None,
        peer_median=nano * median(theirs) if theirs else None,
        ratio=ratio,
        peak_bytes=ours.peak,
        peer_peak_bytes=peer_peak,
        bytes_per_pixel=None if ours.peak is None else ours.peak / spread,
        peer_bytes_per_pixel=None if peer_peak is None else peer_peak / spread,
        memory_ratio=memory_ratio,
        difference=pair.difference,
        aim=str(aim) if aim else None,
        met=aim.met(ratio, memory_ratio, pair.difference) if aim and ratio is not None else None,
        threads=threads,
        device=device,
        note=note if peer else "not installed",
        plot=case.plot,
    )
