"""The peers compute what they are said to: loops, brute force and values by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from benchmarks.case import Sizes
from benchmarks.inputs import blob_image, blob_mask, disc_level_set, probabilities
from benchmarks.peers import evolution
from benchmarks.peers.confidence import confidence_map, confidence_map_by_axis
from benchmarks.peers.deep_level_set import deep_level_set
from benchmarks.peers.distance import fastgeodis_signed_distance, monai_signed_distance, scipy_signed_distance
from benchmarks.peers.level_set import level_set_loss
from benchmarks.peers.mumford_shah import mumford_shah_loss


def test_mumford_shah_is_the_sum_over_items_classes_channels_and_pixels() -> None:
    sizes = Sizes((3, 4), batch=2, classes=3)
    y = probabilities(sizes).double()
    x = torch.cat([blob_image(sizes), torch.rand(2, 1, 3, 4)], 1).double()
    expected = 0.0
    for b in range(2):
        for n in range(3):
            for k in range(2):
                mean = (x[b, k] * y[b, n]).sum() / y[b, n].sum()
                expected += ((x[b, k] - mean) ** 2 * y[b, n]).sum().item()
            steps = [abs(y[b, n, i + 1, j] - y[b, n, i, j]) for i in range(2) for j in range(4)]
            steps += [abs(y[b, n, i, j + 1] - y[b, n, i, j]) for i in range(3) for j in range(3)]
            expected += 0.5 * float(sum(steps))
    assert mumford_shah_loss(y, x, tv_weight=0.5).item() == pytest.approx(expected, rel=1e-12)


def test_level_set_loss_by_loops_with_an_absent_class() -> None:
    torch.manual_seed(0)
    p = torch.rand(2, 3, 3, 4, dtype=torch.float64).softmax(1)
    target = torch.randint(0, 2, (2, 1, 3, 4))  # class 2 is absent
    expected = 0.0
    for b in range(2):
        for n in range(2):
            g = (target[b, 0] == n).double()
            h = (1 + torch.tanh((p[b, n] - 0.5) / 0.05)) / 2
            c1, c2 = (g * h).sum() / h.sum(), (g * (1 - h)).sum() / (1 - h).sum()
            expected += ((g - c1) ** 2 * h + (g - c2) ** 2 * (1 - h)).sum().item()
    assert level_set_loss(p, target).item() == pytest.approx(expected / 2, rel=1e-12)


@pytest.mark.parametrize("confidence_map", [confidence_map, confidence_map_by_axis])
def test_confidence_by_hand(confidence_map) -> None:
    # segments of 8 pixels cross in (4, 4); half a segment is 4
    points = np.array([[0.0, 4.0], [8.0, 4.0], [4.0, 0.0], [4.0, 8.0]])
    found = confidence_map(points, (9, 9))
    assert found[4, 4] == pytest.approx(1.0)  # on both
    assert found[0, 4] == pytest.approx(1 / 2)  # on one, its end 4 pixels from the other: d1 = 0, d2 = 1
    assert found[2, 2] == pytest.approx(1 / (1 + 0.5 + math.hypot(0.5, 0.5)))
    assert found[0, 0] == pytest.approx(1 / (1 + 1 + math.hypot(1, 1)))


@pytest.mark.parametrize("shape", [(9, 11), (5, 6, 7)])
def test_distances_against_brute_force(shape: tuple[int, ...]) -> None:
    mask = (blob_mask(Sizes(shape)) > 0.5)[0, 0]
    places = torch.cartesian_prod(*(torch.arange(float(n)) for n in shape))
    flat = mask.flatten()
    gaps = torch.cdist(places, places, compute_mode="donot_use_mm_for_euclid_dist")
    brute = torch.where(flat, gaps[:, ~flat].amin(1) - 0.5, 0.5 - gaps[:, flat].amin(1)).view(shape)
    scipy = torch.from_numpy(scipy_signed_distance(mask.numpy())).float()
    torch.testing.assert_close(scipy, brute)
    torch.testing.assert_close(monai_signed_distance(mask[None].float())[0].float(), brute)


def test_fastgeodis_has_our_sign_and_zero() -> None:
    pytest.importorskip("FastGeodis")
    mask = torch.zeros(1, 1, 5, 8)
    mask[..., 4:] = 1
    expected = torch.tensor([-3.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5]).expand(1, 1, 5, 8)
    torch.testing.assert_close(fastgeodis_signed_distance(mask), expected)


def test_deep_level_set_carries_a_plane_along_the_field_and_nothing_else() -> None:
    # a plane of slope 1 has no curvature and no regularisation; delta is 1 at its zero, less elsewhere
    x = torch.arange(-8.0, 9.0)
    plane = x.expand(1, 1, 9, 17).clone()
    field = torch.zeros(1, 2, 9, 17)
    still = deep_level_set(plane, field, torch.ones(1, 1, 9, 17), steps=1)
    torch.testing.assert_close(still[..., 2:-2, 2:-2], plane[..., 2:-2, 2:-2], atol=1e-4, rtol=0)
    field[:, 1] = 0.1
    moved = deep_level_set(plane, field, torch.zeros(1, 1, 9, 17), steps=1, dt=0.1)[0, 0, 4]
    # 0.1 x 0.1 at the zero; the regularisation then takes away 0.2 times the second derivative, about 1 %
    expected = 0.1 * 0.1 * (1 + torch.cos(math.pi * x / 9)) / 2
    torch.testing.assert_close((moved - x)[3:-3], expected[3:-3], atol=2e-4, rtol=0)


def test_every_evolution_moves_the_disc_towards_the_blob() -> None:
    sizes = Sizes((48, 48), batch=2)
    image, phi = blob_image(sizes)[:, 0].numpy(), disc_level_set(sizes)[:, 0].numpy()
    truth = image > 0.5
    start = (truth == (phi > 0)).mean()

    def agreement(masks: list[np.ndarray]) -> float:
        return float((np.stack(masks) == truth).mean())

    for method in (
        evolution.skimage_chan_vese,
        evolution.skimage_chan_vese_double,
        evolution.skimage_morphological,
    ):
        assert agreement(method(list(image), list(phi), 50)) > max(0.95, start)


def test_itk_takes_exactly_the_iterations_asked_for() -> None:
    sitk = pytest.importorskip("SimpleITK")
    sizes = Sizes((32, 32))
    image, phi = (
        evolution.itk_images(list(x[:, 0].numpy())) for x in (blob_image(sizes), -disc_level_set(sizes))
    )
    dense = evolution.itk_dense_chan_vese(image, phi, 1), evolution.itk_dense_chan_vese(image, phi, 6)
    sparse = evolution.itk_sparse_geodesic(image, phi, 1), evolution.itk_sparse_geodesic(image, phi, 6)
    for one, six in (dense, sparse):
        assert not np.array_equal(sitk.GetArrayFromImage(one[0]), sitk.GetArrayFromImage(six[0]))
