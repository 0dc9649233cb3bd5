"""Extreme points of masks, and the clicks simulated from them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from monai.data import CacheDataset, DataLoader, MetaTensor
from monai.transforms import Compose, get_extreme_points
from torch import Tensor

from monai_levelset.transforms.extreme_points import ExtremePointsd, RandExtremePointsd, extreme_points

shapes = st.tuples(st.integers(1, 12), st.integers(1, 12))
masks = (
    shapes.flatmap(lambda shape: arrays.arrays(np.uint8, shape, elements=st.integers(0, 1)))
    .filter(lambda mask: mask.any())
    .map(torch.from_numpy)
)
seeds = st.integers(0, 2**31)


def disc(shape: tuple[int, int], centre: tuple[float, float], radius: float) -> Tensor:
    rows, columns = (torch.arange(float(n)) for n in shape)
    return (rows[:, None] - centre[0]).square() + (columns - centre[1]).square() <= radius**2


@given(masks)
def test_points_lie_on_the_mask_and_span_its_box(mask: Tensor) -> None:
    points = extreme_points(mask)
    assert all(mask[int(row), int(column)] for row, column in points)
    where = mask.nonzero().float()
    assert points[0, 0] == where[:, 0].min()
    assert points[1, 0] == where[:, 0].max()
    assert points[2, 1] == where[:, 1].min()
    assert points[3, 1] == where[:, 1].max()


@given(masks)
def test_as_monai_where_a_row_or_column_holds_one_pixel(mask: Tensor) -> None:
    points, theirs = extreme_points(mask), get_extreme_points(mask, np.random.RandomState(0))
    for k, (ours, other) in enumerate(zip(points, theirs, strict=True)):
        line = mask.select(k // 2, int(ours[k // 2]))
        assert ours[k // 2] == other[k // 2]
        if line.sum() == 1:
            assert ours.tolist() == list(other)


@given(masks, st.integers(0, 5), st.integers(0, 5))
def test_points_move_with_the_mask(mask: Tensor, down: int, right: int) -> None:
    moved = torch.nn.functional.pad(mask, (right, 2, down, 3))
    assert torch.equal(extreme_points(moved), extreme_points(mask) + torch.tensor([down, right]))


@given(masks)
def test_points_turn_with_the_mask(mask: Tensor) -> None:
    points = extreme_points(mask)
    assert torch.equal(extreme_points(mask.T), points[[2, 3, 0, 1]].flip(1))
    flipped = extreme_points(mask.flip(0))
    assert torch.equal(flipped[[1, 0], 0], len(mask) - 1 - points[:2, 0])
    assert torch.equal(flipped[:2, 1], points[[1, 0], 1])
    assert torch.equal(flipped[2:, 1], points[2:, 1])


def test_points_of_a_disc_flip_exactly() -> None:
    mask = disc((20, 30), (8, 11), 5)
    expected = [[3.0, 11.0], [13.0, 11.0], [8.0, 6.0], [8.0, 16.0]]
    assert extreme_points(mask).tolist() == expected
    assert extreme_points(mask.flip(1)).tolist() == [[3, 18], [13, 18], [8, 13], [8, 23]]


@given(masks, st.floats(0.1, 8), seeds)
def test_jitter_stays_near_the_object_and_in_the_image(mask: Tensor, jitter: float, seed: int) -> None:
    points = extreme_points(mask, jitter=jitter, generator=torch.Generator().manual_seed(seed))
    assert (points >= 0).all()
    assert (points <= torch.tensor(mask.shape) - 1).all()
    distance = (points[:, None] - mask.nonzero()).abs().amax(2)
    assert distance.amin(1).max() <= jitter + 1e-4


def test_jitter_is_uniform_in_every_direction() -> None:
    mask = torch.zeros(41, 41)
    mask[20, 20] = 1
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([extreme_points(mask, jitter=5, generator=generator) for _ in range(1000)]) - 20
    assert draws.abs().max() <= 5
    assert draws.mean((0, 1)).abs().max() < 0.15
    torch.testing.assert_close(draws.std((0, 1)), torch.full((2,), 5 / math.sqrt(3)), atol=0.1, rtol=0)


def test_jitter_draws_among_the_pixels_of_the_extreme_row() -> None:
    mask = torch.zeros(30, 30)
    mask[10:20, 5:25] = 1
    generator = torch.Generator().manual_seed(0)
    tops = torch.stack([extreme_points(mask, jitter=0.1, generator=generator)[0] for _ in range(200)])
    assert len(tops[:, 1].round().unique()) == 20


def test_the_same_seed_gives_the_same_points() -> None:
    mask = disc((30, 30), (15, 15), 9)
    first, again = (
        extreme_points(mask, jitter=5, generator=torch.Generator().manual_seed(3)) for _ in range(2)
    )
    assert torch.equal(first, again)
    torch.manual_seed(3)
    assert torch.equal(extreme_points(mask, jitter=5), first)


def test_a_mask_without_jitter_needs_no_random_numbers() -> None:
    state = torch.get_rng_state()
    extreme_points(np.ones((4, 5)))
    assert torch.equal(torch.get_rng_state(), state)


def test_refused_masks_and_jitter() -> None:
    with pytest.raises(ValueError, match="empty"):
        extreme_points(torch.zeros(4, 4))
    with pytest.raises(ValueError, match=r"\(H, W\), got shape \(1, 4, 4\)"):
        extreme_points(torch.ones(1, 4, 4))
    for jitter in (-1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="0 or more"):
            extreme_points(torch.ones(4, 4), jitter=jitter)
        with pytest.raises(ValueError, match="0 or more"):
            RandExtremePointsd(jitter=jitter)


def test_points_of_every_class() -> None:
    label = disc((24, 24), (12, 12), 8).long()
    label[disc((24, 24), (12, 12), 3)] = 2
    data = {"label": MetaTensor(label[None]), "image": 0}
    disc_points = ExtremePointsd(values=(1, 2))(data)["points"]
    cup = ExtremePointsd(values=2, points_key="cup")(data)
    assert torch.equal(disc_points, extreme_points(label))
    assert torch.equal(cup["cup"], extreme_points(label == 2))
    assert torch.equal(ExtremePointsd()(data)["points"], disc_points)
    assert type(disc_points) is Tensor
    assert set(data) == {"label", "image"}


def test_points_of_a_channel() -> None:
    label = torch.stack([torch.zeros(9, 9), disc((9, 9), (4, 4), 2).float()])
    assert ExtremePointsd(channel=0)({"label": label})["points"].isnan().all()
    assert torch.equal(ExtremePointsd(channel=1)({"label": label})["points"], extreme_points(label[1]))


def test_a_missing_object_has_nan_and_collates() -> None:
    labels = [torch.zeros(1, 8, 8), torch.ones(1, 8, 8)]
    items = [ExtremePointsd()({"label": label}) for label in labels]
    batch = next(iter(DataLoader(items, batch_size=2, num_workers=0)))["points"]
    assert batch.shape == (2, 4, 2)
    assert batch.dtype == torch.float32
    assert batch[0].isnan().all()
    assert batch[1].isfinite().all()


def test_volumes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'label' must be \(C, H, W\)"):
        ExtremePointsd()({"label": torch.ones(1, 4, 4, 4)})


def test_a_cached_dataset_draws_anew() -> None:
    items = [{"label": disc((30, 30), (15, 15), 9)[None]}]
    cached = CacheDataset(items, Compose([RandExtremePointsd(jitter=5)]), num_workers=0, progress=False)
    assert not torch.equal(cached[0]["points"], cached[0]["points"])
