"""The classical solvers on phantoms, beside scikit-image and SimpleITK."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from monai_levelset.levelset import (
    EdgeForce,
    chan_vese,
    checkerboard,
    drlse,
    edge_indicator,
    evolve,
    geodesic_active_contour,
    gradient_magnitude,
    multiphase_chan_vese,
    phase_labels,
    scale_intensity,
    signed_distance,
)
from monai_levelset.levelset.evolve import ResultCode

from .fields import coordinates, dice


def draw(name, n=80):
    y, x = (a / n for a in coordinates((n, n), dtype=torch.float32))
    r, angle = (x**2 + y**2).sqrt(), torch.atan2(y, x)
    return {
        "disc": r < 0.27,
        "box": torch.maximum(x.abs(), y.abs()) < 0.25,
        "star": r < 0.26 + 0.07 * torch.cos(5 * angle),
        "holed": (((2.2 * x + 0.3 * y) ** 2 + (1.2 * y) ** 2) < 0.15) & (((x + 0.1) ** 2 + y**2) > 0.0064),
        "two": (((x + 0.18) ** 2 + y**2) < 0.017) | (((x - 0.17) ** 2 + (y - 0.05) ** 2) < 0.02),
        "U": (torch.maximum(x.abs(), y.abs()) < 0.27) & ~((x.abs() < 0.09) & (y < 0.1)),
        "small": ((x - 0.2) ** 2 + (y + 0.1) ** 2) < 0.0064,
    }[name]


def noisy(mask, noise=0.1, seed=0, low=-1000.0, step=300.0):
    generator = torch.manual_seed(seed)
    return low + step * (mask.float() + noise * torch.randn(mask.shape, generator=generator))[None, None]


def photograph(n=80):
    """A dark figure before a shaded sky and grass, like the usual test photograph."""
    y, x = (a / n for a in coordinates((n, n), dtype=torch.float32))
    image = 0.7 - 0.2 * y + 0.1 * torch.sin(9 * x)
    image[(x + 0.1).abs().le(0.12) & (y > -0.2)] = 0.12
    image[((x + 0.1) ** 2 + (y + 0.25) ** 2) < 0.008] = 0.2
    image[(x > 0.2) & (x < 0.25) & (y > -0.3)] = 0.1
    return (image + 0.03 * torch.randn(n, n, generator=torch.manual_seed(0)))[None, None]


def seed_at(rows, columns, n=80):
    mask = torch.zeros(1, 1, n, n, dtype=torch.bool)
    mask[..., rows, columns] = True
    return mask


AROUND = seed_at(slice(6, 74), slice(6, 74))
MIDDLE = seed_at(slice(34, 46), slice(34, 46))


# Chan-Vese


@pytest.mark.parametrize("name", ["disc", "star", "holed", "two", "small"])
@pytest.mark.parametrize("noise", [0.05, 0.2])
def test_chan_vese_finds_objects_without_a_hint(name, noise):
    truth = draw(name)
    assert dice(chan_vese(noisy(truth, noise)).mask()[0, 0], truth) > 0.99


@pytest.mark.parametrize(
    ("case", "mu"), [("disc", 0.25), ("star", 0.25), ("holed", 0.05), ("photograph", 0.25)]
)
def test_chan_vese_agrees_with_scikit_image_from_its_checkerboard(case, mu):
    import skimage.segmentation
    from skimage.segmentation import _chan_vese as peer

    image = photograph() if case == "photograph" else noisy(draw(case), 0.05)
    unit = scale_intensity(image).double()
    mask, _, energies = skimage.segmentation.chan_vese(
        unit[0, 0].numpy(), mu=mu, tol=1e-4, max_num_iter=1000, extended_output=True
    )
    start = checkerboard((80, 80)).double()
    ours = chan_vese(unit, start, length_weight=mu, tolerance=0, steps=1000, record_energy=False)
    assert dice(ours.mask()[0, 0], torch.from_numpy(mask)) > 0.99
    energy = peer._cv_energy(unit[0, 0].numpy(), ours.phi[0, 0].numpy(), mu, 1, 1)
    assert energy <= energies[-1]


def test_chan_vese_does_not_care_for_units_flips_items_and_repeats():
    truth = torch.stack([draw("star"), draw("two")])[:, None]
    image = torch.cat([noisy(t[0], seed=i) for i, t in enumerate(truth)])
    image = (image * 4).round() / 4  # exact in float32 after the shift
    result = chan_vese(image)
    assert torch.equal(result.phi, chan_vese(image).phi)
    assert torch.equal(chan_vese(image + 1e4).mask(), result.mask())
    assert torch.equal(chan_vese(0.5 * image).mask(), result.mask())
    assert torch.equal(chan_vese(image.flip(-1)).mask().flip(-1), result.mask())
    assert torch.equal(chan_vese(-image).mask(), ~result.mask())
    for i in range(2):
        alone = chan_vese(image[i : i + 1])
        assert torch.allclose(alone.phi[0], result.phi[i], atol=1e-4)
        assert torch.equal(alone.mask()[0], result.mask()[i])


def test_chan_vese_of_two_channels_sees_what_each_shows():
    # One half of the object is bright in the first channel, the other half in the second.
    left, right = torch.zeros(64, 64).bool(), torch.zeros(64, 64).bool()
    left[16:48, 16:32], right[16:48, 32:48] = True, True
    image = torch.cat([noisy(left, seed=1), noisy(right, seed=2)], dim=1)
    start = seed_at(slice(12, 52), slice(12, 52), 64)
    both = chan_vese(image, start).mask()[0, 0]
    assert dice(both, left | right) > 0.99
    assert dice(chan_vese(image[:, :1]).mask()[0, 0], left) > 0.99


def test_chan_vese_in_3d_with_thick_slices():
    # One object in mm, on two grids: volumes agree, and with the analytic one.
    volumes = []
    for spacing, shape in (((1.0, 1.0, 1.0), (30, 32, 34)), ((2.0, 1.0, 1.0), (15, 32, 34))):
        r = sum(a**2 for a in coordinates(shape, spacing, torch.float32)).sqrt()
        result = chan_vese(noisy(r < 9), spacing=spacing, steps=100)
        volumes.append(result.mask().sum().item() * math.prod(spacing))
    assert volumes == pytest.approx([4 / 3 * math.pi * 729] * 2, rel=0.03)


def test_chan_vese_length_and_area_weights():
    truth = draw("two")
    image = noisy(truth, 0.5)
    lengths = [
        gradient_magnitude(chan_vese(image, length_weight=w).mask().float()).sum().item()
        for w in (0.01, 0.25)
    ]
    assert lengths[1] < 0.6 * lengths[0]
    clean = noisy(truth, 0.02)
    assert chan_vese(clean, area_weight=2.0).mask().sum() == 0
    assert chan_vese(clean, area_weight=-2.0).mask().all()


def test_chan_vese_accepts_masks_and_constant_images():
    truth = draw("disc")
    assert dice(chan_vese(noisy(truth), AROUND.long()).mask()[0, 0], truth) > 0.99
    flat = chan_vese(torch.full((1, 1, 16, 16), 40.0))
    assert torch.isfinite(flat.phi).all()
    assert not flat.diverged.any()


# Several phases


def partition(name, n=80):
    y, x = (a / n for a in coordinates((n, n), dtype=torch.float32))
    if name == "junction":  # three sectors that meet in a point, and the background
        labels = ((torch.atan2(y, x) + math.pi) / (2 * math.pi / 3)).long().clamp(0, 2) + 1
        labels[x**2 + y**2 > 0.16] = 0
        return labels
    r = (x**2 + 1.5 * y**2).sqrt()
    return (r < 0.45).long() + (r < 0.36) + (r < 0.22)


def best_accuracy(labels, truth):
    orders = map(torch.tensor, itertools.permutations(range(4)))
    return max((order[labels] == truth).float().mean().item() for order in orders)


@pytest.mark.parametrize("name", ["junction", "shells"])
@pytest.mark.parametrize("levels", [(0.0, 0.33, 0.67, 1.0), (0.0, 0.6, 0.8, 1.0), (1.0, 0.0, 0.5, 0.3)])
@pytest.mark.parametrize("noise", [0.02, 0.06])
def test_four_phases_with_triple_junctions(name, levels, noise):
    truth = partition(name)
    clean = torch.tensor(levels)[truth]
    image = clean + noise * torch.randn(clean.shape, generator=torch.manual_seed(0))
    result = multiphase_chan_vese(500 * image[None, None] - 1000)
    assert best_accuracy(phase_labels(result.phi)[0, 0], truth) > 0.985


def test_permuted_level_functions_give_permuted_phases():
    image = partition("junction", 48)[None, None].double()
    image = image + 0.1 * torch.randn(image.shape, generator=torch.manual_seed(0), dtype=torch.float64)
    start = checkerboard((48, 48), levels=2).double()
    one, other = (multiphase_chan_vese(image, p, steps=60, tolerance=0) for p in (start, start.flip(1)))
    assert torch.allclose(one.phi, other.phi.flip(1), atol=1e-3)
    swap = torch.tensor([0, 2, 1, 3])
    assert torch.equal(swap[phase_labels(one.phi)], phase_labels(other.phi))


def test_one_level_function_is_chan_vese():
    image = noisy(draw("star"))
    two = chan_vese(image, length_weight=0.1).mask()
    assert torch.equal(multiphase_chan_vese(image, levels=1, length_weight=0.1).mask(), two)


# Edges


@pytest.mark.parametrize(("name", "score"), [("box", 0.97), ("star", 0.96), ("two", 0.94), ("U", 0.95)])
def test_contours_shrink_onto_edges_from_around(name, score):
    truth = draw(name)
    image = noisy(truth)
    for result in (
        geodesic_active_contour(image, AROUND, balloon=-0.5),
        drlse(image, AROUND, balloon=-3.0),
    ):
        assert dice(result.mask()[0, 0], truth) > score
        # No part of the contour is farther than two voxels off: only corners are.
        wrong = result.mask() != truth
        assert signed_distance(truth[None, None])[wrong].abs().max() <= 2.5


@pytest.mark.parametrize("name", ["box", "star"])
def test_contours_grow_from_a_seed(name):
    truth = draw(name)
    image = noisy(truth)
    for result in (geodesic_active_contour(image, MIDDLE), drlse(image, MIDDLE)):
        assert dice(result.mask()[0, 0], truth) > 0.965


@pytest.mark.parametrize(("start", "balloon"), [(MIDDLE, 3.0), (AROUND, -3.0), (MIDDLE, 1.5)])
def test_drlse_keeps_slopes_near_one_for_500_steps(start, balloon):
    truth = draw("disc")
    phi = drlse(noisy(truth), start, balloon=balloon, steps=500).phi
    slope = gradient_magnitude(phi)[phi.abs() < 1]
    assert slope.mean().item() == pytest.approx(1, abs=0.05)
    assert slope.min() > 0.7
    assert slope.max() < 1.3
    r = sum(a**2 for a in coordinates((80, 80), dtype=torch.float32)).sqrt()[None, None]
    on_contour = phi.abs() < 0.5
    assert ((r + phi)[on_contour] - 0.27 * 80).abs().max() < 1.2


def test_drlse_in_3d_with_thick_slices():
    spacing = (1.5, 1.0, 1.0)
    r = sum(a**2 for a in coordinates((22, 32, 32), spacing, torch.float32)).sqrt()
    result = drlse(noisy(r < 10), (r < 5)[None, None], balloon=3.0, spacing=spacing, steps=150)
    volume = result.mask().sum().item() * 1.5
    assert (volume * 3 / (4 * math.pi)) ** (1 / 3) == pytest.approx(10, abs=1)


def test_geodesic_contour_does_not_leave_through_a_gap():
    # A thin bright ring with a gap: growing from the middle, the contour bridges it.
    y, x = coordinates((80, 80), dtype=torch.float32)
    ring = ((x**2 + y**2).sqrt() - 24).abs() < 1.5
    ring[(y.abs() < 3) & (x > 0)] = False
    grown = geodesic_active_contour(noisy(ring, 0.02), MIDDLE, balloon=0.3, steps=2000).mask()[0, 0]
    radius = (x**2 + y**2).sqrt()
    assert grown[radius < 21].all()
    assert not grown[radius > 27].any()


@pytest.mark.parametrize(("radius", "balloon"), [(12.0, 0.5), (33.0, -0.5)])
def test_agrees_with_itks_geodesic_active_contour(radius, balloon):
    import SimpleITK as sitk

    y, x = coordinates((80, 80), dtype=torch.float32)
    r = (x**2 + y**2).sqrt()
    truth = r < 22 + 4 * torch.cos(3 * torch.atan2(y, x))
    edge = edge_indicator(scale_intensity(noisy(truth, 0.05)), scale=1.5, contrast=0.05)
    start = (radius - r)[None, None]
    ours = evolve(start, [EdgeForce(edge, balloon=balloon)], steps=1000, dt=0.15, record_energy=False).phi
    theirs = sitk.GetArrayFromImage(
        sitk.GeodesicActiveContourLevelSet(
            sitk.GetImageFromArray(-start[0, 0].numpy()),  # ITK is negative inside
            sitk.GetImageFromArray(edge[0, 0].numpy()),
            maximumRMSError=0.0,
            propagationScaling=balloon,
            curvatureScaling=1.0,
            advectionScaling=1.0,
            numberOfIterations=2000,
        )
    )
    near = ours[0, 0].abs() < 1
    assert (ours[0, 0] + torch.from_numpy(theirs))[near].abs().max() < 1
    assert dice(ours[0, 0] > 0, torch.from_numpy(theirs < 0)) > 0.98


def test_edge_solvers_batch_repeat_and_flip():
    image = torch.cat([noisy(draw(n), seed=i) for i, n in enumerate(("star", "two"))]).double()
    start = AROUND.expand(2, 1, 80, 80)
    for solve in (
        lambda i, p: geodesic_active_contour(i, p, balloon=-0.5, steps=100),
        lambda i, p: drlse(i, p, balloon=-1.5, steps=100),
    ):
        result = solve(image, start)
        assert torch.equal(result.phi, solve(image, start).phi)
        assert torch.allclose(solve(image[1:], start[1:]).phi, result.phi[1:], atol=1e-6)
        flipped = solve(image.flip(-2), start.flip(-2)).phi.flip(-2)
        assert (flipped - result.phi).abs().max() < 1e-4
        assert (result.code != ResultCode.DIVERGED).all()


def test_errors_and_options():
    image = noisy(draw("disc", 32))
    assert chan_vese(image, steps=20, tolerance=0, record_energy=False).energies.shape == (1, 0)
    assert chan_vese(image, steps=20, tolerance=0, check_every=5).energies.shape == (1, 5)
    with pytest.raises(ValueError, match="image"):
        chan_vese(image[0])
    with pytest.raises(ValueError, match="same spatial shape"):
        chan_vese(image, torch.zeros(1, 1, 8, 8))
    with pytest.raises(ValueError, match="spacing"):
        drlse(image, image > 0, spacing=(1.0,))
