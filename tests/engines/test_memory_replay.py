"""Memory replay, pass by pass."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_levelset.engines import MemoryReplay


def sample(name: int, size: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """A mini-batch whose items are name + 0.0, name + 0.1, ..., with labels 100 higher."""
    items = name + torch.arange(size) / 10
    return items.view(-1, 1, 1, 1), items + 100


def items(mini_batches) -> list[float]:
    return sorted(round(float(v), 3) for mini_batch in mini_batches for v in mini_batch[0].flatten())


def expected(*names: int, size: int = 3) -> list[float]:
    return sorted(round(name + i / 10, 3) for name in names for i in range(size))


def test_hand_traced_sequence_of_capacity_three() -> None:
    replay = MemoryReplay(3)
    assert list(replay.push(sample(1))) == []
    assert list(replay.push(sample(2))) == []
    assert len(replay) == 2
    for newest in range(3, 8):  # full: a pass over the last three, then the oldest leaves
        mini_batches = list(replay.push(sample(newest)))
        assert [len(b[0]) for b in mini_batches] == [3, 3, 3]
        assert items(mini_batches) == expected(newest - 2, newest - 1, newest)
        assert len(replay) == 2


@settings(max_examples=30)
@given(st.integers(1, 5), st.lists(st.integers(1, 4), min_size=1, max_size=9))
def test_every_pass_holds_each_item_of_the_buffer_once(capacity: int, sizes: list[int]) -> None:
    replay, used = MemoryReplay(capacity), Counter[int]()
    for name, size in enumerate(sizes):
        mini_batches = list(replay.push(sample(name, size)))
        held = range(max(0, name - capacity + 1), name + 1)
        if name + 1 < capacity:
            assert mini_batches == []
            continue
        assert sorted(len(b[0]) for b in mini_batches) == sorted(sizes[k] for k in held)
        assert items(mini_batches) == sorted(v for k in held for v in expected(k, size=sizes[k]))
        used.update(held)
    whole_life = range(capacity - 1, len(sizes) - capacity + 1)
    assert all(used[name] == capacity for name in whole_life)


def test_images_and_labels_stay_together_and_are_mixed_across_mini_batches() -> None:
    torch.manual_seed(0)
    replay = MemoryReplay(2)
    _ = list(replay.push(sample(1, 8)))
    first, second = replay.push(sample(2, 8))
    for image, label in (first, second):
        torch.testing.assert_close(label, image.flatten() + 100)
    assert 0 < (first[0] >= 2).sum() < 8


def test_capacity_one_repeats_the_sample_itself() -> None:
    replay = MemoryReplay(1)
    for name in range(3):
        mini_batches = list(replay.push(sample(name)))
        assert len(mini_batches) == 1
        assert items(mini_batches) == expected(name)
        assert len(replay) == 0


def test_order_depends_on_torchs_seed_alone() -> None:
    def passes(seed: int) -> list[torch.Tensor]:
        replay = MemoryReplay(2)
        torch.manual_seed(seed)
        return [b[0] for name in range(4) for b in replay.push(sample(name, 6))]

    assert all(torch.equal(a, b) for a, b in zip(passes(0), passes(0), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(passes(0), passes(1), strict=True))


def test_the_buffer_holds_no_graph() -> None:
    weight = torch.ones(3, 1, requires_grad=True)
    replay = MemoryReplay(1)
    assert not next(iter(replay.push((weight * 2,))))[0].requires_grad


@pytest.mark.parametrize("pushed", range(6))
def test_state_continues_identically(pushed: int) -> None:
    replay = MemoryReplay(3)
    for name in range(pushed):
        _ = list(replay.push(sample(name)))
    resumed = MemoryReplay(3)
    resumed.load_state_dict(replay.state_dict())
    for name in range(pushed, pushed + 4):
        torch.manual_seed(name)
        first = list(replay.push(sample(name)))
        torch.manual_seed(name)
        second = list(resumed.push(sample(name)))
        assert len(first) == len(second)
        for a, b in zip(first, second, strict=True):
            assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_state_is_not_changed_by_later_pushes() -> None:
    replay = MemoryReplay(3)
    _ = list(replay.push(sample(1)))
    state = replay.state_dict()
    _ = list(replay.push(sample(2)))
    assert len(state["samples"]) == 1


def test_a_smaller_capacity_drops_the_oldest_of_a_checkpoint() -> None:
    replay = MemoryReplay(5)
    for name in range(4):
        _ = list(replay.push(sample(name)))
    smaller = MemoryReplay(3)
    smaller.load_state_dict(replay.state_dict())
    assert items(smaller.push(sample(4))) == expected(2, 3, 4)


def test_samples_of_another_device_come_along() -> None:
    replay = MemoryReplay(2)
    replay.load_state_dict({"samples": [[torch.zeros(2, 1)]]})
    mini_batches = list(replay.push((torch.ones(2, 1, device="meta"),)))
    assert [b[0].device.type for b in mini_batches] == ["meta", "meta"]


@pytest.mark.parametrize("capacity", [0, -1])
def test_refused_capacity(capacity: int) -> None:
    with pytest.raises(ValueError, match=f"at least 1, got {capacity}"):
        MemoryReplay(capacity)
