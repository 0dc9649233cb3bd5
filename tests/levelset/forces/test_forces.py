"""Forces: the velocity is minus the gradient of the energy, exactly where that holds, else closely."""

from __future__ import annotations

import math

import pytest
import torch
from torch.autograd import gradcheck

from monai_levelset.levelset import (
    CurvatureForce,
    DistanceRegularization,
    Force,
    RegionForce,
    ShapePriorForce,
    Similarity,
    StatefulForce,
    dirac,
    gradient_magnitude,
)

from ..fields import ball, coordinates

SHAPES = [(9, 10), (6, 7, 8)]


def smooth_field(shape, seed=0):
    """A level set with slopes near 1 and without flat spots, so that nothing is near a kink."""
    x = coordinates(shape)
    generator = torch.manual_seed(seed)
    noise = 0.05 * torch.randn((1, 1, *shape), generator=generator, dtype=torch.float64)
    return sum(c * a for c, a in zip((0.6, 0.7, 0.4), x, strict=False))[None, None] + noise + 0.123


def descent(force, phi, volume=1.0):
    phi = phi.clone().requires_grad_()
    return -torch.autograd.grad(force.energy(phi).sum(), phi)[0] / volume


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["sine", "arctan", "tanh"])
def test_region_velocity_is_exactly_minus_the_energy_gradient(shape, kind):
    phi = smooth_field(shape)
    p = torch.rand(phi.shape, dtype=torch.float64, generator=torch.manual_seed(1))
    spacing = (2.0, 0.5, 3.0)[: len(shape)]
    force = RegionForce(p, weight=0.7, clip=1.5, spacing=spacing, kind=kind)
    assert torch.allclose(force(phi), descent(force, phi, math.prod(spacing)), atol=1e-12)


def test_region_hand_values():
    p = torch.tensor([0.0, 0.25, 0.5, 1.0]).view(1, 1, 1, 4)
    force = RegionForce(p, weight=2.0, clip=3.0, eps=0.5)
    velocity = force(torch.zeros(1, 1, 1, 4))[0, 0, 0]
    assert velocity.tolist() == pytest.approx([-12, -4 * math.log(3), 0, 12], rel=1e-4)
    inside = RegionForce(torch.full((1, 1, 2, 2), 0.9), weight=2.0)
    assert inside.energy(torch.full((1, 1, 2, 2), 9.0)).item() == pytest.approx(-8 * math.log(0.9), rel=1e-5)
    assert inside.energy(torch.full((1, 1, 2, 2), -9.0)).item() == pytest.approx(-8 * math.log(0.1), rel=1e-5)


def test_region_gradient_with_respect_to_certain_probabilities_is_finite():
    p = torch.tensor([0.0, 1.0, 0.5]).view(1, 1, 1, 3).requires_grad_()
    RegionForce(p)(torch.zeros(1, 1, 1, 3)).sum().backward()
    assert torch.isfinite(p.grad).all()
    assert p.grad.flatten().tolist() == pytest.approx([0, 0, 4 / 1.5])


@pytest.mark.parametrize(
    ("shape", "radius", "spacing", "measure"),
    [
        ((64, 64), 20.0, (1.0, 1.0), 2 * math.pi * 20),
        ((64, 80), 20.0, (1.0, 0.8), 2 * math.pi * 20),
        ((40, 40, 40), 13.0, (1.0, 1.0, 1.0), 4 * math.pi * 13**2),
    ],
)
def test_curvature_energy_is_the_length_or_area(shape, radius, spacing, measure):
    force = CurvatureForce(weight=0.5, spacing=spacing)
    phi = ball(shape, radius, spacing=spacing)
    assert force.energy(phi).item() == pytest.approx(0.5 * measure, rel=0.01)
    edge = torch.full_like(phi, 0.25)
    assert CurvatureForce(edge=edge, spacing=spacing).energy(phi).item() == pytest.approx(
        measure / 4, rel=0.01
    )


def test_curvature_velocity_approximates_the_energy_gradient():
    # The discrete velocity is the discretised gradient, not the gradient of the discrete energy: for smooth
    # directions of change the two agree to about a per cent.
    phi = ball((64, 64), 20.0)
    x, y = coordinates((64, 64))
    force = CurvatureForce(eps=3.0)
    exact, approximate = descent(force, phi), force(phi)
    for direction in (torch.ones_like(x), torch.exp(-((x - 20) ** 2 + y**2) / 80)):
        assert (approximate * direction).sum().item() == pytest.approx(
            (exact * direction).sum().item(), rel=0.03
        )


def test_curvature_measures_agree_on_the_contour_and_edges_slow_it():
    phi = ball((48, 48), 14.0)
    by_dirac, by_gradient = CurvatureForce()(phi), CurvatureForce(measure="gradient")(phi)
    near = phi.abs() < 1
    ratio = (by_dirac / (by_gradient * dirac(phi)))[near]
    assert (ratio - 1).abs().max() < 0.01
    edge = torch.full_like(phi, 0.1)
    assert torch.allclose(CurvatureForce(edge=edge)(phi), 0.1 * by_dirac)


