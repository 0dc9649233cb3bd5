"""Finite differences against analytic fields, isotropic and anisotropic."""

from __future__ import annotations

import pytest
import torch

from monai_levelset.levelset import (
    curvature,
    curvature_times_gradient,
    edge_indicator,
    gradient,
    gradient_magnitude,
)

from .fields import ball, coordinates

CASES = [((20, 24), (1.0, 1.0)), ((20, 24), (0.7, 1.6)), ((10, 12, 14), (2.5, 0.8, 1.1))]


def interior(x, margin=1):
    for axis in range(2, x.ndim):
        x = x.narrow(axis, margin, x.shape[axis] - 2 * margin)
    return x


@pytest.mark.parametrize(("shape", "spacing"), CASES)
def test_quadratic_field_is_differentiated_exactly(shape, spacing):
    x = coordinates(shape, spacing)
    field = sum((i + 1) * a**2 for i, a in enumerate(x)) + 3 * x[0] * x[1] + 2 * x[0]
    g = gradient(field[None, None], spacing)
    expected = [2 * (i + 1) * a for i, a in enumerate(x)]
    expected[0] = expected[0] + 3 * x[1] + 2
    expected[1] = expected[1] + 3 * x[0]
    assert g.shape == (1, 1, len(shape), *shape)
    for i, e in enumerate(expected):
        assert torch.allclose(interior(g[:, :, i]), interior(e[None, None]))
    length = sum(e**2 for e in expected).sqrt()[None, None]
    assert torch.allclose(interior(gradient_magnitude(field[None, None], spacing)), interior(length))


def test_border_is_replicated_and_channels_are_apart():
    x = torch.stack([torch.tensor([0.0, 1.0, 4.0]), torch.tensor([5.0, 5.0, 5.0])]).view(1, 2, 1, 3)
    g = gradient(x)
    assert g[0, 0, 1, 0].tolist() == [0.5, 2.0, 1.5]
    assert g[0, 1].abs().max() == 0


@pytest.mark.parametrize(
    ("shape", "spacing", "radius"),
    [((48, 48), (1.0, 1.0), 15.0), ((48, 64), (1.0, 0.7), 15.0), ((28, 40, 40), (1.4, 1.0, 1.0), 12.0)],
)
def test_curvature_of_a_ball(shape, spacing, radius):
    phi = ball(shape, radius, spacing=spacing)
    near = phi.abs() < 1
    exact = -(len(shape) - 1) / (radius - phi)
    kappa = curvature(phi, spacing)
    assert ((kappa - exact).abs() / exact.abs())[near].max() < 0.01
    flow = curvature_times_gradient(phi, spacing)
    assert ((flow - exact).abs() / exact.abs())[near].max() < 0.015


def test_weighted_curvature_is_the_divergence_of_the_weighted_normal():
    x, y = coordinates((40, 40))
    phi, weight = ball((40, 40), 12.0), (1 + 0.05 * x + 0.02 * y)[None, None]
    radius = 12 - phi
    exact = -weight / radius - (0.05 * x + 0.02 * y)[None, None] / radius
    near = phi.abs() < 2
    assert (curvature(phi, weight=weight) - exact)[near].abs().max() < 2e-3
    assert (curvature_times_gradient(phi, weight=weight) - exact)[near].abs().max() < 2e-3


def test_curvature_is_finite_and_limited_everywhere():
    for phi in (torch.zeros(1, 1, 8, 8), -torch.ones(1, 1, 8, 8), ball((9, 9), 0.4, dtype=torch.float32)):
        kappa = curvature(phi, spacing=(0.5, 1.0))
        assert torch.isfinite(kappa).all()
        assert kappa.abs().max() <= 4


def test_curvature_does_not_depend_on_the_unit_of_length():
    phi = ball((32, 32), 9.0)
    assert torch.allclose(curvature(3 * phi, (3.0, 3.0)), curvature(phi) / 3, atol=1e-6)


def test_edge_indicator_hand_values_and_scale():
    image = torch.zeros(1, 1, 3, 6)
    image[..., 3:] = 1.0
    b = edge_indicator(image, contrast=0.25)
    assert b[0, 0, 1].tolist() == pytest.approx([1, 1, 0.2, 0.2, 1, 1])
    assert torch.allclose(edge_indicator(image), edge_indicator(255 * image))
    assert edge_indicator(image, contrast=1.0).min() >= 0.8
    two = edge_indicator(torch.cat([image, image], 1), contrast=0.25)
    assert two[0, 0, 1, 2].item() == pytest.approx(1 / 9)
    assert (edge_indicator(torch.full((1, 1, 5, 5), 7.0)) == 1).all()


def test_edge_indicator_smooths_by_a_gaussian_in_mm():
    line = torch.zeros(1, 1, 1, 61, dtype=torch.float64)
    line[..., 31:] = 1
    b = edge_indicator(line, contrast=1.0, scale=2.0, spacing=(1.0, 0.5))
    peak = 1 / (2 * (2 * torch.pi) ** 0.5)
    assert b.min().item() == pytest.approx(1 / (1 + peak**2), rel=2e-3)
    assert edge_indicator(torch.ones(1, 2, 4, 5, 6), scale=1.0).shape == (1, 1, 4, 5, 6)


@pytest.mark.parametrize("shape", [(1, 1, 5, 6), (2, 1, 4, 5, 4)])
def test_gradcheck(shape):
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(shape, dtype=torch.float64, requires_grad=True)
    spacing = (0.8, 1.3, 2.0)[: len(shape) - 2]
    for function in (gradient, lambda a, s: gradient_magnitude(a, s, eps=1e-3)):
        assert torch.autograd.gradcheck(lambda a, f=function: f(a, spacing), x, fast_mode=True)
    assert torch.autograd.gradcheck(
        lambda a, w: curvature(a, spacing, w, eps=0.5), (x, weight), fast_mode=True
    )
    flow = curvature_times_gradient
    assert torch.autograd.gradcheck(lambda a, w: flow(a, spacing, w, eps=0.5), (x, weight), fast_mode=True)
    assert torch.autograd.gradcheck(lambda a: edge_indicator(a, scale=0.9), x, fast_mode=True)


def test_errors_name_the_fix():
    phi = torch.zeros(1, 1, 4, 4)
    with pytest.raises(ValueError, match=r"one value per spatial axis \(2\)"):
        curvature(phi, (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="positive and finite"):
        gradient(phi, (1.0, -1.0))
    with pytest.raises(ValueError, match=r"\(B, C, H, W\)"):
        gradient(phi[0])
    with pytest.raises(ValueError, match=r"`\.float\(\)`"):
        curvature(phi.long())
    with pytest.raises(ValueError, match="contrast"):
        edge_indicator(phi, contrast=0.0)
    with pytest.raises(ValueError, match="scale"):
        edge_indicator(phi, scale=-1.0)
