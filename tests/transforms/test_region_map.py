"""Connected regions of class maps, and the merging of small ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from monai.data import MetaTensor
from numpy.typing import NDArray
from scipy import ndimage

from monai_levelset.transforms import RegionMap, RegionMapd, connected_regions, merge_small_regions

maps = arrays(np.int64, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3))


def pieces(labels: NDArray[Any]) -> int:
    return sum(ndimage.label(labels == value)[1] for value in np.unique(labels))


def test_diagonal_neighbours_are_two_regions() -> None:
    assert connected_regions(np.eye(2, dtype=bool)).tolist() == [[0, 1], [2, 3]]


@given(maps)
def test_regions_are_the_connected_pieces_of_equal_label(labels: NDArray[Any]) -> None:
    regions = connected_regions(labels)
    assert regions.max() + 1 == len(np.unique(regions)) == pieces(labels)
    for region in np.unique(regions):
        assert len(np.unique(labels[regions == region])) == 1


def test_a_small_region_joins_the_neighbour_of_nearest_colour() -> None:
    row = np.array([0, 0, 0, 0, 1, 2, 2, 2, 2, 2])[None]
    for colour, expected in ((0.4, 5), (0.6, 4)):
        image = np.array([0, 0, 0, 0, colour, 1, 1, 1, 1, 1])[None, None]
        assert (merge_small_regions(row, image, 0.2) == 0).sum() == expected


def test_the_smallest_goes_first_and_brings_its_colour_along() -> None:
    """1 (one pixel) joins 2, whose mean 0.7 * 2/3 + 0.1/3 = 0.5 is then nearer to 0.4 than to 0.8."""
    regions = np.repeat([0, 1, 2, 3], [8, 1, 2, 8])[None]
    image = np.repeat([0.4, 0.1, 0.7, 0.8], [8, 1, 2, 8])[None, None]
    found = merge_small_regions(regions, image, 0.2)
    assert found[0].tolist() == [0] * 8 + [0] + [1] * 10  # 0.1 is nearer to 0.4
    image[0, 0, 8] = 0.56  # nearer to 0.7 than to 0.4: the pair's mean is 0.653, nearer to 0.8 again
    assert merge_small_regions(regions, image, 0.2)[0].tolist() == [0] * 8 + [1] * 11


def test_vector_colours_count_in_all_channels() -> None:
    regions = np.repeat([0, 1, 2], [4, 1, 4])[None]
    image = np.repeat(np.array([[0.0, 0.1, 0.3], [1.0, 0.0, 0.0]]), [4, 1, 4], axis=1)[:, None]
    assert merge_small_regions(regions, image, 0.2)[0].tolist() == [0] * 4 + [1] * 5


@given(maps, st.floats(0, 0.6), st.integers(0, 99))
def test_merging_only_merges_and_leaves_nothing_small(labels: NDArray[Any], share: float, seed: int) -> None:
    image = np.random.default_rng(seed).random((2, *labels.shape))
    before = connected_regions(labels)
    after = merge_small_regions(before, image, share)
    pairs = np.unique(np.stack([before.ravel(), after.ravel()]), axis=1)
    assert pairs.shape[1] == before.max() + 1  # no region is cut
    assert pieces(after) == after.max() + 1  # each is connected, numbered without gaps
    sizes = np.bincount(after.ravel())
    assert len(sizes) == 1 or sizes.min() >= share * labels.size


@given(maps, st.integers(0, 99))
def test_growing_shares_give_a_hierarchy(labels: NDArray[Any], seed: int) -> None:
    image = np.random.default_rng(seed).random((1, *labels.shape))
    fine = merge_small_regions(connected_regions(labels), image, 0.05)
    coarse = merge_small_regions(fine, image, 0.2)
    assert len(np.unique(np.stack([fine.ravel(), coarse.ravel()]), axis=1).T) == fine.max() + 1


def test_volumes_and_one_region() -> None:
    labels = np.zeros((3, 4, 5), int)
    labels[1, 1, 1] = 1
    image = np.random.default_rng(0).random((1, 3, 4, 5))
    assert connected_regions(labels).max() == 1
    assert merge_small_regions(connected_regions(labels), image, 0.1).max() == 0
    assert merge_small_regions(connected_regions(labels * 0), image, 0.9).max() == 0


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_share_out_of_range(share: float) -> None:
    with pytest.raises(ValueError, match="`min_share` is a part of the image"):
        merge_small_regions(np.zeros((2, 2), int), np.zeros((1, 2, 2)), share)


def test_image_on_another_grid() -> None:
    with pytest.raises(ValueError, match="`image` must be"):
        merge_small_regions(np.zeros((2, 2), int), np.zeros((1, 2, 3)), 0.1)


def test_region_map_leaves_out_further_channels_and_keeps_metadata() -> None:
    scores = torch.zeros(3, 4, 6)
    scores[1, :, 3:] = 1
    scores[2] = 9  # a bias field
    item = {"pred": MetaTensor(scores, meta={"filename_or_obj": "a.png"}), "image": torch.rand(3, 4, 6)}
    found = RegionMapd("pred", classes=2, min_share=0.01)(item)["pred"]
    assert found.meta["filename_or_obj"] == "a.png"
    assert found.shape == (1, 4, 6)
    assert found[0, 0].tolist() == [1, 1, 1, 2, 2, 2]
    assert RegionMap(0.01)(scores, item["image"]).unique().tolist() == [1]
