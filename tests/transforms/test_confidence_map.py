"""Maps of four extreme points: loops as the oracle, closed-form values, symmetries, degenerate clicks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_levelset.transforms import confidence_map, extreme_point_heatmap

VARIANTS = ["zheng", "khan"]


def distance_to_segment(x, a, b):
    """In units of half the segment's length, float64."""
    x, a, b = (np.asarray(p, dtype=np.float64) for p in (x, a, b))
    along = np.clip(np.dot(x - a, b - a) / np.dot(b - a, b - a), 0, 1)
    return np.linalg.norm(x - a - along * (b - a)) / (np.linalg.norm(b - a) / 2)


def oracle(points, shape, variant, spacing=(1.0, 1.0)):
    """Pixel by pixel, for one item whose segments meet."""
    h = np.asarray(spacing)
    top, bottom, left, right = np.asarray(points, dtype=np.float64) * h
    out = np.empty(shape)
    for at in np.ndindex(*shape):
        d1 = distance_to_segment(at * h, top, bottom)
        d2 = distance_to_segment(at * h, left, right)
        fall = min(d1, d2) + math.hypot(d1, d2) if variant == "zheng" else min(d1, d2) * (d1 + d2)
        out[at] = 1 / (1 + fall)
    return out


def heat_oracle(points, shape, fwhm=10.0):
    out = np.zeros(shape)
    for at in np.ndindex(*shape):
        nearest = min(math.dist(at, p) for p in points)
        out[at] = math.exp(-4 * math.log(2) * nearest**2 / fwhm**2)
    return out


BATCH = [
    [[2.0, 8.0], [14.0, 9.0], [7.0, 1.0], [9.0, 16.0]],
    [[1.5, 4.0], [12.25, 13.0], [10.0, 2.5], [4.0, 15.0]],
    [[3.0, 3.0], [15.0, 5.0], [3.0, 3.0], [8.0, 12.0]],  # the segments share an end
    [[-6.0, 10.0], [25.0, 6.0], [8.0, -9.0], [5.0, 30.0]],  # all points outside the image
]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("spacing", [None, (0.7, 2.5)])
def test_equals_the_loops(variant, spacing):
    maps = confidence_map(torch.tensor(BATCH), (17, 19), variant=variant, spacing=spacing)
    assert maps.shape == (4, 1, 17, 19)
    assert maps.dtype == torch.float32
    for points, ours in zip(BATCH, maps[:, 0].numpy(), strict=True):
        assert np.abs(ours - oracle(points, (17, 19), variant, spacing or (1.0, 1.0))).max() < 1e-6


@pytest.mark.parametrize("fwhm", [10.0, 3.0])
def test_heatmap_equals_the_loops(fwhm):
    maps = extreme_point_heatmap(torch.tensor(BATCH), (17, 19), fwhm=fwhm)
    assert maps.shape == (4, 1, 17, 19)
    for points, ours in zip(BATCH, maps[:, 0].numpy(), strict=True):
        assert np.abs(ours - heat_oracle(points, (17, 19), fwhm)).max() < 1e-6


def test_closed_form_values_on_a_diamond():
    # Half diagonals of 8, centre (10, 12): both sigmas are 8.
    diamond = torch.tensor([[[2, 12], [18, 12], [10, 4], [10, 20]]])
    zheng = confidence_map(diamond, (21, 25))[0, 0]
    khan = confidence_map(diamond, (21, 25), variant="khan")[0, 0]
    assert zheng[10, 12].item() == pytest.approx(1)
    for tip in ((2, 12), (18, 12), (10, 4), (10, 20)):
        assert zheng[tip].item() == pytest.approx(1 / 2)
        assert khan[tip].item() == pytest.approx(1)
    # (6, 16): 4 from each segment, d = 1/2 twice.
    assert zheng[6, 16].item() == pytest.approx(1 / (1 + 0.5 + math.sqrt(0.5)))
    assert khan[6, 16].item() == pytest.approx(1 / (1 + 0.5 * 1))
    # (10, 24): 4 beyond the tip of the second, 12 from the first: d = 3/2 and 1/2.
    assert zheng[10, 24].item() == pytest.approx(1 / (1 + 0.5 + math.sqrt(2.5)))
    assert khan[10, 24].item() == pytest.approx(1 / (1 + 0.5 * 2))


def test_closed_form_values_of_the_heatmap():
    points = torch.tensor([[[0, 20], [40, 20], [20, 0], [20, 40]]])
    heat = extreme_point_heatmap(points, (41, 41))[0, 0]
    assert heat[0, 20].item() == pytest.approx(1)
    assert heat[5, 20].item() == pytest.approx(1 / 2)
    assert heat[3, 24].item() == pytest.approx(1 / 2)
    assert heat[10, 20].item() == pytest.approx(1 / 16)
    assert heat[20, 20].item() == pytest.approx(2**-16)


