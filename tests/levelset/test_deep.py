"""The deep level set: analytic motions, exact gradients, and life inside a network."""

from __future__ import annotations

import math

import pytest
import torch
from torch.autograd import gradcheck

from monai_levelset.levelset import (
    DistanceRegularization,
    ResultCode,
    curvature,
    deep_level_set,
    dirac,
    evolve,
    gradient,
    heaviside,
)

from .fields import ball, coordinates


def constant_field(vector, shape, dtype=torch.float64):
    d = len(vector)
    return torch.tensor(vector, dtype=dtype).view(1, d, *(1,) * d).expand(1, d, *shape)


def soft_centre(phi):
    inside = heaviside(phi)[0, 0]
    return [((x * inside).sum() / inside.sum()).item() for x in coordinates(inside.shape)]


def equivalent_radius(phi, spacing=None):
    d = phi.ndim - 2
    volume = heaviside(phi).sum().item() * math.prod(spacing or (1.0,) * d)
    return (volume / math.pi) ** 0.5 if d == 2 else (volume * 3 / 4 / math.pi) ** (1 / 3)


@pytest.mark.parametrize("vector", [(0.5, -1.0), (0.0, 0.8), (0.4, 0.0, -0.7)])
def test_a_constant_field_carries_the_contour_against_itself(vector):
    shape = (48, 48) if len(vector) == 2 else (36, 36, 36)
    phi = ball(shape, 12.0)
    still = torch.zeros_like(phi)
    result = deep_level_set(phi, constant_field(vector, shape), still, steps=5, dt=0.8, regularization=0.1)
    for centre, v in zip(soft_centre(result.phi), vector, strict=True):
        assert centre == pytest.approx(-4 * v, abs=0.1)
    assert equivalent_radius(result.phi) == pytest.approx(12, rel=0.01)
    assert result.code.tolist() == [ResultCode.STEP_LIMIT]


@pytest.mark.parametrize("start", [8.0, 16.0])
@pytest.mark.parametrize(
    ("shape", "spacing"), [((56, 56), None), ((70, 40), (0.8, 1.4)), ((40, 40, 40), None)]
)
def test_the_direction_to_the_true_contour_leads_there_and_holds(start, shape, spacing):
    true = ball(shape, 12.0, spacing=spacing)
    field = true.sign() * gradient(true, spacing)[:, 0]  # grad|D|
    phi, still = ball(shape, start, spacing=spacing), torch.zeros_like(true)
    options = {"dt": 1.0, "regularization": 0.1, "spacing": spacing}
    for steps in (4, 8):
        moved = deep_level_set(phi, field, still, steps=steps, **options).phi
        assert equivalent_radius(moved, spacing) == pytest.approx(12, abs=0.3)


def test_without_motion_only_the_regularization_acts():
    phi = ball((32, 32), 9.0) * 1.3
    still = torch.zeros_like(phi)
    result = deep_level_set(phi, torch.cat([still, still], 1), still, dt=2.0)
    force = DistanceRegularization(weight=0.1)
    alone = evolve(phi, [force], steps=5, dt=2.0, reinitialize_every=0, record_energy=False)
    assert torch.allclose(result.phi, alone.phi, atol=1e-12)
    flat = coordinates((9, 9))[0][None, None]
    zero = torch.zeros_like(flat)
    assert torch.allclose(deep_level_set(flat, torch.cat([zero, zero], 1), zero).phi, flat, atol=1e-6)


@pytest.mark.parametrize(("shape", "radius", "rate"), [((56, 56), 14.0, 2.0), ((32, 32, 32), 13.0, 4.0)])
def test_the_modulated_curvature_shrinks_a_ball_at_the_analytic_rate(shape, radius, rate):
    # dr/dt = -g (D - 1)/r: r^2 = r0^2 - 2 g t for a disc, r0^2 - 4 g t for a ball.
    phi = ball(shape, radius)
    still = torch.zeros(1, len(shape), *shape, dtype=torch.float64)
    g = torch.full_like(phi, 0.5)
    for steps in (30, 60):
        result = deep_level_set(phi, still, g, steps=steps, dt=0.3, regularization=0.0)
        expected = (radius**2 - rate * 0.5 * steps * 0.3) ** 0.5
        assert equivalent_radius(result.phi) == pytest.approx(expected, rel=0.01)


