"""Starts: the checkerboard of scikit-image, and the exact best split of the grey values."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_levelset.levelset import checkerboard, intensity_start, phase_labels
from monai_levelset.levelset.starts import _histogram


def within_variance(values, labels):
    return sum(values[labels == k].var(correction=0) * (labels == k).sum() for k in labels.unique())


def test_checkerboard_is_scikit_images():
    from skimage.segmentation import _chan_vese as peer

    ours = checkerboard((20, 23), period=10.0)[0, 0]
    assert np.allclose(ours, peer._cv_checkerboard((20, 23), 5), atol=1e-6)


@pytest.mark.parametrize(("shape", "levels"), [((24, 24), 2), ((24, 24), 3), ((12, 12, 12), 2)])
def test_checkerboards_contain_every_phase(shape, levels):
    phi = checkerboard(shape, levels=levels)
    assert phi.shape == (1, levels, *shape)
    assert phase_labels(phi).unique().numel() == 2**levels


@settings(deadline=None, max_examples=25, derandomize=True)
@given(seed=st.integers(0, 9999), spread=st.floats(0.5, 3))
def test_splits_grey_values_as_well_as_any_thresholds(seed, spread):
    # Grey values on the centres of the bins, so that the histogram loses nothing; all thresholds are tried.
    generator = torch.manual_seed(seed)
    index = (256 * torch.rand(8, generator=generator).double() ** spread).floor()
    index[0], index[1] = 0, 255
    image = ((index + 0.5) / 256).view(1, 1, 2, 4)
    labels = phase_labels(intensity_start(image, levels=2)).flatten()
    levels = index.unique()
    best = min(
        within_variance(index, torch.bucketize(index, torch.tensor(cut), right=True))
        for cut in itertools.combinations_with_replacement(levels.tolist(), 3)
    )
    assert within_variance(index, labels) == pytest.approx(float(best), rel=0.02, abs=6)


def test_two_classes_are_otsus():
    from skimage.filters import threshold_otsu

    generator = torch.manual_seed(0)
    image = torch.randn(1, 1, 64, 64, generator=generator) * 0.1
    image[..., 20:44, 10:50] += 1
    ours, theirs = intensity_start(image * 300 - 1000) > 0, image > threshold_otsu(image.numpy()[0, 0])
    assert (ours != theirs).sum() <= 2  # both have 256 bins, but thresholds elsewhere in the gap
    assert within_variance(image, ours.int()) <= 1.0001 * within_variance(image, theirs.int())


def test_neighbouring_classes_differ_in_one_sign():
    ramp = torch.linspace(0, 1, 64).expand(1, 1, 4, 64)
    labels = phase_labels(intensity_start(ramp, levels=3))[0, 0, 0]
    sequence = torch.unique_consecutive(labels).tolist()
    assert sequence == [0, 1, 3, 2, 6, 7, 5, 4]
    assert (torch.bincount(labels) - 8).abs().max() <= 1  # equal shares of a ramp


def test_uses_the_channel_that_tells_most_and_ignores_noise_after_smoothing():
    generator = torch.manual_seed(0)
    image = 0.3 * torch.rand(2, 2, 32, 32, generator=generator)
    image[0, 0, 8:24, 8:24] += 1
    image[1, 1, 8:24, 8:24] += 1
    inside = intensity_start(image)[:, 0] > 0
    assert inside[:, 8:24, 8:24].all()
    assert inside.sum() == 2 * 16 * 16
    noisy = image[:1, :1] + 0.4 * torch.randn(1, 1, 32, 32, generator=generator)
    wrong = [((intensity_start(noisy, scale=s)[0, 0] > 0) != inside[0]).sum() for s in (0.0, 1.0)]
    assert wrong[1] < 0.5 * wrong[0]


@settings(deadline=None, max_examples=15, derandomize=True)
@given(
    seed=st.integers(0, 999), scale=st.sampled_from([1e-3, 1.0, 1e3]), offset=st.sampled_from([0.0, -1024.0])
)
def test_does_not_depend_on_the_unit_of_the_image(seed, scale, offset):
    image = torch.rand(1, 1, 9, 9, generator=torch.manual_seed(seed), dtype=torch.float64)
    moved = intensity_start(scale * image + offset, levels=2)
    assert torch.equal(phase_labels(moved), phase_labels(intensity_start(image, levels=2)))


def test_counts_more_voxels_than_float32_can():
    air = torch.zeros(1, 1, dtype=torch.long).expand(1, 2**24 + 3)
    assert _histogram(air)[0, :2].tolist() == [2**24 + 3, 0]


def test_constant_images_and_errors():
    assert (intensity_start(torch.full((1, 1, 5, 5), 7.0), levels=2) == 0).all()
    with pytest.raises(ValueError, match="levels"):
        intensity_start(torch.zeros(1, 1, 5, 5), levels=0)
    with pytest.raises(ValueError, match="image"):
        intensity_start(torch.zeros(5, 5))
    with pytest.raises(ValueError, match="period"):
        checkerboard((8, 8), period=1.0)
