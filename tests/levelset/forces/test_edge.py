"""Edge forces: their energy, where contours come to rest, and that long runs stay sane."""

from __future__ import annotations

import math

import pytest
import torch
from torch.autograd import gradcheck

from monai_levelset.levelset import (
    CurvatureForce,
    EdgeForce,
    curvature,
    dirac,
    edge_indicator,
    evolve,
    gradient_magnitude,
)

from ..fields import ball, coordinates


def random_edge(shape, seed=0):
    return torch.rand((1, 1, *shape), generator=torch.manual_seed(seed), dtype=torch.float64)


def ring(shape, radius=25.0, depth=0.9, width=2.0):
    r = -ball(shape, 0.0)
    return 1 - depth * torch.exp(-((r - radius) ** 2) / (2 * width**2))


def radius_of(phi):
    voxels, dims = (phi > 0).sum().item(), phi.ndim - 2
    return math.sqrt(voxels / math.pi) if dims == 2 else (voxels * 3 / (4 * math.pi)) ** (1 / 3)


def rest_radius(balloon, dims=2, low=21.0, high=28.0):
    """Where balloon g = (D - 1) g/r + dg/dr for `ring`, found by bisection."""

    def speed(r):
        dent = 0.9 * math.exp(-((r - 25) ** 2) / 8)
        return (balloon - (dims - 1) / r) * (1 - dent) - dent * (r - 25) / 4

    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if speed(middle) > 0 else (low, middle)
    return low


@pytest.mark.parametrize("shape", [(8, 9), (6, 7, 8)])
def test_balloon_part_is_exactly_minus_the_energy_gradient(shape):
    edge = random_edge(shape)
    phi = 2 * torch.randn(edge.shape, generator=torch.manual_seed(1), dtype=torch.float64)
    phi.requires_grad_()
    h = (0.5, 2.0, 1.5)[: len(shape)]
    force = EdgeForce(edge, weight=0.0, balloon=-1.7, measure="dirac", spacing=h)
    expected = -torch.autograd.grad(force.energy(phi).sum(), phi)[0] / math.prod(h)
    assert torch.allclose(force(phi), expected, atol=1e-14)


def test_dirac_measure_is_curvature_force_and_weighted_delta():
    edge, phi = random_edge((12, 13)), ball((12, 13), 4.0)
    force = EdgeForce(edge, weight=5.0, balloon=3.0, measure="dirac")
    expected = CurvatureForce(weight=5.0, edge=edge)(phi) + 3 * dirac(phi) * edge
    assert torch.allclose(force(phi), expected, atol=1e-14)


@pytest.mark.parametrize("balloon", [0.6, -0.6])
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 1.0)])
def test_gradient_measure_on_a_smooth_level_set(balloon, spacing):
    # g = exp(x/20): grad g = (0, g/20), so the velocity is g (weight (kappa + n_x/20) + balloon) |grad phi|.
    x, y = coordinates((80, 80), spacing)[::-1]
    phi, edge = ball((80, 80), 15.0, spacing=spacing), torch.exp(x / 20)[None, None]
    velocity = EdgeForce(edge, weight=2.0, balloon=balloon, spacing=spacing)(phi)
    r = (x**2 + y**2).sqrt()
    expected = torch.exp(x / 20) * (2 * (-1 / r - x / r / 20) + balloon)
    near = phi[0, 0].abs() < 3
    assert (velocity[0, 0] - expected)[near].abs().max() < 0.05


def test_energy_is_length_less_area_in_the_metric():
    phi, edge = ball((64, 64), 20.0), torch.full((1, 1, 64, 64), 0.5, dtype=torch.float64)
    energy = EdgeForce(edge, weight=3.0, balloon=0.2).energy(phi).item()
    length, area = 2 * math.pi * 20, math.pi * 400
    assert energy == pytest.approx(0.5 * (3 * length - 0.2 * area), rel=0.01)


@pytest.mark.parametrize("measure", ["gradient", "dirac"])
@pytest.mark.parametrize(("start", "balloon"), [(20, 0.0), (30, 0.0), (16, 0.3), (34, -0.2)])
def test_comes_to_rest_where_the_forces_balance(start, balloon, measure):
    shape = (72, 72)
    force = EdgeForce(ring(shape).float(), balloon=balloon, measure=measure)
    phi = ball(shape, float(start), dtype=torch.float32)
    end = evolve(phi, [force], steps=900, dt=0.2, record_energy=False).phi
    assert radius_of(end) == pytest.approx(rest_radius(balloon), abs=0.1)


