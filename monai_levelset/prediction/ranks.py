"""The processes that `torchrun` starts, on one machine or many, sharing one list of cases."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

__all__ = ["Ranks"]

_T = TypeVar("_T")
_PATIENCE = timedelta(days=7)


@dataclass(frozen=True)
class Ranks:
    """This process among all: `rank` of `world_size`, and `local_rank` on its machine.

    Example:
        >>> Ranks(rank=1, world_size=3, local_rank=1).share(["a", "b", "c", "d", "e"])
        ['b', 'e']
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0

    @classmethod
    def from_environment(cls) -> Ranks:
        """As `torchrun` says; one process where it says nothing."""
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
        return cls(*(int(os.environ.get(name, default)) for name, default in zip(names, "010", strict=True)))

    @property
    def first(self) -> bool:
        """Whether this process speaks for all."""
        return self.rank == 0

    @property
    def device(self) -> str | None:
        """A GPU of its own for each process of a machine; None where that is for the bundle to choose."""
        count = torch.cuda.device_count()
        return f"cuda:{self.local_rank % count}" if self.world_size > 1 and count else None

    def share(self, items: Sequence[_T]) -> list[_T]:
        """The items that this process takes: every `world_size`-th."""
        return list(items[self.rank :: self.world_size])

    @contextmanager
    def together(self) -> Iterator[None]:
        """Leave the block when all processes have done with it."""
        if self.world_size == 1:
            yield
            return
        dist.init_process_group("gloo", timeout=_PATIENCE)
        try:
            yield
            dist.barrier()
        finally:
            dist.destroy_process_group()
