"""The two-phase data term: its gradient, its means, and scikit-image's terms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from monai_levelset.levelset import ChanVeseForce, CurvatureForce, dirac, heaviside

from ..fields import ball, coordinates

SHAPES = [(7, 9), (5, 6, 7)]


def random_case(shape, channels=1, batch=2, seed=0):
    generator = torch.manual_seed(seed)
    image = torch.rand((batch, channels, *shape), generator=generator, dtype=torch.float64)
    phi = 2 * torch.randn((batch, 1, *shape), generator=generator, dtype=torch.float64)
    return image, phi


def descent(force, phi, volume=1.0):
    phi = phi.clone().requires_grad_()
    return -torch.autograd.grad(force.energy(phi).sum(), phi)[0] / volume


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["sine", "arctan", "tanh"])
@pytest.mark.parametrize("weights", [(1.0, 1.0, 0.0), (0.3, 2.0, 0.1)])
def test_velocity_is_exactly_minus_the_energy_gradient(shape, kind, weights):
    image, phi = random_case(shape, channels=3)
    spacing = (2.0, 0.5, 3.0)[: len(shape)]
    force = ChanVeseForce(
        image,
        weight=0.7,
        inside_weight=weights[0],
        outside_weight=weights[1],
        area_weight=weights[2],
        spacing=spacing,
        regions="smooth",
        kind=kind,
        eps=1.3,
    )
    assert torch.allclose(force(phi), descent(force, phi, math.prod(spacing)), atol=1e-14)


@pytest.mark.parametrize("regions", ["smooth", "hard"])
def test_velocity_energy_and_means_written_as_loops(regions):
    image, phi = random_case((4, 5), channels=2)
    l1, l2, nu = 0.4, 1.7, 0.2
    force = ChanVeseForce(image, inside_weight=l1, outside_weight=l2, area_weight=nu, regions=regions)
    velocity, energy, (c1, c2) = force(phi), force.energy(phi), force.means(phi)
    for b in range(2):
        h = heaviside(phi[b, 0], 1.0, "arctan") if regions == "smooth" else (phi[b, 0] > 0).double()
        expected, total = torch.zeros(4, 5).double(), 0.0
        for c in range(2):
            inside, outside, n1, n2 = 0.0, 0.0, 0.0, 0.0
            for i in range(4):
                for j in range(5):
                    inside += h[i, j] * image[b, c, i, j]
                    outside += (1 - h[i, j]) * image[b, c, i, j]
                    n1, n2 = n1 + h[i, j], n2 + 1 - h[i, j]
            assert c1[b, c].item() == pytest.approx(float(inside / n1), rel=1e-12)
            assert c2[b, c].item() == pytest.approx(float(outside / n2), rel=1e-12)
            for i in range(4):
                for j in range(5):
                    a, d = (image[b, c, i, j] - inside / n1) ** 2, (image[b, c, i, j] - outside / n2) ** 2
                    expected[i, j] += 0.5 * (l2 * d - l1 * a - nu) / (math.pi * (1 + phi[b, 0, i, j] ** 2))
                    total += 0.5 * float(l1 * a * h[i, j] + l2 * d * (1 - h[i, j]) + nu * h[i, j])
        assert torch.allclose(velocity[b, 0], expected, atol=1e-14)
        assert energy[b].item() == pytest.approx(total, rel=1e-12)


def test_terms_of_scikit_image():
    from skimage.segmentation import _chan_vese as peer

    image, phi = random_case((12, 13), batch=1)
    a, p = image[0, 0].numpy(), phi[0, 0].numpy()
    # Its delta lacks the factor 1/pi; its means are those of the sharp regions.
    step = peer._cv_calculate_variation(a, p, 0.0, 0.6, 1.3, 0.25) - p
    ours = ChanVeseForce(image, inside_weight=0.6, outside_weight=1.3, regions="hard")
    assert np.allclose(step, 0.25 * math.pi * ours(phi)[0, 0].numpy(), atol=1e-14)
    energy = peer._cv_difference_from_average_term(a, peer._cv_heavyside(p), 0.6, 1.3).sum()
    smooth = ChanVeseForce(image, inside_weight=0.6, outside_weight=1.3, regions="smooth")
    assert smooth.energy(phi).item() == pytest.approx(energy, rel=1e-12)


def test_length_term_beside_scikit_images():
    # Its curvature takes the slope across a face from the voxel, which drops the mixed derivative: on a disc
    # -(x^4 + y^4)/r^5, half as much on the diagonals as on the axes. Ours is -1/r all around.
    from skimage.segmentation import _chan_vese as peer

    phi = ball((64, 64), 20.0)
    x, y = coordinates((64, 64))
    r, band = (x**2 + y**2).sqrt(), dirac(phi, 1.0, "arctan")[0, 0]
    flat, level = np.zeros((64, 64)), phi[0, 0].numpy()
    step = torch.from_numpy(peer._cv_calculate_variation(flat, level, 1.0, 1.0, 1.0, 1e-6) - level)
    theirs, ours = step / (1e-6 * math.pi * band), CurvatureForce(eps=1.0, kind="arctan")(phi)[0, 0] / band
    near = phi[0, 0].abs() < 4
    assert (theirs + (x**4 + y**4) / r**5)[near].abs().max() < 1e-3
    assert (ours + 1 / r)[near].abs().max() < 1e-3


def test_an_empty_or_full_inside_takes_the_mean_of_the_image():
    image, phi = random_case((6, 6), channels=2)
    force = ChanVeseForce(image, kind="sine", regions="smooth")
    average, variance = image.mean((2, 3)), image.var((2, 3), correction=0).mean(1) * 36
    for level in (-9.0, 9.0):
        flat = torch.full_like(phi, level)
        for mean in force.means(flat):
            assert torch.allclose(mean, average, atol=1e-12)
        assert (force(flat) == 0).all()
        assert torch.allclose(force.energy(flat), variance)
    hard = ChanVeseForce(image, regions="hard")(torch.full_like(phi, -0.5))
    assert torch.isfinite(hard).all()
    assert hard.abs().max() < 1e-12  # both means are the image's: nothing to gain


@pytest.mark.parametrize("regions", ["smooth", "hard"])
@pytest.mark.parametrize("offset", [1e4, -1024.0])
def test_offsets_cost_no_precision(offset, regions):
    image, phi = random_case((16, 16))
    image = ((image * 64).round() / 64).float()  # exact in float32 with the offset
    phi = phi.float()
    plain, moved = (ChanVeseForce(i, inside_weight=0.7, regions=regions) for i in (image, image + offset))
    assert torch.allclose(plain(phi), moved(phi), atol=2e-7)
    assert torch.allclose(plain.energy(phi), moved.energy(phi), rtol=1e-5)
    assert torch.allclose(plain.means(phi)[0] + offset, moved.means(phi)[0], rtol=1e-6)


def test_swapping_inside_and_outside_reverses_the_velocity():
    image, phi = random_case((8, 9), channels=2)
    force = ChanVeseForce(image, inside_weight=0.4, outside_weight=1.5)
    swapped = ChanVeseForce(image, inside_weight=1.5, outside_weight=0.4)
    assert torch.allclose(swapped(-phi), -force(phi), atol=1e-14)
    assert torch.allclose(swapped.energy(-phi), force.energy(phi))


def test_flips_items_and_broadcast_images():
    image, phi = random_case((8, 9), batch=3)
    force = ChanVeseForce(image)
    flipped = ChanVeseForce(image.flip(-1))(phi.flip(-1))
    assert torch.allclose(flipped.flip(-1), force(phi), atol=1e-14)
    for b in range(3):
        alone = ChanVeseForce(image[b : b + 1])(phi[b : b + 1])
        assert torch.allclose(alone, force(phi)[b : b + 1], atol=1e-15)
    shared = ChanVeseForce(image[:1])(phi)
    assert torch.allclose(shared[1:2], ChanVeseForce(image[:1])(phi[1:2]), atol=1e-15)
    assert torch.equal(force(phi), force(phi))


@pytest.mark.parametrize("regions", ["smooth", "hard"])
def test_gradcheck_in_phi_and_image(regions):
    image, phi = random_case((5, 6), channels=2)
    image.requires_grad_()
    phi.requires_grad_()

    def force(a, i):
        return ChanVeseForce(i, inside_weight=0.6, area_weight=0.1, regions=regions)(a)

    assert gradcheck(force, (phi, image), fast_mode=True)
    assert gradcheck(lambda a, i: ChanVeseForce(i, regions="smooth").energy(a), (phi, image), fast_mode=True)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(seed=st.integers(0, 999), scale=st.floats(0.1, 500), level=st.floats(-30, 30))
def test_means_are_between_the_extremes_and_the_energy_below_the_variance(seed, scale, level):
    image, phi = random_case((6, 5), seed=seed)
    image, phi = scale * (image - 0.3), phi + level
    for regions in ("smooth", "hard"):
        force = ChanVeseForce(image, regions=regions)
        for mean in force.means(phi):
            assert (mean >= image.amin((2, 3)) - 1e-9 * scale).all()
            assert (mean <= image.amax((2, 3)) + 1e-9 * scale).all()
        variance = 30 * image.var((2, 3), correction=0)[:, 0]
        assert (force.energy(phi) >= 0).all()
        assert (force.energy(phi) <= variance * (1 + 1e-9)).all()


def test_traces_without_a_graph_break():
    image, phi = random_case((8, 8))
    force = ChanVeseForce(image, inside_weight=0.5)
    traced = torch.compile(lambda p: (force(p), force.energy(p)), fullgraph=True, backend="eager")
    assert torch.equal(traced(phi)[0], force(phi))


def test_errors():
    image, phi = random_case((5, 5))
    with pytest.raises(ValueError, match="regions"):
        ChanVeseForce(image, regions="soft")
    with pytest.raises(ValueError, match="image"):
        ChanVeseForce(image[0])
    with pytest.raises(ValueError, match="eps"):
        ChanVeseForce(image, eps=0.0)
    with pytest.raises(ValueError, match="same spatial shape"):
        ChanVeseForce(image)(phi[..., 1:])
    with pytest.raises(ValueError, match=r"\(B, 1"):
        ChanVeseForce(image)(phi.expand(2, 2, 5, 5))
