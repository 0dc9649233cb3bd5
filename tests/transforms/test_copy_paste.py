"""Copy-paste: what is exchanged, with whom, and where."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_levelset.transforms import CopyPaste


def numbered(count: int, height: int = 12, width: int = 15) -> torch.Tensor:
    """Images filled with their own number."""
    return torch.arange(count).float().view(-1, 1, 1, 1).expand(count, 1, height, width).clone()


@settings(deadline=None, max_examples=40)
@given(
    count=st.integers(1, 7),
    height=st.integers(3, 20),
    width=st.integers(3, 20),
    fraction=st.floats(0.05, 1),
    seed=st.integers(0, 999),
)
def test_partners_exchange_the_same_rectangle(
    count: int, height: int, width: int, fraction: float, seed: int
) -> None:
    torch.manual_seed(seed)
    (mixed,) = CopyPaste(fraction)(numbered(count, height, width))
    half = count // 2
    sides = max(1, round(fraction * height)), max(1, round(fraction * width))
    for k in range(half):
        taken = mixed[k, 0] == k + half
        assert torch.equal(mixed[k + half, 0] == k, taken)
        assert torch.equal(mixed[k, 0] == k, ~taken)
        rows, columns = taken.nonzero(as_tuple=True)
        box = rows.max() - rows.min() + 1, columns.max() - columns.min() + 1
        assert (int(box[0]), int(box[1])) == sides
        assert int(taken.sum()) == sides[0] * sides[1]
    for k in range(2 * half, count):
        assert bool((mixed[k] == k).all())


def test_tensors_of_one_call_are_exchanged_alike() -> None:
    images = torch.rand(4, 1, 9, 9)
    others = torch.cat([images, 2 * images], 1)
    mixed, targets = CopyPaste()(images, others)
    assert torch.equal(targets[:, :1], mixed)
    assert torch.equal(targets[:, 1:], 2 * mixed)
    assert not torch.equal(mixed, images)


def test_every_place_is_reached_and_seeds_repeat() -> None:
    mix = CopyPaste(0.5)
    torch.manual_seed(0)
    masks = [(mix(numbered(2))[0][0, 0] == 1).float() for _ in range(300)]
    assert float(torch.stack(masks).mean(0).min()) > 0
    torch.manual_seed(0)
    assert torch.equal((mix(numbered(2))[0][0, 0] == 1).float(), masks[0])


@pytest.mark.parametrize("fraction", [0, -0.1, 1.1, float("nan")])
def test_a_fraction_out_of_range_is_named(fraction: float) -> None:
    with pytest.raises(ValueError, match=r"in \(0, 1\]"):
        CopyPaste(fraction)
