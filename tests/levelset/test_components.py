"""Largest and touching components: on both ways against SciPy's labels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from monai_levelset.levelset.components import (
    largest_components,
    spread_components,
    spread_touching,
    touching_components,
)

WAYS = pytest.mark.parametrize("way", [largest_components, spread_components])


@WAYS
@settings(deadline=None, max_examples=40)
@given(
    shape=st.lists(st.integers(1, 9), min_size=2, max_size=3),
    density=st.floats(0, 1),
    seed=st.integers(0, 999),
)
def test_each_item_keeps_one_of_its_largest_components(
    way: Callable[[torch.Tensor], torch.Tensor], shape: list[int], density: float, seed: int
) -> None:
    mask = torch.rand(3, 1, *shape, generator=torch.Generator().manual_seed(seed)) < density
    found = way(mask)
    assert found.dtype is torch.bool
    for item, kept in zip(mask[:, 0].numpy(), found[:, 0].numpy(), strict=True):
        parts, count = ndimage.label(item)
        sizes = np.bincount(parts.ravel(), minlength=2)[1:]
        assert kept.sum() == sizes.max()
        if count:
            number = parts[kept][0]
            assert np.array_equal(parts == number, kept)


@WAYS
def test_a_ring_is_one_component(way: Callable[[torch.Tensor], torch.Tensor]) -> None:
    x = torch.arange(60) - 30
    radius = (x[:, None] ** 2 + x**2).float().sqrt()
    ring = (radius > 20) & (radius < 24)
    mask = (ring | (radius < 6))[None, None]
    assert torch.equal(way(mask)[0, 0], ring)


def test_a_wrong_shape_is_named() -> None:
    with pytest.raises(ValueError, match="mask"):
        largest_components(torch.ones(3, 3))


def spread_over_faces(mask: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    near = [ndimage.binary_dilation(item) for item in other[:, 0].numpy()]
    return spread_touching(mask, torch.from_numpy(np.stack(near))[:, None])


@pytest.mark.parametrize("way", [touching_components, spread_over_faces])
@settings(deadline=None, max_examples=40)
@given(
    shape=st.lists(st.integers(1, 9), min_size=2, max_size=3),
    densities=st.tuples(st.floats(0, 1), st.sampled_from([0.0, 0.02, 0.3])),
    seed=st.integers(0, 999),
)
def test_each_item_keeps_the_components_that_touch(
    way: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    shape: list[int],
    densities: tuple[float, float],
    seed: int,
) -> None:
    draw = torch.Generator().manual_seed(seed)
    mask, other = (torch.rand(3, 1, *shape, generator=draw) < density for density in densities)
    found = way(mask, other)
    assert found.dtype is torch.bool
    for item, beside, kept in zip(mask[:, 0].numpy(), other[:, 0].numpy(), found[:, 0].numpy(), strict=True):
        parts, count = ndimage.label(item)
        for number in range(1, count + 1):
            part = parts == number
            touches = (ndimage.binary_dilation(part) & beside).any() or not beside.any()
            assert kept[part].all() == kept[part].any() == touches
        assert not kept[~item].any()


def test_a_corner_is_no_face() -> None:
    mask, other = torch.zeros(2, 1, 1, 4, 4)
    mask[..., 1, 1], other[..., 2, 2] = 1, 1
    assert not touching_components(mask, other).any()
    other[..., 1, 2] = 1
    assert touching_components(mask, other).sum() == 1


def test_masks_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match="`other` must be"):
        touching_components(torch.ones(1, 1, 3, 3), torch.ones(3, 3))
    with pytest.raises(ValueError, match="same shape"):
        touching_components(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 3, 4))
