"""Mini-batches of labelled and unlabelled items."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_levelset.data import TwoStreamBatchSampler


@given(st.integers(1, 7), st.integers(0, 20), st.integers(1, 4), st.integers(0, 4), st.integers(0, 3))
def test_every_batch_has_its_numbers_and_an_epoch_sees_everything(
    labeled: int, unlabeled: int, a: int, b: int, seed: int
) -> None:
    sampler = TwoStreamBatchSampler([1] * labeled + [0] * unlabeled, a, b, seed=seed)
    batches = list(sampler)
    assert len(batches) == len(sampler) == max(-(-labeled // a), -(-unlabeled // b) if b else 0)
    for batch in batches:
        known = sum(i < labeled for i in batch)
        assert (known, len(batch) - known) == (a, b if unlabeled else 0)
    counts = Counter(i for batch in batches for i in batch)
    assert set(counts) == set(range(labeled + (unlabeled if b else 0)))
    for stream in (range(labeled), range(labeled, labeled + unlabeled)):
        times = [counts[i] for i in stream if i in counts]
        assert not times or max(times) - min(times) <= 1


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    flags = [1, 1, 1] + [0] * 9
    first, second = (TwoStreamBatchSampler(flags, 1, 3, seed=5) for _ in range(2))
    epochs = [list(first) for _ in range(3)]
    second.set_epoch(2)
    assert list(second) == epochs[2]
    assert epochs[0] != epochs[1]
    assert list(TwoStreamBatchSampler(flags, 1, 3, seed=6)) != epochs[0]


def test_ranks_share_a_batch() -> None:
    flags = [1] * 4 + [0] * 8
    whole = list(TwoStreamBatchSampler(flags, 2, 4))
    parts = [list(TwoStreamBatchSampler(flags, 2, 4, rank=r, world_size=2)) for r in range(2)]
    for batch, one, two in zip(whole, *parts, strict=True):
        assert sorted(batch) == sorted(one + two)
        assert [sum(i < 4 for i in part) for part in (one, two)] == [1, 1]


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match="0 labelled and 2 unlabelled items leave nothing"):
        TwoStreamBatchSampler([0, 0], 2, 0)
    with pytest.raises(ValueError, match="multiples of 2"):
        TwoStreamBatchSampler([1, 0], 1, 2, world_size=2)
