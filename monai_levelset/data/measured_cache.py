"""A cache of preprocessed items whose size is said before it is filled."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from monai.data import CacheDataset

from monai_levelset.data.errors import DataError
from monai_levelset.data.free_memory import free_memory

__all__ = ["MeasuredCacheDataset"]

logger = logging.getLogger(__name__)


class MeasuredCacheDataset(CacheDataset):
    """MONAI's `CacheDataset`, which first says how much memory it will take, and refuses if there is less.

    The estimate is the number of items times the size of the first one after preprocessing.

    Args:
        data: data-list items.
        transform: see `monai.data.CacheDataset`.
        expand: makes the items that are cached of those in `data`, such as slices of volumes; None: they are
            the same.
        kwargs: further arguments of `monai.data.CacheDataset`.

    Raises:
        DataError: the items would not fit into the memory that is free.

    Example:
        >>> import torch
        >>> items = [{"image": torch.zeros(1, 8, 8)}]
        >>> len(MeasuredCacheDataset(items, None, expand=lambda items: [*items, *items], progress=False))
        2
    """

    def __init__(
        self,
        data: Sequence[Any],
        transform: Callable[[Any], Any] | Sequence[Callable[[Any], Any]] | None = None,
        *,
        expand: Callable[[Sequence[Any]], Sequence[Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data if expand is None else expand(data), transform, **kwargs)

    def _fill_cache(self, indices: Sequence[int] | None = None) -> list[Any]:
        chosen = list(range(self.cache_num)) if indices is None else list(indices)
        if chosen:
            check_fits(len(chosen), size_of(self._load_cache_item(chosen[0])), free_memory())
        filled: list[Any] = super()._fill_cache(chosen)
        return filled


def check_fits(count: int, size: int, free: int | None) -> None:
    """Say how much memory a cache will take, and refuse one that is too large.

    Args:
        count: number of items.
        size: bytes of one.
        free: bytes of memory that are free; None: unknown.

    Raises:
        DataError: there is less memory than the items need.

    Example:
        >>> check_fits(100, 10**9, 17 * 10**9)
        Traceback (most recent call last):
        ...
        monai_levelset.data.errors.DataError: caching 100 items takes about 100 GB of memory, ...
    """
    needed = _in_words(count * size)
    if free is None:
        logger.info("Caching %d items, about %s.", count, needed)
        return
    if count * size > free:
        raise DataError(
            f"caching {count} items takes about {needed} of memory, {_in_words(free)} are free. Cache fewer "
            "with --train#dataset#cache_rate 0.5 and --validate#dataset#cache_rate 0.5 (the others are then "
            "read each time), cut the images smaller, or close other programs."
        )
    logger.info("Caching %d items, about %s of %s free.", count, needed, _in_words(free))


def size_of(value: Any) -> int:
    """Bytes of all arrays and tensors in nested lists and mappings.

    Example:
        >>> import torch
        >>> size_of({"image": torch.zeros(2, 3), "parts": [torch.zeros(5, dtype=torch.uint8)], "id": "a"})
        29
    """
    if isinstance(value, Mapping):
        return sum(size_of(part) for part in value.values())
    if isinstance(value, list | tuple):
        return sum(size_of(part) for part in value)
    return int(getattr(value, "nbytes", 0))


def _in_words(size: int) -> str:
    return f"{size / 1e9:.3g} GB" if size >= 1e8 else f"{size / 1e6:.3g} MB"