def predictions(shape=(10, 11), batch=2, dtype=torch.float64, seed=0):
    generator = torch.manual_seed(seed)
    phi = 1.2 * ball(shape, 3.3) + 0.2 * torch.randn((batch, 1, *shape), generator=generator).double()
    field = 0.3 * torch.randn((batch, len(shape), *shape), generator=generator)
    modulation = 0.2 * torch.rand((batch, 1, *shape), generator=generator)
    return [t.to(dtype).requires_grad_() for t in (phi, field, modulation)]


@pytest.mark.parametrize("shape", [(10, 11), (6, 7, 6)])
@pytest.mark.parametrize("checkpoint", [False, True])
def test_gradcheck(shape, checkpoint):
    options = {"steps": 3, "dt": 0.7, "regularization": 0.1, "eps": 4.0}

    def final(phi, field, modulation):
        return deep_level_set(phi, field, modulation, detach=False, checkpoint=checkpoint, **options).phi

    assert gradcheck(final, predictions(shape), fast_mode=True)


def test_detached_parts_are_constants_of_the_trajectory():
    inputs = predictions()
    regularizer = DistanceRegularization(weight=0.2 / 0.7)
    trajectory = [inputs[0].detach()]
    for _ in range(3):
        step = deep_level_set(trajectory[-1], *inputs[1:], steps=1, dt=0.7, eps=4.0)
        trajectory.append(step.phi.detach())
    constants = [(curvature(p), regularizer(p)) for p in trajectory[:-1]]

    def oracle(phi, field, modulation):
        for kappa, smooth in constants:
            speed = (field * gradient(phi)[:, 0]).sum(1, keepdim=True) + modulation * kappa
            phi = phi + 0.7 * (4 * dirac(phi, 4.0) * speed + smooth)
        return phi

    assert gradcheck(oracle, inputs, fast_mode=True)
    final = deep_level_set(*inputs, steps=3, dt=0.7, eps=4.0).phi
    assert torch.allclose(final, oracle(*inputs), atol=1e-12)
    ours = torch.autograd.grad(final.square().sum(), inputs)
    theirs = torch.autograd.grad(oracle(*inputs).square().sum(), inputs)
    assert all(torch.allclose(a, b, atol=1e-10) for a, b in zip(ours, theirs, strict=True))


def held_memory(checkpoint):
    """Bytes that stay allocated after the forward pass."""
    inputs = predictions((64, 64), batch=4, dtype=torch.float32)
    with torch.profiler.profile(profile_memory=True) as profile:
        result = deep_level_set(*inputs, checkpoint=checkpoint)
    assert result.phi.requires_grad
    return sum(event.self_cpu_memory_usage for event in profile.key_averages())


def test_checkpointing_gives_the_same_numbers_with_a_fraction_of_the_memory():
    gradients = []
    for checkpoint in (False, True):
        inputs = predictions(dtype=torch.float32)
        final = deep_level_set(*inputs, checkpoint=checkpoint).phi
        gradients.append((final, *torch.autograd.grad(final.square().sum(), inputs)))
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))
    phi_bytes = 4 * 4 * 64 * 64
    assert held_memory(checkpoint=True) <= 6 * phi_bytes
    assert held_memory(checkpoint=True) <= 0.3 * held_memory(checkpoint=False)


def test_equivariance_under_flips_and_axis_order():
    phi, field, modulation = (t.detach() for t in predictions((8, 9, 7)))
    spacing = (1.0, 0.8, 1.3)
    final = deep_level_set(phi, field, modulation, regularization=0.1, dt=1.0, spacing=spacing).phi
    options = {"regularization": 0.1, "dt": 1.0}
    mirrored = field.flip(3).clone()
    mirrored[:, 1] *= -1
    flipped = deep_level_set(phi.flip(3), mirrored, modulation.flip(3), spacing=spacing, **options).phi
    assert torch.allclose(flipped, final.flip(3), atol=1e-10)
    dims, order = [0, 1, 4, 2, 3], [2, 0, 1]
    turned = deep_level_set(
        phi.permute(dims),
        field[:, order].permute(dims),
        modulation.permute(dims),
        spacing=[spacing[a] for a in order],
        **options,
    )
    assert torch.allclose(turned.phi, final.permute(dims), atol=1e-10)


