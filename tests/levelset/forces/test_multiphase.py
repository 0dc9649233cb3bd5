"""The multiphase data term: phases, means, and the gradient of its energy."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from monai_levelset.levelset import (
    ChanVeseForce,
    CurvatureForce,
    MultiphaseChanVeseForce,
    heaviside,
    phase_labels,
    phase_probabilities,
)

SHAPES = [(7, 9), (5, 6, 7)]


def random_case(shape, levels=2, channels=1, seed=0):
    generator = torch.manual_seed(seed)
    image = torch.rand((2, channels, *shape), generator=generator, dtype=torch.float64)
    phi = 2 * torch.randn((2, levels, *shape), generator=generator, dtype=torch.float64)
    return image, phi


def descent(force, phi, volume=1.0):
    phi = phi.clone().requires_grad_()
    return -torch.autograd.grad(force.energy(phi).sum(), phi)[0] / volume


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("levels", [1, 2, 3])
@pytest.mark.parametrize("kind", ["sine", "arctan"])
def test_velocity_is_exactly_minus_the_energy_gradient(shape, levels, kind):
    image, phi = random_case(shape, levels, channels=2)
    force = MultiphaseChanVeseForce(
        image, weight=1.4, regions="smooth", spacing=(0.5,) * len(shape), kind=kind
    )
    assert torch.allclose(force(phi), descent(force, phi, 0.5 ** len(shape)), atol=1e-14)


@pytest.mark.parametrize("regions", ["smooth", "hard"])
def test_one_level_function_is_chan_vese(regions):
    image, phi = random_case((8, 9), levels=1, channels=2)
    many, two = (f(image, regions=regions) for f in (MultiphaseChanVeseForce, ChanVeseForce))
    assert torch.allclose(many(phi), two(phi), atol=1e-14)
    assert torch.allclose(many.energy(phi), two.energy(phi))
    assert torch.allclose(many.means(phi), torch.stack(two.means(phi)[::-1], 1))


def test_four_phases_written_out():
    # Vese and Chan 2002, eqs. 11 and 12, with c_kl: k for the first and l for the second level function.
    image, phi = random_case((4, 5))
    h1, h2 = heaviside(phi, 1.0, "arctan").split(1, dim=1)

    def mean(w):
        return (w * image).sum((2, 3), keepdim=True) / w.sum((2, 3), keepdim=True)

    c11, c10, c01, c00 = mean(h1 * h2), mean(h1 * (1 - h2)), mean((1 - h1) * h2), mean((1 - h1) * (1 - h2))
    e11, e10, e01, e00 = ((image - c) ** 2 for c in (c11, c10, c01, c00))
    delta = 1 / (torch.pi * (1 + phi**2))
    first = -((e11 - e01) * h2 + (e10 - e00) * (1 - h2))
    second = -((e11 - e10) * h1 + (e01 - e00) * (1 - h1))
    force = MultiphaseChanVeseForce(image, regions="smooth")
    assert torch.allclose(force(phi), delta * torch.cat([first, second], 1), atol=1e-14)
    energy = (e11 * h1 * h2 + e10 * h1 * (1 - h2) + e01 * (1 - h1) * h2 + e00 * (1 - h1) * (1 - h2)).sum(
        (1, 2, 3)
    )
    assert torch.allclose(force.energy(phi), energy)
    assert torch.allclose(force.means(phi), torch.cat([c00, c10, c01, c11], 1).flatten(2))


def test_hard_regions_are_those_of_the_labels():
    image, phi = random_case((6, 7), channels=2)
    force, labels = MultiphaseChanVeseForce(image, regions="hard"), phase_labels(phi)
    energy = torch.zeros(2).double()
    for b, k in itertools.product(range(2), range(4)):
        inside = image[b][:, labels[b, 0] == k]
        assert torch.allclose(force.means(phi)[b, k], inside.mean(1))
        energy[b] += (inside - inside.mean(1, keepdim=True)).square().mean(0).sum()
    assert torch.allclose(force.energy(phi), energy)


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_probabilities_sum_to_one_and_their_largest_is_the_label(levels):
    phi = random_case((6, 7), levels)[1]
    p = phase_probabilities(phi)
    assert p.shape[1] == 2**levels
    assert torch.allclose(p.sum(1), torch.ones_like(p[:, 0]))
    assert torch.equal(p.argmax(1, keepdim=True), phase_labels(phi))
    assert torch.equal(phase_probabilities(phi, kind="hard").argmax(1, keepdim=True), phase_labels(phi))


@settings(deadline=None, max_examples=20, derandomize=True)
@given(seed=st.integers(0, 999), order=st.permutations(range(3)), sign=st.integers(0, 7))
def test_permuting_or_turning_level_functions_permutes_the_phases(seed, order, sign):
    image, phi = random_case((5, 6), 3, seed=seed)
    signs = torch.tensor([1.0 - 2 * ((sign >> m) & 1) for m in range(3)]).view(1, 3, 1, 1).double()
    turned = (signs * phi)[:, order]
    source = [sum((((k >> j) & 1) << m) for j, m in enumerate(order)) ^ sign for k in range(8)]
    assert torch.allclose(phase_probabilities(turned), phase_probabilities(phi)[:, source])
    assert torch.equal(torch.tensor(source)[phase_labels(turned)], phase_labels(phi))
    force = MultiphaseChanVeseForce(image)
    assert torch.allclose(force(turned), (signs * force(phi))[:, order], atol=1e-14)
    assert torch.allclose(force.energy(turned), force.energy(phi))


def test_flips_offsets_and_empty_phases():
    image, phi = random_case((8, 8))
    image = (image * 64).round() / 64
    force = MultiphaseChanVeseForce(image)
    flipped = MultiphaseChanVeseForce(image.flip(-2))(phi.flip(-2)).flip(-2)
    assert torch.allclose(flipped, force(phi), atol=1e-14)
    single = phi.float()
    plain, moved = (MultiphaseChanVeseForce((image + o).float())(single) for o in (0.0, 1e4))
    assert torch.allclose(plain, moved, atol=2e-7)
    empty = MultiphaseChanVeseForce(image, kind="sine")
    outside = torch.full_like(phi, -9.0)
    assert torch.allclose(empty.means(outside), image.mean((2, 3)).unsqueeze(1).expand(2, 4, 1))
    assert (empty(outside) == 0).all()


def test_curvature_acts_on_each_level_function_by_itself():
    phi = random_case((7, 8))[1]
    for measure in ("dirac", "gradient"):
        force = CurvatureForce(measure=measure, eps=1.0, kind="arctan")
        both, parts = force(phi), [force(p) for p in phi.split(1, dim=1)]
        assert torch.allclose(both, torch.cat(parts, 1))
        lengths = [force.energy(p) for p in phi.split(1, dim=1)]
        assert torch.allclose(force.energy(phi), lengths[0] + lengths[1])


@pytest.mark.parametrize("regions", ["smooth", "hard"])
def test_gradcheck(regions):
    image, phi = random_case((4, 5), channels=2)
    inputs = (phi.requires_grad_(), image.requires_grad_())
    assert gradcheck(lambda p, i: MultiphaseChanVeseForce(i, regions=regions)(p), inputs, fast_mode=True)
    assert gradcheck(
        lambda p, i: MultiphaseChanVeseForce(i, regions="smooth").energy(p), inputs, fast_mode=True
    )


def test_errors():
    image, phi = random_case((5, 5))
    with pytest.raises(ValueError, match="regions"):
        MultiphaseChanVeseForce(image, regions="")
    with pytest.raises(ValueError, match="kind"):
        MultiphaseChanVeseForce(image, kind="cosine")
    with pytest.raises(ValueError, match="same spatial shape"):
        MultiphaseChanVeseForce(image)(phi[..., :4])
    with pytest.raises(ValueError, match="phi"):
        phase_labels(phi[0])
