"""2.5D input: which slices become which channels."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from monai_levelset.transforms import CentreSlice, stack_slices


def by_hand(volume: torch.Tensor, slices: int) -> torch.Tensor:
    """One slice, one sequence, one neighbour after the other."""
    batch, channels, _, _, depth = volume.shape
    found = []
    for b in range(batch):
        for k in range(depth):
            neighbours = [min(max(k + o, 0), depth - 1) for o in range(-(slices // 2), slices // 2 + 1)]
            found.append(torch.stack([volume[b, c, :, :, n] for c in range(channels) for n in neighbours]))
    return torch.stack(found)


@given(st.integers(1, 2), st.integers(1, 3), st.integers(1, 6), st.sampled_from([1, 3, 5]), st.integers(0, 9))
def test_stack_equals_slices_picked_by_hand(
    batch: int, channels: int, depth: int, slices: int, seed: int
) -> None:
    volume = torch.rand(batch, channels, 2, 3, depth, generator=torch.Generator().manual_seed(seed))
    stacked = stack_slices(volume, slices)
    assert torch.equal(stacked, by_hand(volume, slices))
    centre = CentreSlice(slices)(stacked)
    assert torch.equal(centre, volume.movedim(-1, 1).flatten(0, 1))


def test_a_part_of_the_slices() -> None:
    volume = torch.rand(1, 2, 2, 2, 7)
    assert torch.equal(stack_slices(volume, first=2, last=5), stack_slices(volume)[2:5])


def test_chosen_sequences() -> None:
    volume = torch.rand(1, 4, 2, 2, 3)
    assert torch.equal(CentreSlice(3, [3, 0])(stack_slices(volume)), volume[0, [3, 0]].movedim(-1, 0))


@pytest.mark.parametrize("slices", [0, 2, -1])
def test_even_stacks_have_no_centre(slices: int) -> None:
    with pytest.raises(ValueError, match="odd"):
        stack_slices(torch.rand(1, 1, 2, 2, 3), slices)
    with pytest.raises(ValueError, match="odd"):
        CentreSlice(slices)


def test_wrong_shapes() -> None:
    with pytest.raises(ValueError, match="must be"):
        stack_slices(torch.rand(1, 1, 2, 2))
    with pytest.raises(ValueError, match="4 channels are no stack of 3 slices"):
        CentreSlice(3)(torch.rand(1, 4, 2, 2))
