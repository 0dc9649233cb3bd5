"""How much memory a training's cache of preprocessed cases needs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from monai_levelset.data.datalist import Item
from monai_levelset.data.free_memory import free_memory
from monai_levelset.data.preparation.examine import Result
from monai_levelset.doctor.case_files import case_key
from monai_levelset.doctor.report import Finding, readable_size

__all__ = ["cache_bytes", "cache_finding"]

_FLOAT = 4
_MOST = 0.8  # of the free memory: the network and the batches need some, too
_CACHED = ("training", "validation")


def cache_bytes(results: Sequence[Result]) -> int:
    """Bytes of all images and labels as MONAI's `CacheDataset` keeps them: float32, at their full size.

    Args:
        results: files and facts of the cases; those that could not be read count as nothing.

    Returns:
        Bytes; a label counts for unlabelled cases, too, since it is filled with zeros.

    Example:
        >>> cache_bytes([Result("a", "", facts={"shape": [10, 20], "intensity": [{}]})])
        1600
    """
    facts = [result.facts for result in results if "shape" in result.facts]
    return sum(math.prod(fact["shape"]) * (max(len(fact["intensity"]), 1) + 1) * _FLOAT for fact in facts)


def cache_finding(
    section: str,
    sections: Mapping[str, Sequence[Item]],
    results: Mapping[str, Result],
    free: int | None = None,
) -> list[Finding]:
    """Whether the cache of training and validation fits into memory.

    Args:
        section: of the finding.
        sections: name -> items.
        results: what was found per case.
        free: bytes of memory that are free; default: those of this machine.

    Returns:
        One finding, or none without cases to train on.
    """
    items = [item for name in _CACHED for item in sections.get(name, [])]
    if not items:
        return []
    needed = cache_bytes([results[case_key(item)] for item in items])
    free = free_memory() if free is None else free
    known = "unknown how much is free" if free is None else f"{readable_size(free)} free"
    message = f"{readable_size(needed)} of memory at the images' full size (a crop needs less), {known}"
    if free is not None and needed > _MOST * free:
        fix = "lower --train#dataset#cache_rate, or crop by --field_size, where the bundle has them"
        return [Finding(section, "cache", "warning", message, fix)]
    return [Finding(section, "cache", "ok", message)]
