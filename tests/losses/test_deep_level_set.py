"""Deep-level-set criterion: each term against hand values and loops, then their sum."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_levelset.levelset import signed_distance
from monai_levelset.losses import (
    DeepLevelSetLoss,
    DeepLevelSetOutput,
    class_balanced_cross_entropy,
    deep_level_set_loss,
    direction_loss,
    distance_loss,
    level_set_loss,
    true_direction,
)

STEPS = {"arctan": lambda x: 0.5 + math.atan(x) / math.pi, "tanh": lambda x: 0.5 * (1 + math.tanh(x))}


def positions(shape, spacing=None):
    """Voxel centres in mm relative to the middle, `(D, *shape)`."""
    spacing = spacing or (1.0,) * len(shape)
    axes = [(torch.arange(n) - (n - 1) / 2) * h for n, h in zip(shape, spacing, strict=True)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij")).double()


def ball(shape, radius, spacing=None):
    """Signed distance `(1, 1, *shape)` of a disc or ball in the middle."""
    return (radius - positions(shape, spacing).norm(dim=0))[None, None]


def cross_entropy_by_loops(phi, mask, eps, kind) -> float:
    voxels = list(itertools.product(*map(range, phi.shape)))
    share = sum(mask[i].item() for i in voxels) / len(voxels)
    positive, negative = (1 - share, share) if 0 < share < 1 else (0.5, 0.5)
    total = 0.0
    for i in voxels:
        h, y = STEPS[kind](phi[i].item() / eps), mask[i].item()
        total -= positive * y * math.log(h) + negative * (1 - y) * math.log(1 - h)
    return total / len(voxels)


def level_sets(shape=(4, 5), b=3, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    phi = 3 * torch.randn(b, 1, *shape, dtype=dtype, generator=generator)
    mask = (torch.rand(b, 1, *shape, dtype=dtype, generator=generator) > 0.6).to(dtype)
    mask[-1] = 0
    return phi, mask


@pytest.mark.parametrize("kind", STEPS)
@pytest.mark.parametrize("shape", [(4, 5), (2, 3, 4)])
def test_cross_entropy_is_the_definition(kind, shape):
    phi, mask = level_sets(shape)
    for eps in (1.0, 2.5):
        expected = [cross_entropy_by_loops(phi[i, 0], mask[i, 0], eps, kind) for i in range(3)]
        options = {"eps": eps, "heaviside": kind}
        losses = class_balanced_cross_entropy(phi, mask, reduction="none", **options)
        # 1e-9: the 1 - h of the loops cancels where h is near 1
        assert losses.tolist() == pytest.approx(expected, rel=1e-9)
        assert class_balanced_cross_entropy(phi, mask, **options).item() == pytest.approx(sum(expected) / 3)
        total = class_balanced_cross_entropy(phi, mask, reduction="sum", **options)
        assert total.item() == pytest.approx(sum(expected))


def test_both_classes_weigh_the_same():
    mask = torch.zeros(1, 1, 4, 5, dtype=torch.float64)
    mask[..., 0, :2] = 1
    phi = torch.zeros_like(mask).requires_grad_()
    class_balanced_cross_entropy(phi, mask).backward()
    assert phi.grad[mask > 0].sum().item() == pytest.approx(-phi.grad[mask == 0].sum().item())


@pytest.mark.parametrize("kind", STEPS)
def test_cross_entropy_gradient(kind):
    phi, mask = level_sets()
    phi.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: class_balanced_cross_entropy(x, mask, heaviside=kind, reduction="none"), phi
    )


@pytest.mark.parametrize("distance", [1e1, 1e3, 1e6])
def test_far_voxels_are_reached_with_the_slope_one_over_distance(distance):
    phi = torch.tensor([[[[-distance, distance]]]], requires_grad=True)
    loss = class_balanced_cross_entropy(phi, torch.tensor([[[[1.0, 0.0]]]]))
    loss.backward()
    # H(-x) = 1/(pi x) far out; two voxels with the weight 1/2 each
    assert loss.item() == pytest.approx(0.5 * math.log(math.pi * distance), rel=1e-2)
    expected = [-0.25 / distance, 0.25 / distance]
    assert phi.grad.flatten().tolist() == pytest.approx(expected, rel=1e-2)


def test_half_precision_is_summed_in_float32():
    phi = torch.full((1, 1, 256, 512), -60000.0, dtype=torch.float16, requires_grad=True)
    loss = class_balanced_cross_entropy(phi, torch.ones(1, 1, 256, 512))
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(0.5 * math.log(math.pi * 60000), rel=1e-3)


def test_distance_is_truncated_and_the_prediction_is_not():
    distance = torch.tensor([-100.0, -3.0, 2.0, 50.0]).view(1, 1, 2, 2)
    phi0 = torch.tensor([-40.0, -3.0, 5.0, 30.0]).view(1, 1, 2, 2).requires_grad_()
    loss = distance_loss(phi0, distance)
    loss.backward()
    assert loss.item() == (10**2 + 0 + 3**2 + 0) / 4
    assert phi0.grad.flatten().tolist() == [-5.0, 0.0, 1.5, 0.0]
    assert distance_loss(phi0, distance, limit=2.0, reduction="none").tolist() == [
        (38**2 + 1**2 + 3**2 + 28**2) / 4
    ]


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (2.0, 0.5), (3.0, 0.7, 0.7)])
def test_true_direction_points_away_from_a_circle(spacing):
    shape = (9, 40, 40)[3 - len(spacing) :]
    if len(spacing) == 2:
        shape = (24, 60)
    phi = ball(shape, 8.0, spacing=spacing)
    direction = true_direction(phi, spacing)
    position = positions(shape, spacing)
    radius = position.norm(dim=0)
    radial = position / radius.clamp_min(1e-6) * -phi[0].sign()  # outwards outside, inwards inside
    cosine = (direction[0] * radial).sum(0)
    assert (cosine[radius > 4 * max(spacing)] > 0.98).all()


def test_true_direction_is_undefined_where_there_is_nothing_to_point_from():
    assert not true_direction(signed_distance(torch.zeros(1, 1, 6, 6))).any()
    ridge = torch.tensor([0.5, 1.5, 2.5, 1.5, 0.5]).expand(1, 1, 2, 5)
    expected = torch.tensor([[0.0] * 5, [1.0, 1.0, 0.0, -1.0, -1.0]])
    assert torch.equal(true_direction(ridge)[0, :, 0], expected)
    truncated = torch.tensor([-2.5, -1.5, -0.5, 0.5]).expand(1, 1, 2, 4).clamp(-1.5, 1.5)
    assert true_direction(truncated)[0, 1, 0].tolist() == [0.0, -1.0, -1.0, 1.0]


@pytest.mark.parametrize("length", [1e-1, 1.0, 1e3])
@pytest.mark.parametrize("degrees", [0.0, 30.0, 90.0, 179.0, 180.0])
def test_direction_loss_is_the_squared_angle(degrees, length):
    u = torch.tensor([0.6, -0.8], dtype=torch.float64).view(1, 2, 1, 1)
    angle = math.radians(degrees)
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    v = (length * (turn.double() @ u.view(2, 1))).view(1, 2, 1, 1).requires_grad_()
    loss = direction_loss(v, u)
    loss.backward()
    # an offset of 1e-3 across the direction keeps the gradient finite: 1e-3/|V| radians at most
    assert loss.sqrt().item() == pytest.approx(angle, abs=1.01e-3 / length)
    assert v.grad.isfinite().all()
    if degrees in (0.0, 30.0, 90.0):
        assert v.grad.norm().item() == pytest.approx(2 * angle / length, rel=0.02, abs=2.01e-6 / length**3)


def test_direction_loss_skips_voxels_without_a_direction():
    u = torch.zeros(2, 2, 2, 2)
    u[0, 0, 0, 0] = 1
    v = torch.ones(2, 2, 2, 2, requires_grad=True)
    losses = direction_loss(v, u, reduction="none")
    losses.sum().backward()
    assert losses.tolist() == pytest.approx([(math.pi / 4) ** 2, 0.0], rel=1e-5)
    assert v.grad.abs().sum((0, 1)).count_nonzero() == 1


@pytest.mark.parametrize("dims", [2, 3])
def test_motion_along_the_true_direction_moves_the_contour_onto_the_mask(dims):
    """The convention: with phi += dt delta <V, grad phi>, V = `true_direction` must draw the contour in."""
    shape = (25,) * dims
    target = ball(shape, 7.0)
    direction = true_direction(target)
    for radius in (4.0, 10.0):
        phi = ball(shape, radius).float().double()
        before = ((phi > 0) != (target > 0)).sum()
        for _ in range(12):
            slopes = torch.stack(torch.gradient(phi[:, 0], dim=list(range(1, dims + 1))), 1)
            phi = phi + 0.25 * (direction * slopes).sum(1, keepdim=True)
        assert ((phi > 0) != (target > 0)).sum() < 0.5 * before


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.floats(0.5, 5))
def test_direction_loss_is_bounded_and_ignores_lengths(seed, factor):
    generator = torch.Generator().manual_seed(seed)
    distance = 3 * torch.randn(1, 1, 4, 5, dtype=torch.float64, generator=generator)
    v = torch.randn(1, 2, 4, 5, dtype=torch.float64, generator=generator)
    v = v / v.norm(dim=1, keepdim=True)
    direction = true_direction(distance)
    loss = direction_loss(v, direction).item()
    assert 0 <= loss <= math.pi**2
    assert direction_loss(factor * v, direction).item() == pytest.approx(loss, abs=2e-2)
    opposite = direction_loss(-v, direction).sqrt().item()
    assert opposite <= math.pi + 1e-9


def network_output(seed=0):
    generator = torch.Generator().manual_seed(seed)
    mask = torch.zeros(2, 1, 12, 10)
    mask[0, 0, 3:8, 2:7] = 1
    mask[1, 0, 5:, 4:] = 1
    tensors = [torch.randn(2, c, 12, 10, generator=generator) for c in (1, 1, 2, 1)]
    phi, phi0, motion, p = tensors
    return DeepLevelSetOutput(phi=phi, phi0=phi0, motion=motion, probability=p.sigmoid()), mask


def test_criterion_is_the_weighted_sum_of_its_terms():
    output, mask = network_output()
    distance = signed_distance(mask)
    weights = {
        "cross_entropy_weight": 3.0, "boundary_weight": 0.1, "distance_weight": 0.5, "direction_weight": 2.0,
    }  # fmt: skip
    criterion = DeepLevelSetLoss(warm_up=True, limit=2.0, boundary_eps=0.1, eps=2.0, **weights)
    expected = {
        "cross_entropy": 3.0 * class_balanced_cross_entropy(output.phi, mask, eps=2.0),
        "boundary": 0.1 * level_set_loss(output.probability, mask, eps=0.1),
        "distance": 0.5 * distance_loss(output.phi0, distance, limit=2.0),
        "direction": 2.0 * direction_loss(output.motion, true_direction(distance)),
    }
    for given_distance in (None, distance):
        parts = criterion.parts(output, mask, given_distance)
        assert {k: v.item() for k, v in parts.items()} == pytest.approx(
            {k: v.item() for k, v in expected.items()}
        )
        total = criterion(output, mask, given_distance)
        assert total.item() == pytest.approx(sum(v.item() for v in expected.values()))
    options = {"warm_up": True, "limit": 2.0, "boundary_eps": 0.1, "eps": 2.0, **weights}
    assert torch.equal(deep_level_set_loss(output._asdict(), mask, **options), total)
    criterion.warm_up = False
    assert [*criterion.parts(output, mask)] == ["cross_entropy", "boundary"]


def test_distance_in_mm_follows_the_spacing():
    output, mask = network_output()
    criterion = DeepLevelSetLoss(warm_up=True, spacing=(2.0, 0.5))
    distance = signed_distance(mask, (2.0, 0.5))
    parts = criterion.parts(output, mask)
    assert parts["distance"].item() == pytest.approx(distance_loss(output.phi0, distance).item())
    direction = true_direction(distance, (2.0, 0.5))
    assert parts["direction"].item() == pytest.approx(direction_loss(output.motion, direction).item())


def test_missing_outputs_are_skipped_only_when_switched_off():
    output, mask = network_output()
    bare = {"phi": output.phi}
    with pytest.raises(ValueError, match="no `probability`.*`boundary_weight=0`"):
        DeepLevelSetLoss()(bare, mask)
    criterion = DeepLevelSetLoss(boundary_weight=0.0, warm_up=True, direction_weight=0.0)
    with pytest.raises(ValueError, match="no `phi0`.*`distance_weight=0`"):
        criterion(bare, mask)
    assert [*criterion.parts({**bare, "phi0": output.phi0}, mask)] == ["cross_entropy", "distance"]
    criterion.warm_up = False
    assert [*criterion.parts(DeepLevelSetOutput(output.phi), mask)] == ["cross_entropy"]
    with pytest.raises(ValueError, match="switched off"):
        DeepLevelSetLoss(cross_entropy_weight=0.0, boundary_weight=0.0)(bare, mask)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda phi, m: class_balanced_cross_entropy(phi, m[:, :, 1:]), "one shape"),
        (lambda phi, m: class_balanced_cross_entropy(phi[0], m[0]), r"\(B, C, H, W\)"),
        (lambda phi, m: class_balanced_cross_entropy(phi, m, heaviside="sine"), "far from the contour"),
        (lambda phi, m: class_balanced_cross_entropy(phi, m, eps=-1.0), "positive"),
        (lambda phi, m: class_balanced_cross_entropy(phi, m, reduction="total"), "choose one of"),
        (lambda phi, m: distance_loss(phi, m, limit=0.0), "positive distance"),
        (lambda phi, m: distance_loss(phi, m[..., 1:]), "one shape"),
        (lambda phi, m: direction_loss(phi, m.expand(-1, 2, -1, -1)), "one shape"),
        (lambda phi, m: true_direction(phi.expand(-1, 2, -1, -1)), "one channel"),
        (lambda phi, m: true_direction(phi, (1.0,)), "one value per spatial axis"),
        (lambda phi, m: DeepLevelSetLoss(distance_weight=-1.0), "negative"),
        (lambda phi, m: DeepLevelSetLoss(eps=0.0), "positive"),
        (lambda phi, m: DeepLevelSetLoss(boundary_eps=-0.1), "positive"),
        (lambda phi, m: DeepLevelSetLoss(heaviside="sine"), "far from the contour"),
        (lambda phi, m: DeepLevelSetLoss(limit=0.0), "positive distance"),
    ],
)
def test_refuses(call, message):
    phi, mask = level_sets()
    with pytest.raises(ValueError, match=message):
        call(phi, mask)
