"""Mini-batches with a fixed number of labelled items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

__all__ = ["TwoStreamBatchSampler"]


class TwoStreamBatchSampler(Sampler[list[int]]):
    """Batches of so many labelled and so many unlabelled items, each drawn from a shuffled stream of its own.

    With few labels, plain shuffling gives most updates no label at all. Here a semi-supervised training sees
    as many labelled items per update as a supervised one, which makes the two comparable. An epoch goes
    through the longer stream once; the shorter one starts again, reshuffled, as often as needed. The order
    depends on the seed and the epoch alone, so a resumed run goes on as it would have; in a distributed run
    every rank takes its share of each batch.

    Args:
        labeled: 1 or 0 per item of the data set.
        labeled_per_batch: labelled items in a batch.
        unlabeled_per_batch: unlabelled items in a batch; 0 leaves them out. Without unlabelled items the
            batches hold labelled ones only.
        seed: of the shuffling.
        rank: of this process.
        world_size: number of processes.

    Raises:
        ValueError: there is nothing to draw from, or a batch does not hold a multiple of `world_size` items
            of each kind.

    Example:
        >>> sampler = TwoStreamBatchSampler([1, 0, 0, 0, 0], 1, 2)
        >>> [(sum(i == 0 for i in batch), len(batch)) for batch in sampler]
        [(1, 3), (1, 3)]
    """

    def __init__(
        self,
        labeled: Sequence[int],
        labeled_per_batch: int,
        unlabeled_per_batch: int = 0,
        *,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        kinds = (
            ([i for i, flag in enumerate(labeled) if flag], labeled_per_batch),
            ([i for i, flag in enumerate(labeled) if not flag], unlabeled_per_batch),
        )
        self.streams = [(items, count) for items, count in kinds if items and count > 0]
        if not self.streams:
            raise ValueError(
                f"{len(kinds[0][0])} labelled and {len(kinds[1][0])} unlabelled items leave nothing to draw "
                f"batches of {labeled_per_batch} and {unlabeled_per_batch} from: label some, or change these."
            )
        if any(count % world_size for _, count in self.streams):
            raise ValueError(
                f"Batches of {labeled_per_batch} labelled and {unlabeled_per_batch} unlabelled items cannot "
                f"be shared among {world_size} processes: use multiples of {world_size}."
            )
        self.seed, self.rank, self.world_size, self.epoch = seed, rank, world_size, 0

    def set_epoch(self, epoch: int) -> None:
        """Which epoch's order to give; one epoch follows the other if this is not called."""
        self.epoch = epoch

    def __len__(self) -> int:
        return max(-(-len(items) // count) for items, count in self.streams)

    def __iter__(self) -> Iterator[list[int]]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        parts = [
            self._order(items, count * len(self), epoch, k) for k, (items, count) in enumerate(self.streams)
        ]
        for batch in range(len(self)):
            yield [
                part[i]
                for part, (_, count) in zip(parts, self.streams, strict=True)
                for i in range(batch * count + self.rank, (batch + 1) * count, self.world_size)
            ]

    def _order(self, items: Sequence[int], count: int, epoch: int, stream: int) -> list[int]:
        """So many items, all of them in turn and each turn shuffled."""
        random = np.random.default_rng([self.seed, epoch, stream])
        turns = -(-count // len(items))
        return [items[i] for _ in range(turns) for i in random.permutation(len(items))][:count]
