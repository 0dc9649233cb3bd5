"""Region competition: histograms and their weights against a loop over voxels, and what it is for."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_levelset.levelset import region_competition
from monai_levelset.transforms import MultiphaseRefinement, RegionCompetitiond


def by_loops(p: torch.Tensor, image: torch.Tensor, weight: float, bins: int, band: int) -> torch.Tensor:
    """The definition, voxel by voxel, of one 2D item `(K, H, W)`, `(H, W)`."""
    classes, height, width = p.shape
    low, high = float(image.min()), float(image.max())
    places = [(i, j) for i in range(height) for j in range(width)]
    bin_of = {s: round((float(image[s]) - low) / (high - low) * (bins - 1)) for s in places}
    foreground = [s for s in places if 1 - float(p[0][s]) > 0.5]
    counts = [[0.0] * bins for _ in range(classes)]
    for s in places:
        near = any(max(abs(s[0] - f[0]), abs(s[1] - f[1])) <= band for f in foreground)
        for c in range(classes):
            if c > 0 or near:
                counts[c][bin_of[s]] += float(p[c][s])
    density = []
    for count in counts:
        padded = [0.0, *count, 0.0]
        smooth = [1 + padded[b] / 4 + padded[b + 1] / 2 + padded[b + 2] / 4 for b in range(bins)]
        density.append([value / sum(smooth) for value in smooth])
    found = torch.empty_like(p)
    for s in places:
        values = [max(float(p[c][s]), 1e-3) * density[c][bin_of[s]] ** weight for c in range(classes)]
        for c in range(classes):
            found[c][s] = values[c] / sum(values)
    return found


@settings(deadline=None, max_examples=25)
@given(
    classes=st.integers(2, 4),
    weight=st.floats(0, 3),
    bins=st.integers(2, 9),
    band=st.integers(0, 4),
    seed=st.integers(0, 999),
)
def test_it_is_what_the_loops_say(classes: int, weight: float, bins: int, band: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    p = (3 * torch.randn(2, classes, 6, 7, generator=generator, dtype=torch.float64)).softmax(1)
    image = 50 * torch.rand(2, 1, 6, 7, generator=generator, dtype=torch.float64) - 20
    found = region_competition(p, image, weight=weight, bins=bins, band=band)
    for k in range(2):
        torch.testing.assert_close(found[k], by_loops(p[k], image[k, 0], weight, bins, band))


def disc() -> tuple[torch.Tensor, torch.Tensor]:
    """Where a bright disc is, and its image with another bright object far away."""
    x = torch.arange(40) - 20
    radius = (x[:, None] ** 2 + x**2).float().sqrt()
    inside = radius < 9
    image = torch.where(inside, 1.0, 0.0)
    image[:4] = 1.0
    return inside, image + 0.05 * torch.randn(40, 40, generator=torch.Generator().manual_seed(0))


def test_a_contour_moves_to_the_image_s_edge() -> None:
    inside, image = disc()
    core = -torch.nn.functional.max_pool2d(-inside[None, None].float(), 3, 1, 1)
    around = torch.nn.functional.max_pool2d(core, 5, 1, 2)
    guess = 0.01 + 0.29 * around + 0.6 * core  # a pixel too small all around, and unsure there
    p = torch.cat([1 - guess, guess], 1)
    found = region_competition(p, image[None, None], weight=2, band=5)[0, 1] > 0.5
    assert int((guess[0, 0] > 0.5).sum()) < 0.8 * int(inside.sum())
    assert int((found[4:] != inside[4:]).sum()) <= 0.02 * int(inside.sum())


def test_unit_and_offset_of_the_image_do_not_matter() -> None:
    p = torch.rand(1, 3, 9, 9, dtype=torch.float64).softmax(1)
    image = torch.rand(1, 1, 9, 9, dtype=torch.float64)
    torch.testing.assert_close(region_competition(p, image), region_competition(p, 1000 * image - 7))


@pytest.mark.parametrize("value", [0.0, 3.5])
def test_a_constant_image_tells_nothing(value: float) -> None:
    p = (2 * torch.randn(1, 2, 30, 30, generator=torch.Generator().manual_seed(0))).softmax(1)
    found = region_competition(p, torch.full((1, 1, 30, 30), value), band=30)
    assert float((found - p).abs().max()) < 0.02


def test_without_foreground_the_background_claims_no_intensity() -> None:
    """An unsure object that is nowhere above 1/2 is found where it is as bright as its likeliest voxels."""
    inside, image = disc()
    guess = torch.where(inside, 0.4, 0.001)[None, None]
    p = torch.cat([1 - guess, guess], 1)
    found = region_competition(p, image[None, None])[0, 1] > 0.5
    assert int((found & inside).sum()) > 0.9 * int(inside.sum())
    assert int((found & ~inside).sum()) == 0


def test_a_volume_has_one_histogram_and_its_band_lies_in_the_slices() -> None:
    p = torch.rand(1, 2, 8, 8, 3, generator=torch.Generator().manual_seed(1))
    p = (8 * (p - 0.6)).softmax(1)
    image = torch.rand(1, 1, 8, 8, 3, generator=torch.Generator().manual_seed(2))
    slices = [region_competition(p[..., k], image[..., k]) for k in range(3)]
    whole = region_competition(p, image)
    assert whole.shape == p.shape
    assert not torch.allclose(whole[..., 0], slices[0])
    flat = region_competition(p[..., :1], image[..., :1])
    torch.testing.assert_close(flat[..., 0], slices[0])


def test_items_do_not_influence_each_other() -> None:
    p, image = torch.rand(3, 2, 6, 6).softmax(1), torch.rand(3, 1, 6, 6)
    whole = region_competition(p, image)
    for k in range(3):
        torch.testing.assert_close(whole[k : k + 1], region_competition(p[k : k + 1], image[k : k + 1]))


@pytest.mark.parametrize("settings", [{"weight": -1.0}, {"bins": 1}, {"band": -1}, {"weight": math.nan}])
def test_numbers_out_of_range_are_named(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must not be negative and `bins` at least 2"):
        region_competition(torch.ones(1, 2, 4, 4) / 2, torch.zeros(1, 1, 4, 4), **settings)  # type: ignore[arg-type]


def test_an_image_of_another_grid_is_named() -> None:
    with pytest.raises(ValueError, match="one channel on the same grid"):
        region_competition(torch.ones(1, 2, 4, 4) / 2, torch.zeros(1, 1, 4, 5))


def test_the_dictionary_form_and_the_refinement_use_it() -> None:
    inside, image = disc()
    guess = torch.where(inside, 0.6, 0.45)[None]
    p = torch.cat([1 - guess, guess])
    item = RegionCompetitiond("pred", weight=2.0, band=5)({"pred": p, "image": image[None]})
    expected = region_competition(p[None], image[None, None], weight=2.0, band=5)
    torch.testing.assert_close(item["pred"], expected[0])
    refine = MultiphaseRefinement([[1]], intensity_weight=2.0, band=5, steps=0)
    plain = MultiphaseRefinement([[1]], steps=0)
    assert torch.equal(refine(p[None], image[None, None]), plain(expected))
    with pytest.raises(ValueError, match="pass the image too"):
        refine(p[None])
