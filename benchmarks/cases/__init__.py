"""All benchmarks: a new one is a `Case` in the `CASES` of a module, a new module a line of `MODULES`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from ..case import Case

MODULES = (
    "mumford_shah",
    "level_set",
    "evolution",
    "deep_level_set",
    "distance",
    "confidence",
    "training",
    "bandwidth",
)


def all_cases() -> list[Case]:
    """Every benchmark; fails if a part of the package that is measured does not exist."""
    return [case for name in MODULES for case in import_module(f"{__name__}.{name}").CASES]


def select(only: Sequence[str] | None, device: str, everything: bool = False) -> list[Case]:
    """Benchmarks to run.

    Args:
        only: parts of names; None for all.
        device: `cpu` or `cuda`.
        everything: also those that are not worth running on the device.

    Returns:
        The benchmarks, in the order of the modules.
    """
    chosen = [case for case in all_cases() if everything or device in case.devices]
    return [case for case in chosen if only is None or any(part in case.name for part in only)]
