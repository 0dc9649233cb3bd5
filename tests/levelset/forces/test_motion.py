"""The learned force: hand values, what flows into its maps, symmetries."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch.autograd import gradcheck

from monai_levelset.levelset import DistanceRegularization, Force, MotionForce, curvature, dirac, gradient

from ..fields import ball, coordinates

CASES = [((12, 14), (1.0, 1.0)), ((12, 14), (0.8, 1.7)), ((7, 8, 9), (2.0, 1.0, 0.6))]


def maps(shape, seed=0, batch=1):
    generator = torch.manual_seed(seed)
    draw = {"dtype": torch.float64, "generator": generator}
    x = coordinates(shape)
    phi = sum(c * a for c, a in zip((0.6, -0.7, 0.4), x, strict=False)) + 0.3 * torch.randn(
        (batch, 1, *shape), **draw
    )
    return phi, torch.randn((batch, len(shape), *shape), **draw), torch.rand((batch, 1, *shape), **draw)


@pytest.mark.parametrize(("shape", "spacing"), CASES)
def test_value_is_the_formula_voxel_by_voxel(shape, spacing):
    phi, field, modulation = maps(shape, batch=2)
    velocity = MotionForce(field, modulation, eps=2.5, spacing=spacing)(phi)
    slopes, kappa = gradient(phi, spacing)[:, 0], curvature(phi, spacing)
    for b, *at in itertools.product(range(2), *map(range, shape)):
        here = (b, 0, *at)
        height = phi[here].item()
        band = (1 + math.cos(math.pi * height / 2.5)) / 2 if abs(height) < 2.5 else 0.0
        transport = sum((field[(b, d, *at)] * slopes[(b, d, *at)]).item() for d in range(len(shape)))
        expected = band * (transport + (modulation[here] * kappa[here]).item())
        assert velocity[here].item() == pytest.approx(expected, abs=1e-12)


def test_hand_values_on_a_plane():
    # phi rises by 3 per voxel of 2 mm along axis 0: grad phi = (1.5, 0), no curvature.
    phi = (3 * coordinates((7, 5), dtype=torch.float32)[0])[None, None]
    field = torch.tensor([0.5, 9.0]).view(1, 2, 1, 1).expand(1, 2, 7, 5)
    velocity = MotionForce(field, torch.ones(1, 1, 7, 5), eps=6.0, spacing=(2.0, 1.0))(phi)
    assert velocity[0, 0, :, 2].tolist() == pytest.approx([0, 0, 0.375, 0.75, 0.375, 0, 0], abs=1e-6)


def test_the_band_is_one_on_the_contour_and_the_modulation_weighs_the_curvature():
    phi = ball((48, 48), 14.0)
    still = torch.zeros(1, 2, 48, 48, dtype=torch.float64)
    modulation = torch.full_like(phi, 0.3)
    velocity = MotionForce(still, modulation)(phi)
    band = (phi.abs() < 9).double() * (1 + torch.cos(math.pi * phi / 9)) / 2
    assert torch.allclose(velocity, 0.3 * band * curvature(phi))
    assert torch.allclose(9 * dirac(phi, 9.0), band)
    near = phi.abs() < 0.5
    assert velocity[near].mean().item() == pytest.approx(-0.3 / 14, rel=0.02)


@pytest.mark.parametrize(("shape", "spacing"), CASES)
def test_gradcheck(shape, spacing):
    inputs = [t.requires_grad_() for t in maps(shape)]

    def velocity(phi, field, modulation):
        return MotionForce(field, modulation, eps=4.0, detach_curvature=False, spacing=spacing)(phi)

    assert gradcheck(velocity, inputs, fast_mode=True)


def test_a_detached_curvature_is_a_constant_with_the_same_value():
    phi, field, modulation = (t.requires_grad_() for t in maps((10, 11)))
    kappa = curvature(phi.detach())

    def oracle(p, v, g):
        return 4 * dirac(p, 4.0) * ((v * gradient(p)[:, 0]).sum(1, keepdim=True) + g * kappa)

    value = MotionForce(field, modulation, eps=4.0)(phi)
    assert torch.allclose(value, oracle(phi, field, modulation), atol=1e-14)
    assert gradcheck(oracle, (phi, field, modulation), fast_mode=True)
    inputs = (phi, field, modulation)
    ours = torch.autograd.grad(value.square().sum(), inputs)
    theirs = torch.autograd.grad(oracle(*inputs).square().sum(), inputs)
    assert all(torch.allclose(a, b) for a, b in zip(ours, theirs, strict=True))


def test_detached_regularization_has_the_same_value_and_no_gradient():
    phi = maps((9, 10))[0].requires_grad_()
    velocity = DistanceRegularization(detach=True)(phi)
    assert not velocity.requires_grad
    assert torch.equal(velocity, DistanceRegularization()(phi.detach()))


@pytest.mark.parametrize(("shape", "spacing"), CASES)
def test_equivariance_under_flips_and_axis_order(shape, spacing):
    phi, field, modulation = maps(shape)
    velocity = MotionForce(field, modulation, eps=3.0, spacing=spacing)(phi)
    for axis in range(len(shape)):
        flipped = field.flip(axis + 2).clone()
        flipped[:, axis] *= -1
        turned = MotionForce(flipped, modulation.flip(axis + 2), eps=3.0, spacing=spacing)(phi.flip(axis + 2))
        assert torch.allclose(turned, velocity.flip(axis + 2))
    order = [len(shape) - 1, *range(len(shape) - 1)]
    dims = [0, 1, *(a + 2 for a in order)]
    permuted = MotionForce(
        field[:, order].permute(dims),
        modulation.permute(dims),
        eps=3.0,
        spacing=tuple(spacing[a] for a in order),
    )
    assert torch.allclose(permuted(phi.permute(dims)), velocity.permute(dims))


def test_inputs_are_untouched_and_errors_name_the_fix():
    phi, field, modulation = maps((6, 7))
    copies = [t.clone() for t in (phi, field, modulation)]
    force = MotionForce(field, modulation)
    assert isinstance(force, Force)
    assert torch.equal(force(phi), force(phi))
    assert all(torch.equal(a, b) for a, b in zip((phi, field, modulation), copies, strict=True))
    with pytest.raises(ValueError, match="one channel per spatial axis"):
        MotionForce(field[:, :1], modulation)
    with pytest.raises(ValueError, match=r"`modulation` must be \(1, 1, 6, 7\)"):
        MotionForce(field, modulation[..., :6])
    with pytest.raises(ValueError, match="eps"):
        MotionForce(field, modulation, eps=0.0)
