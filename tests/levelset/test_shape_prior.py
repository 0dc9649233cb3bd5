"""Similarity transforms, moments and the analytic pose gradient."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_levelset.levelset import (
    ShapePriorForce,
    Similarity,
    canonical_prior,
    dirac,
    evolve,
    moments_pose,
    pose_gradient,
    rotation_matrix,
    signed_distance,
)

from .fields import ball, coordinates, dice


def pose2d(scale=1.0, angle=0.0, t=(0.0, 0.0)):
    tensors = (torch.tensor(v, dtype=torch.float64) for v in ([scale], [[angle]], [t]))
    return Similarity.from_parameters(*tensors)


def pose3d(scale=1.0, angle=(0.0, 0.0, 0.0), t=(0.0, 0.0, 0.0)):
    tensors = (torch.tensor(v, dtype=torch.float64) for v in ([scale], [angle], [t]))
    return Similarity.from_parameters(*tensors)


def bumpy_ellipse(shape=(64, 64)):
    """An ellipse with a bump: its orientation is unambiguous."""
    x, y = coordinates(shape)
    bump = (x - 6) ** 2 + (y - 9) ** 2 < 36
    return signed_distance((((x / 8) ** 2 + (y / 14) ** 2 < 1) | bump).double()[None, None])


def test_rotation_matrices():
    turn = rotation_matrix(torch.tensor([[math.pi / 2]]))[0]
    assert torch.allclose(turn @ torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), atol=1e-6)
    axis = torch.tensor([[0.3, -1.2, 0.5], [0.0, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    r = rotation_matrix(axis)
    skew = torch.zeros(3, 3, dtype=torch.float64)
    skew[0, 1], skew[0, 2], skew[1, 2] = -0.5, -1.2, -0.3
    assert torch.allclose(r[0], torch.linalg.matrix_exp(skew - skew.T))
    assert torch.equal(r[1], torch.eye(3, dtype=torch.float64))
    assert torch.autograd.gradcheck(rotation_matrix, axis)
    with pytest.raises(ValueError, match="2D"):
        rotation_matrix(torch.zeros(1, 2))


@given(
    st.floats(0.2, 5), st.tuples(*[st.floats(-3, 3)] * 3), st.tuples(*[st.floats(-20, 20)] * 3), st.booleans()
)
def test_inverse_and_compose(scale, angle, t, solid):
    pose = pose3d(scale, angle, t) if solid else pose2d(scale, angle[0], t[:2])
    points = torch.randn(1, 7, 3 if solid else 2, dtype=torch.float64, generator=torch.manual_seed(0))
    assert torch.allclose(pose.inverse().apply(pose.apply(points)), points, atol=1e-8)
    both = pose.compose(pose.inverse())
    assert torch.allclose(both.apply(points), points, atol=1e-8)
    twice = pose.compose(pose)
    assert torch.allclose(twice.apply(points), pose.apply(pose.apply(points)), atol=1e-6)


@pytest.mark.parametrize("spacing", [None, (2.0, 1.0), (0.5, 1.5)])
def test_warp_samples_the_prior_at_the_transformed_points(spacing):
    h = spacing or (1.0, 1.0)
    x, y = coordinates((21, 25), h)
    plane = (2 * x - 3 * y + 1)[None, None]
    pose = pose2d(0.6, 0.4, (0.7, -1.1))
    u, v = coordinates((11, 13), h)
    points = torch.stack([u.flatten(), v.flatten()], 1)[None]
    mapped = pose.apply(points)[0]
    expected = (2 * mapped[:, 0] - 3 * mapped[:, 1] + 1).view(11, 13)
    assert torch.allclose(pose.warp(plane, (11, 13), spacing)[0, 0], expected)


def test_warp_in_3d_moves_a_ball():
    prior = ball((24, 26, 28), 5.0, (2.0, -1.0, 3.0))
    pose = pose3d(2.0, (0.0, 0.0, math.pi / 2), (1.0, 0.0, 0.0))
    warped = pose.warp(prior) / 2
    # A(c) = prior centre: 2 R c + T = (2, -1, 3); R turns axis 0 to 1 and 1 to -0, so c = (-0.5, -0.5, 1.5).
    expected = ball((24, 26, 28), 2.5, (-0.5, -0.5, 1.5))
    near = expected.abs() < 2
    assert (warped - expected)[near].abs().max() < 0.1


@pytest.mark.parametrize("solid", [False, True])
def test_pose_gradient_matches_autograd(solid):
    if solid:
        shape, h, angle = (24, 26, 22), (1.0, 0.8, 1.2), torch.tensor([[0.2, -0.1, 0.3]]).double()
        x, y, z = coordinates(shape, h)
        prior = (6 - (x**2 + 2 * y**2 + 0.7 * z**2 + 1).sqrt())[None, None]
        phi, t = ball(shape, 4.5, (1.0, -0.5, 0.7), h), torch.tensor([[0.4, -0.3, 0.2]]).double()
    else:
        shape, h, angle = (48, 52), (1.0, 0.8), torch.tensor([[0.3]]).double()
        x, y = coordinates(shape, h)
        prior = (10 - (x**2 + 2 * y**2 + 25).sqrt())[None, None]
        phi, t = ball(shape, 8.0, (2.0, -1.0), h), torch.tensor([[0.7, -0.4]]).double()
    scale, turn = torch.tensor([1.2]).double(), torch.zeros_like(angle)
    for parameter in (scale, turn, t):
        parameter.requires_grad_()
    pose = Similarity(scale, rotation_matrix(turn) @ rotation_matrix(angle), t)
    r = scale.view(-1, 1, *(1,) * len(shape)) * phi - pose.warp(prior, spacing=h)
    energy = math.prod(h) * (dirac(phi) * r * r).sum()
    expected = torch.autograd.grad(energy, (scale, turn, t))
    actual = pose_gradient(phi, prior, Similarity(*(p.detach() for p in pose)), spacing=h)
    # Autograd differentiates the linear interpolation, the formula interpolates central differences.
    for a, e in zip(actual, expected, strict=True):
        assert (a - e).abs().max() < 0.03 * e.abs().max()


@settings(max_examples=8)
@given(st.floats(0.7, 1.4), st.floats(-3.1, 3.1), st.floats(-6, 6), st.floats(-6, 6))
def test_a_known_pose_is_recovered_from_moments_and_refined(scale, angle, ty, tx):
    prior = bumpy_ellipse()
    truth = pose2d(scale, angle, (ty * scale, tx * scale))
    phi = truth.warp(prior, (96, 96)) / scale
    rough = moments_pose(phi, prior)
    points = torch.tensor([[[5.0, 0.0], [0.0, 5.0], [-7.0, 4.0]]], dtype=torch.float64)
    assert (rough.apply(points) - truth.apply(points)).norm(dim=-1).max() < 1.5
    force = ShapePriorForce(prior, weight=1e-6)
    pose = evolve(phi, [force], steps=30, reinitialize_every=0).states[0]
    assert (pose.apply(points) - truth.apply(points)).norm(dim=-1).max() < 0.1


def test_pose_is_recovered_without_moments_and_whatever_the_spacing():
    for h in (0.5, 1.0, 4.0):
        prior = bumpy_ellipse() * h
        truth = pose2d(1.1, 0.3, (3.0 * h, -2.0 * h))
        phi = truth.warp(prior, spacing=(h, h)) / 1.1
        start = Similarity.identity(1, 2, dtype=torch.float64)
        force = ShapePriorForce(prior, weight=1e-6, initial_pose=start, spacing=(h, h), eps=1.5 * h)
        pose = evolve(phi, [force], steps=40, spacing=(h, h), reinitialize_every=0).states[0]
        assert pose.scale.item() == pytest.approx(1.1, abs=0.01)
        assert torch.allclose(pose.rotation, truth.rotation, atol=0.01)
        assert torch.allclose(pose.translation, truth.translation, atol=0.1 * h)


def test_pose_recovery_in_3d():
    shape = (32, 32, 32)
    x, y, z = coordinates(shape)
    blob = ((x / 5) ** 2 + (y / 7) ** 2 + (z / 10) ** 2 < 1) | (
        (x - 3) ** 2 + (y - 4) ** 2 + (z - 5) ** 2 < 16
    )
    prior = signed_distance(blob.double()[None, None])
    truth = pose3d(1.1, (0.5, -0.3, 0.4), (1.0, -1.5, 0.5))
    phi = truth.warp(prior) / 1.1
    pose = evolve(phi, [ShapePriorForce(prior, weight=1e-6)], steps=20, reinitialize_every=0).states[0]
    points = 5 * torch.eye(3, dtype=torch.float64)[None]
    assert (pose.apply(points) - truth.apply(points)).norm(dim=-1).max() < 0.1


def test_moments_of_an_empty_level_set_give_the_identity_for_that_item_only():
    phi = torch.cat([ball((32, 32), 6.0, (3.0, 0.0)), torch.full((1, 1, 32, 32), -5.0).double()])
    pose = moments_pose(phi, ball((32, 32), 9.0))
    assert pose.scale[0].item() == pytest.approx(1.5, abs=0.03)
    assert torch.allclose(pose.inverse().translation[0], torch.tensor([3.0, 0.0]).double(), atol=0.1)
    assert pose.scale[1] == 1
    assert torch.equal(pose.rotation[1], torch.eye(2, dtype=torch.float64))
    assert pose.translation[1].tolist() == [0, 0]


def test_a_robust_pose_ignores_a_missing_part():
    whole = ball((64, 64), 16.0, (2.0, -3.0))
    bitten = torch.minimum(whole, -ball((64, 64), 9.0, (2.0, 13.0)))
    prior = ball((64, 64), 12.0)
    errors = []
    for limit in (None, 0.25):
        force = ShapePriorForce(prior, weight=1e-6, pose_residual_limit=limit)
        pose = evolve(bitten, [force], steps=30, reinitialize_every=0).states[0]
        errors.append((pose.inverse().translation[0] - torch.tensor([2.0, -3.0])).norm().item())
    assert errors[1] < 0.6
    assert errors[0] > 2 * errors[1]


def test_moments_pose_never_mirrors():
    phi = bumpy_ellipse()
    pose = moments_pose(phi.flip(3), phi)
    assert torch.linalg.det(pose.rotation).item() == pytest.approx(1)


def test_canonical_prior_centres_and_averages():
    discs = torch.cat([ball((48, 48), 8.0, (5.0, -9.0)), ball((48, 48), 12.0, (-4.0, 4.0))]) > 0
    single = canonical_prior(discs[:1].double())
    assert dice(single > 0, ball((48, 48), 8.0) > 0) > 0.97
    mean = canonical_prior(discs.double())
    assert mean.shape == (1, 1, 48, 48)
    assert (mean - ball((48, 48), 8.0))[ball((48, 48), 8.0).abs() < 4].abs().max() < 0.8
    with pytest.raises(ValueError, match=r"masks \[1\] are empty"):
        canonical_prior(torch.stack([discs[0], torch.zeros_like(discs[0])]).double())