def test_comes_to_rest_in_3d():
    shape = (36, 36, 36)
    r = -ball(shape, 0.0, dtype=torch.float32)
    edge = 1 - 0.9 * torch.exp(-((r - 11) ** 2) / 8)
    end = evolve(9 - r, [EdgeForce(edge, balloon=0.4)], steps=200, dt=0.1, record_energy=False).phi
    dent = [0.9 * math.exp(-((s - 11) ** 2) / 8) for s in torch.arange(9, 14, 0.01).tolist()]
    speeds = [
        (0.4 - 2 / s) * (1 - d) - d * (s - 11) / 4
        for s, d in zip(torch.arange(9, 14, 0.01).tolist(), dent, strict=True)
    ]
    expected = 9 + 0.01 * next(i for i, v in enumerate(speeds) if v < 0)
    assert radius_of(end) == pytest.approx(expected, abs=0.15)


def test_long_runs_without_reinitialization_stay_bounded_and_smooth():
    # Central differences for grad g . grad phi make the contour ragged here (curvature deviates by 0.4).
    r = -ball((96, 96), 0.0, dtype=torch.float32)
    noise = torch.randn(r.shape, generator=torch.manual_seed(0))
    image = torch.sigmoid((25 - r) / 0.7) + 0.1 * noise
    force = EdgeForce(edge_indicator(image, scale=1.5))
    start = 30 - r
    end = evolve(start, [force], steps=800, dt=0.2, reinitialize_every=0, record_energy=False).phi
    assert end.amax() <= start.amax() + 1e-3
    assert end.amin() >= start.amin() - 1e-3
    assert radius_of(end) == pytest.approx(25, abs=0.5)
    assert curvature(end)[end.abs() < 1.5].std() < 0.1


@pytest.mark.parametrize(("start", "balloon"), [(10.0, 1.0), (25.0, -1.0)])
def test_balloon_alone_moves_the_contour_at_its_speed(start, balloon):
    phi, flat = ball((80, 80), start), torch.ones(1, 1, 80, 80, dtype=torch.float64)
    force = EdgeForce(flat, weight=0.0, balloon=balloon)
    end = evolve(phi, [force], steps=50, dt=0.25, reinitialize_every=0).phi
    assert radius_of(end) == pytest.approx(start + balloon * 12.5, abs=0.03 * 12.5)  # first order
    assert (gradient_magnitude(end)[end.abs() < 2] - 1).abs().max() < 0.1


def test_flips_and_transposes():
    edge, phi = random_edge((9, 11)), ball((9, 11), 3.3, centre=(0.7, -0.4))
    for measure in ("gradient", "dirac"):
        for balloon in (0.8, -0.8):
            velocity = EdgeForce(edge, balloon=balloon, measure=measure)(phi)
            for turn in (lambda t: t.flip(-1), lambda t: t.flip(-2), lambda t: t.transpose(-1, -2)):
                turned = EdgeForce(turn(edge), balloon=balloon, measure=measure)(turn(phi))
                assert torch.allclose(turned, turn(velocity), atol=1e-12)


def test_gradcheck():
    edge = random_edge((6, 7)).requires_grad_()
    x, y = coordinates((6, 7))
    phi = (0.6 * x + 0.7 * y + 0.1 * x * y + 0.123)[None, None].requires_grad_()
    for measure in ("gradient", "dirac"):
        assert gradcheck(
            lambda p, g, m=measure: EdgeForce(g, balloon=0.7, measure=m)(p), (phi, edge), fast_mode=True
        )
    assert gradcheck(lambda p, g: EdgeForce(g, balloon=0.7).energy(p), (phi, edge), fast_mode=True)


def test_errors():
    edge = random_edge((6, 7))
    with pytest.raises(ValueError, match="measure"):
        EdgeForce(edge, measure="length")
    with pytest.raises(ValueError, match="edge"):
        EdgeForce(edge[0])
    with pytest.raises(ValueError, match="spacing"):
        EdgeForce(edge, spacing=(1.0,))