@pytest.mark.parametrize("potential", ["double-well", "single-well"])
def test_distance_regularization_restores_slopes_and_keeps_planes(potential):
    force = DistanceRegularization(weight=1.0, potential=potential)
    x = coordinates((9, 40))[1][None, None]
    assert force(x).abs().max() < 1e-6
    steep = x + 0.6 * torch.sin(x / 3)  # above 0.75 both potentials are convex
    before = force.energy(steep)
    for _ in range(400):
        steep = steep + 0.15 * force(steep)
    assert force.energy(steep) < 0.5 * before
    assert (gradient_magnitude(steep)[0, 0, 4, 2:-2] - 1).abs().max() < 0.15


def test_distance_regularization_flat_regions():
    flat = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    double, single = DistanceRegularization(), DistanceRegularization(potential="single-well")
    assert double.energy(flat).item() == pytest.approx(0, abs=1e-6)
    assert single.energy(flat).item() == pytest.approx(0.2 * 64 * 0.5, rel=1e-3)
    assert double(flat).abs().max() == 0


def test_shape_prior_velocity_is_minus_the_energy_gradient_with_the_full_term():
    phi, prior = smooth_field((9, 10)), smooth_field((9, 10), seed=4)
    pose = Similarity.identity(1, 2, dtype=torch.float64)._replace(scale=torch.tensor([1.3]).double())
    for limit in (None, 0.2):
        force = ShapePriorForce(prior, weight=0.8, residual_limit=limit, dirac_derivative_term=True)
        leaf = phi.clone().requires_grad_()
        expected = -torch.autograd.grad(force.energy(leaf, pose).sum(), leaf)[0]
        assert torch.allclose(force.step(phi, pose)[0], expected, atol=1e-10)


def test_shape_prior_pulls_towards_the_prior_and_leaves_the_prior_alone():
    prior, small = ball((40, 40), 12.0), ball((40, 40), 8.0)
    identity = Similarity.identity(1, 2, dtype=torch.float64)
    force = ShapePriorForce(prior, initial_pose=identity, pose_rate=0.0)
    velocity, pose = force.step(small, force.initial_state(small))
    assert (velocity[small.abs() < 1] > 0).all()
    assert all(torch.equal(a, b) for a, b in zip(pose, identity, strict=True))
    assert force.step(prior, identity)[0].abs().max() < 1e-9


@pytest.mark.parametrize("shape", SHAPES)
def test_gradcheck(shape):
    phi = smooth_field(shape).requires_grad_()
    other = torch.rand(phi.shape, dtype=torch.float64, generator=torch.manual_seed(2)).requires_grad_()
    assert gradcheck(lambda a, p: RegionForce(p)(a), (phi, other), fast_mode=True)
    assert gradcheck(lambda a, b: CurvatureForce(edge=b)(a), (phi, other), fast_mode=True)
    assert gradcheck(lambda a, b: CurvatureForce(edge=b).energy(a), (phi, other), fast_mode=True)
    assert gradcheck(lambda a: CurvatureForce(measure="gradient")(a), phi, fast_mode=True)
    for potential in ("double-well", "single-well"):
        force = DistanceRegularization(potential=potential)
        assert gradcheck(force, phi, fast_mode=True)
        assert gradcheck(force.energy, phi, fast_mode=True)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradcheck_shape_prior_and_its_pose(shape):
    d = len(shape)
    phi, prior = smooth_field(shape).requires_grad_(), smooth_field(shape, 5).requires_grad_()
    tensors = [torch.tensor([1.07]), torch.full((1, 1 if d == 2 else 3), 0.13), torch.full((1, d), 0.21)]
    tensors = [t.double().requires_grad_() for t in tensors]

    def step(a, b, scale, angle, translation):
        pose = Similarity.from_parameters(scale, angle, translation)
        velocity, new = ShapePriorForce(b, residual_limit=0.5).step(a, pose)
        return velocity, *new

    assert gradcheck(step, (phi, prior, *tensors), fast_mode=True)


def test_protocols_and_errors():
    prior = torch.zeros(1, 1, 5, 5)
    assert isinstance(ShapePriorForce(prior), StatefulForce)
    assert not isinstance(ShapePriorForce(prior), Force)
    assert not isinstance(RegionForce(prior), StatefulForce)
    with pytest.raises(ValueError, match="measure"):
        CurvatureForce(measure="length")
    with pytest.raises(ValueError, match="clip"):
        RegionForce(prior, clip=0.0)
    with pytest.raises(ValueError, match="probability"):
        RegionForce(prior[0])
    with pytest.raises(ValueError, match="residual_limit"):
        ShapePriorForce(prior, residual_limit=-1.0)
    with pytest.raises(ValueError, match="potential"):
        DistanceRegularization(potential="triple-well")
    with pytest.raises(ValueError, match="eps"):
        CurvatureForce(eps=0.0)
