"""Mini-batches with a fixed number of labelled items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

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

    A teacher that has learned nothing yet has no labels to give: `labeled_only` lets a training begin with
    the labels of persons, and then the batches are full of them.

    Args:
        labeled: 1 or 0 per item of the data set.
        labeled_per_batch: labelled items in a batch.
        unlabeled_per_batch: unlabelled items in a batch; 0 leaves them out. Without unlabelled items the
            batches hold labelled ones only.
        labeled_only: so many batches of a training, its first ones, have labelled items in the places of the
            unlabelled ones. The first epoch is number 1, as Ignite counts.
        seed: of the shuffling.
        rank: of this process.
        world_size: number of processes.

    Raises:
        ValueError: there is nothing to draw from, nothing labelled for `labeled_only`, or a batch does not
            hold a multiple of `world_size` items of each kind.

    Example:
        >>> sampler = TwoStreamBatchSampler([1, 0, 0, 0, 0], 1, 2)
        >>> [(sum(i == 0 for i in batch), len(batch)) for batch in sampler]
        [(1, 3), (1, 3)]
        >>> sampler = TwoStreamBatchSampler([1, 0, 0, 0, 0], 1, 2, labeled_only=1)
        >>> [(sum(i == 0 for i in batch), len(batch)) for batch in sampler]
        [(3, 3), (1, 3)]
    """

    def __init__(
        self,
        labeled: Sequence[int],
        labeled_per_batch: int,
        unlabeled_per_batch: int = 0,
        *,
        labeled_only: int = 0,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.items = [
            [i for i, flag in enumerate(labeled) if flag],
            [i for i, flag in enumerate(labeled) if not flag],
        ]
        known, unknown = map(len, self.items)
        self.counts = [labeled_per_batch if known else 0, unlabeled_per_batch if unknown else 0]
        if not any(self.counts):
            raise ValueError(
                f"{known} labelled and {unknown} unlabelled items leave nothing to draw batches of "
                f"{labeled_per_batch} and {unlabeled_per_batch} from: label some, or change these."
            )
        if labeled_only and not known:
            raise ValueError(
                f"A training cannot begin with {labeled_only} batches of labelled items: none is labelled."
            )
        if any(count % world_size for count in self.counts):
            raise ValueError(
                f"Batches of {labeled_per_batch} labelled and {unlabeled_per_batch} unlabelled items cannot "
                f"be shared among {world_size} processes: use multiples of {world_size}."
            )
        self.labeled_only = labeled_only
        self.seed, self.rank, self.world_size, self.epoch = seed, rank, world_size, 1

    def set_epoch(self, epoch: int) -> None:
        """Which epoch's order to give; one epoch follows the other if this is not called."""
        self.epoch = epoch

    def __len__(self) -> int:
        return max(
            -(-len(items) // count) for items, count in zip(self.items, self.counts, strict=True) if count
        )

    def __iter__(self) -> Iterator[list[int]]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        streams = [self._shuffled(items, epoch, k) for k, items in enumerate(self.items)]
        for batch in range((epoch - 1) * len(self), epoch * len(self)):
            counts = [sum(self.counts), 0] if batch < self.labeled_only else self.counts
            drawn = [list(islice(stream, count)) for stream, count in zip(streams, counts, strict=True)]
            yield [i for part in drawn for i in part[self.rank :: self.world_size]]

    def _shuffled(self, items: Sequence[int], epoch: int, stream: int) -> Iterator[int]:
        """All items in turn, again and again, each turn shuffled."""
        random = np.random.default_rng([self.seed, epoch, stream])
        while True:
            yield from (items[i] for i in random.permutation(len(items)))