def test_a_broken_item_is_reported_and_does_not_touch_the_others():
    phi, field, modulation = predictions(batch=3)
    broken = torch.zeros_like(field)
    broken[1, 0, 4, 4] = math.nan
    result = deep_level_set(phi, field + broken, modulation)
    assert result.code.tolist() == [ResultCode.STEP_LIMIT, ResultCode.DIVERGED, ResultCode.STEP_LIMIT]
    assert torch.isfinite(result.phi).all()
    assert torch.equal(result.phi[1], phi[1])
    whole = deep_level_set(phi, field, modulation)
    assert torch.equal(result.phi[::2], whole.phi[::2])
    gradients = torch.autograd.grad(result.phi[::2].square().sum(), (phi, field, modulation))
    assert all(torch.isfinite(g[::2]).all() for g in gradients)


@pytest.mark.parametrize("height", [0.0, 1.0, -40.0])
def test_flat_level_sets_have_finite_gradients(height):
    phi = torch.full((1, 1, 8, 8), height, requires_grad=True)
    field = torch.ones(1, 2, 8, 8, requires_grad=True)
    modulation = torch.ones(1, 1, 8, 8, requires_grad=True)
    for detach in (True, False):
        final = deep_level_set(phi, field, modulation, detach=detach).phi
        gradients = torch.autograd.grad(final.sum(), (phi, field, modulation))
        assert all(torch.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_autocast_are_computed_in_float32(dtype):
    halves = [t.detach().to(dtype) for t in predictions()]
    expected = deep_level_set(*(t.float() for t in halves)).phi
    with torch.autocast("cpu", dtype=torch.bfloat16):
        leaves = [t.clone().requires_grad_() for t in halves]
        final = deep_level_set(*leaves).phi
    assert final.dtype == torch.float32
    assert torch.equal(final, expected)
    final.square().mean().backward()
    assert all(t.grad.dtype == dtype and torch.isfinite(t.grad).all() for t in leaves)


class TinyNetwork(torch.nn.Module):
    """Predicts phi, V and g from an image and evolves them."""

    def __init__(self, **options):
        super().__init__()
        self.head = torch.nn.Conv2d(1, 4, 3, padding=1)
        self.options = options

    def forward(self, image):
        phi, field, modulation = self.head(image).split([1, 2, 1], dim=1)
        return deep_level_set(10 * phi, field, 0.05 * modulation.sigmoid(), dt=1.0, **self.options).phi


@pytest.mark.parametrize("checkpoint", [False, True])
def test_traces_as_part_of_a_network(checkpoint):
    torch.manual_seed(0)
    network = TinyNetwork(checkpoint=checkpoint)
    image, larger = torch.randn(2, 1, 16, 20), torch.randn(3, 1, 24, 18)
    traced = torch.jit.trace(network, image)
    assert torch.equal(traced(image), network(image))
    assert torch.allclose(traced(larger), network(larger), atol=1e-6)


@pytest.mark.parametrize(
    ("backend", "options"), [("inductor", {"steps": 2}), ("aot_eager", {"checkpoint": True})]
)
def test_compiles_as_part_of_a_network_without_a_graph_break(backend, options):
    torch.manual_seed(0)
    network, image = TinyNetwork(**options), torch.randn(2, 1, 16, 20)
    compiled = torch.compile(network, fullgraph=True, backend=backend)(image)
    plain = network(image)
    assert torch.allclose(compiled, plain, atol=1e-5)
    parameters = list(network.parameters())
    ours = torch.autograd.grad(compiled.square().mean(), parameters)
    theirs = torch.autograd.grad(plain.square().mean(), parameters)
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(ours, theirs, strict=True))


def test_errors():
    phi, field, modulation = (t.detach() for t in predictions())
    with pytest.raises(ValueError, match="one channel per spatial axis"):
        deep_level_set(phi, field[:, :1], modulation)
    with pytest.raises(ValueError, match="`dt` must be positive"):
        deep_level_set(phi, field, modulation, dt=-1.0)
    with pytest.raises(ValueError, match="floating tensor"):
        deep_level_set(phi.long(), field, modulation)
