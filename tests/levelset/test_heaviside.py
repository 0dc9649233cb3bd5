"""Heaviside families: hand values, exact derivatives, refused parameters."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from monai_levelset.levelset import dirac, dirac_derivative, heaviside

SMOOTH = ["sine", "arctan", "tanh"]


@pytest.mark.parametrize(
    ("kind", "h", "d"),
    [
        ("sine", 0.5 * (1 + 0.5 + 1 / math.pi), (1 + 0) / 4),
        ("arctan", 0.5 + math.atan(0.5) / math.pi, 2 / (math.pi * 5)),
        ("tanh", 0.5 * (1 + math.tanh(0.5)), (1 - math.tanh(0.5) ** 2) / 4),
        ("hard", 1.0, 0.0),
    ],
)
def test_hand_values_at_half_eps(kind, h, d):
    x = torch.tensor([1.0], dtype=torch.float64)
    assert heaviside(x, 2.0, kind).item() == pytest.approx(h, abs=1e-12)
    assert dirac(x, 2.0, kind).item() == pytest.approx(d, abs=1e-12)


@pytest.mark.parametrize("kind", SMOOTH)
def test_each_function_is_the_derivative_of_the_one_before(kind):
    x = torch.linspace(-3, 3, 61, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(heaviside(x, 1.3, kind).sum(), x, create_graph=True)
    assert torch.allclose(first, dirac(x, 1.3, kind), atol=1e-12)
    (second,) = torch.autograd.grad(dirac(x, 1.3, kind).sum(), x)
    assert torch.allclose(second, dirac_derivative(x, 1.3, kind), atol=1e-12)


def test_sine_is_compact_and_integrates_to_one():
    x = torch.linspace(-4, 4, 80001, dtype=torch.float64)
    delta = dirac(x, 1.5)
    assert (delta[x.abs() >= 1.5] == 0).all()
    assert torch.trapezoid(delta, x).item() == pytest.approx(1, abs=1e-6)


@given(st.floats(-1e6, 1e6), st.floats(0.01, 100), st.sampled_from(SMOOTH))
def test_complement_and_range(x, eps, kind):
    t = torch.tensor(x, dtype=torch.float64)
    h, mirrored = heaviside(t, eps, kind), heaviside(-t, eps, kind)
    assert -1e-12 <= h <= 1 + 1e-12
    assert (h + mirrored).item() == pytest.approx(1, abs=1e-9)


def test_hard_counts_the_contour_as_outside():
    assert heaviside(torch.tensor([-1.0, 0.0, 1.0]), kind="hard").tolist() == [0, 0, 1]
    assert dirac_derivative(torch.ones(2), kind="hard").tolist() == [0, 0]


@pytest.mark.parametrize("function", [heaviside, dirac, dirac_derivative])
def test_refuses_bad_parameters(function):
    x = torch.zeros(3)
    with pytest.raises(ValueError, match="positive"):
        function(x, 0.0)
    with pytest.raises(ValueError, match="positive"):
        function(x, float("nan"))
    with pytest.raises(ValueError, match="Unknown Heaviside kind 'cosine': choose one of sine"):
        function(x, 1.0, "cosine")