DEGENERATE = {
    "apart": [[2, 3], [8, 3], [10, 8], [12, 16]],
    "nearly touching": [[2, 8], [6.9, 8], [7, 1], [7, 16]],
    "parallel": [[2, 3], [8, 3], [2, 6], [8, 6]],
    "on one line": [[2, 2], [9, 9], [4, 4], [12, 12]],
    "no length": [[5, 5], [5, 5], [3, 2], [7, 9]],
    "no length on the other": [[2, 8], [12, 8], [8, 8], [8, 8]],
    "one point": [[5, 5]] * 4,
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_items_without_a_crossing_fall_back_to_the_heatmap_each_for_itself(variant):
    bad = [[[float(x) for x in p] for p in points] for points in DEGENERATE.values()]
    mixed = torch.tensor([BATCH[0], *bad, BATCH[1]])
    maps = confidence_map(mixed, (17, 19), variant=variant)
    assert torch.isfinite(maps).all()
    assert torch.equal(maps[1:-1], extreme_point_heatmap(mixed[1:-1], (17, 19)))
    for i in (0, -1):
        alone = confidence_map(mixed[i][None], (17, 19), variant=variant)
        assert torch.allclose(maps[i], alone[0], atol=1e-7)
        assert not torch.allclose(maps[i], extreme_point_heatmap(mixed[i][None], (17, 19))[0], atol=1e-2)


def test_touching_segments_meet():
    touching = torch.tensor([[[2.0, 8.0], [7.0, 8.0], [7.0, 1.0], [7.0, 16.0]]])
    assert confidence_map(touching, (17, 19))[0, 0, 7, 8].item() == pytest.approx(1)


coordinate = st.integers(-40, 160).map(lambda i: i / 8)  # exact in float32
four_points = st.lists(st.tuples(coordinate, coordinate), min_size=4, max_size=4)


def crossing(points):
    """Whether the segments meet in one point, in exact arithmetic."""
    (a, b, c, d) = points

    def side(p, q, r):
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    first, second = side(a, b, c), side(a, b, d)
    return first * second <= 0 and side(c, d, a) * side(c, d, b) <= 0 and first != second


@settings(max_examples=100)
@given(four_points, st.sampled_from(VARIANTS))
def test_any_points(points, variant):
    shape = (9, 11)
    ours = confidence_map(torch.tensor([points]), shape, variant=variant)[0, 0].numpy()
    expected = oracle(points, shape, variant) if crossing(points) else heat_oracle(points, shape)
    assert np.abs(ours - expected).max() < 1e-5
    assert (ours > 0).all()
    assert (ours <= 1).all()


@settings(max_examples=50)
@given(four_points, st.sampled_from(VARIANTS))
def test_equivariance(points, variant):
    p, (height, width) = torch.tensor([points]), (12, 15)
    spacing = (1.3, 0.6)
    image = confidence_map(p, (height, width), variant=variant, spacing=spacing)
    same = {"atol": 2e-5, "rtol": 0}

    def again(q, shape=(height, width), spacing=spacing):
        return confidence_map(q, shape, variant=variant, spacing=spacing)

    upside_down = torch.stack([height - 1 - p[..., 0], p[..., 1]], -1)[:, [1, 0, 2, 3]]
    assert torch.allclose(again(upside_down), image.flip(2), **same)
    mirrored = torch.stack([p[..., 0], width - 1 - p[..., 1]], -1)[:, [0, 1, 3, 2]]
    assert torch.allclose(again(mirrored), image.flip(3), **same)
    transposed = p.flip(-1)[:, [2, 3, 0, 1]]
    assert torch.allclose(again(transposed, (width, height), spacing[::-1]), image.mT, **same)
    moved = again(p + torch.tensor([3.0, 2.0]), (height + 3, width + 2))
    assert torch.allclose(moved[:, :, 3:, 2:], image, **same)
    if crossing(points):
        assert torch.allclose(again(2 * p, (2 * height, 2 * width))[..., ::2, ::2], image, **same)


def test_any_number_type_and_no_gradient():
    whole = torch.tensor([[[2, 8], [14, 9], [7, 1], [9, 16]]])
    expected = confidence_map(whole.float(), (17, 19))
    for points in (whole, whole.double().requires_grad_(), whole.to(torch.int16)):
        before = points.clone()
        maps = confidence_map(points, (17, 19))
        assert torch.equal(maps, expected)
        assert not maps.requires_grad
        assert torch.equal(points, before)
    assert confidence_map(whole[:0], (5, 6)).shape == (0, 1, 5, 6)


def test_compiles_without_a_graph_break():
    points = torch.tensor([*BATCH, [[5.0, 5.0]] * 4])
    compiled = torch.compile(confidence_map, fullgraph=True)
    assert torch.allclose(compiled(points, (17, 19)), confidence_map(points, (17, 19)), atol=1e-6)


def test_errors():
    points = torch.tensor([BATCH[0]])
    with pytest.raises(ValueError, match=r"\(B, 4, 2\)"):
        confidence_map(points[0], (9, 9))
    with pytest.raises(ValueError, match=r"\(B, 4, 2\)"):
        extreme_point_heatmap(points[:, :3], (9, 9))
    with pytest.raises(ValueError, match="`shape`"):
        confidence_map(points, (9, 9, 9))
    with pytest.raises(ValueError, match="variant"):
        confidence_map(points, (9, 9), variant="dextr")
    with pytest.raises(ValueError, match="spacing"):
        confidence_map(points, (9, 9), spacing=(1.0, 0.0))
    with pytest.raises(ValueError, match="fwhm"):
        extreme_point_heatmap(points, (9, 9), fwhm=0.0)
