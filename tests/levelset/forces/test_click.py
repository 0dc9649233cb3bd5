"""The force of a user's clicks: what it wants of phi, how far it reaches, and that it gets it."""

from __future__ import annotations

import math

import pytest
import torch

from monai_levelset.levelset import ClickForce, evolve
from monai_levelset.levelset.forces.click import sample

from ..fields import ball, coordinates

NAN = math.nan


def at(*points, batch=1):
    return torch.tensor(points, dtype=torch.float64).expand(batch, -1, -1)


def test_hand_values_of_velocity_and_energy():
    phi = torch.full((1, 1, 3, 5), 2.0, dtype=torch.float64)
    force = ClickForce(at((1, 1)), weight=0.5, radius=1.0)
    expected = [-math.exp(-0.5 * d * d) for d in (1, 0, 1, 2, 3)]  # -weight * error * Gaussian
    assert force(phi)[0, 0, 1].tolist() == pytest.approx(expected)
    assert force.energy(phi).item() == pytest.approx(0.5 * 0.5 * 2**2)
    background = ClickForce(None, at((1, 1)), radius=1.0, margin=1.5)
    assert background.energy(phi).item() == pytest.approx(0.5 * 3.5**2)
    assert background.energy(phi - 3.5).item() == 0
    assert not background(phi - 4).any()


def test_a_click_between_voxels_is_interpolated():
    phi = torch.arange(12.0, dtype=torch.float64).view(1, 1, 3, 4)
    force = ClickForce(at((0.5, 1.25)), level=1.0)
    assert force.errors(phi).item() == pytest.approx(0.5 * (1.25 + 5.25) - 1)
    assert sample(phi, at((0.5, 1.25))).item() == pytest.approx(3.25)


@pytest.mark.parametrize("shape", [(9, 10), (6, 7, 8)])
def test_the_velocity_is_minus_the_energys_gradient_smoothed_by_the_gaussian(shape):
    """sum_y exp(-|x - y|^2/2r^2) dE/dphi(y) is the velocity of a click on a voxel."""
    spacing, point = (0.8, 1.3, 1.1)[: len(shape)], at([n // 2 for n in shape])
    phi = ball(shape, 2.0).requires_grad_()
    force = ClickForce(point, weight=0.7, radius=1.5, spacing=spacing)
    (slope,) = torch.autograd.grad(force.energy(phi).sum(), phi)
    x = torch.stack(coordinates(shape, spacing), -1).view(-1, len(shape))
    smooth = torch.exp(-torch.cdist(x, x).square() / (2 * 1.5**2)) @ slope.flatten()
    assert torch.allclose(force(phi).flatten(), -smooth, atol=1e-9)


@pytest.mark.parametrize("shape", [(41, 41), (25, 25, 25)])
@pytest.mark.parametrize("distance", [-4.0, 5.0])
def test_the_contour_comes_to_the_click_and_stays_elsewhere(shape, distance):
    middle, radius = [(n - 1) / 2 for n in shape], 8.3
    disc = ball(shape, radius, dtype=torch.float32)
    click = [*middle[:-1], middle[-1] + radius + distance]
    result = evolve(disc, [ClickForce(at(click), radius=3.0)], steps=40)
    assert sample(result.phi, at(click).float()).abs().item() < 0.02
    half = int(middle[-1])
    assert torch.equal((result.phi > 0)[..., :half], (disc > 0)[..., :half])
    assert result.energies[0, -1] < 1e-3 * result.energies[0, 0]


def test_a_background_click_pushes_the_contour_away_and_no_farther():
    disc = ball((41, 41), 10.0, dtype=torch.float32)
    inside, outside = at((20, 26)), at((20, 35))
    pushed = evolve(disc, [ClickForce(None, inside, radius=4.0, margin=1.0)], steps=40).phi
    assert sample(pushed, inside.float()).item() == pytest.approx(-1.0, abs=0.02)
    assert (pushed > 0).sum() > 0.7 * (disc > 0).sum()
    far = ClickForce(None, outside, radius=4.0, margin=1.0)
    assert not far(disc).any()


def test_many_clicks_at_one_place_do_not_overshoot():
    phi = torch.full((1, 1, 9, 9), 3.0)
    alone = ClickForce(at((4, 4)), radius=2.0)(phi)
    crowd = ClickForce(at(*[(4, 4)] * 7), radius=2.0)(phi)
    assert crowd[0, 0, 4, 4].item() == pytest.approx(alone[0, 0, 4, 4].item())
    assert evolve(ball((41, 41), 8.0), [ClickForce(at(*[(20, 30)] * 9))], steps=30).phi.isfinite().all()


def test_a_click_has_a_radius_of_its_own_and_a_wide_one_makes_no_island():
    plane = (-coordinates((41, 61))[1] - 10)[None, None].float()  # inside on the left of column 20
    click = at((20, 36))
    narrow, wide = (
        evolve(plane, [ClickForce(click, radius=torch.tensor([[r]]))], steps=40).phi[0, 0, 20] > 0
        for r in (4.0, 9.0)
    )
    assert int((narrow[1:] != narrow[:-1]).sum()) == 3
    assert int((wide[1:] != wide[:-1]).sum()) == 1


def test_neighbouring_clicks_do_not_disturb_each_other():
    """Two clicks side by side, one far outside and one inside: no error grows and nothing overshoots."""
    disc = ball((61, 61), 15.3)
    clicks = at((30, 49), (33, 43))
    force = ClickForce(clicks, radius=6.0)
    before = force.errors(disc)[0]
    velocity = force(disc)[0, 0]
    assert velocity[30, 49].item() == pytest.approx(-before[0].item(), rel=1e-2)
    assert velocity[33, 43].item() == pytest.approx(-before[1].item(), rel=1e-2)
    assert velocity.min() >= -before.clamp_min(0).max()
    assert velocity.max() <= -before.clamp_max(0).min()
    result = evolve(disc, [force], steps=20)
    assert force.errors(result.phi).abs().max() < 0.02


def test_contour_clicks_that_hold_keep_their_place():
    disc = ball((61, 61), 15.0)
    held, moved = (30, 45), (36, 48)
    alone = ClickForce(at(moved), radius=6.0)(disc)[0, 0, 30, 45]
    beside = ClickForce(at(held, moved), radius=6.0)(disc)[0, 0, 30, 45]
    assert abs(beside) < 0.01 * abs(alone)


def test_missing_clicks_and_clicks_outside_the_grid():
    phi = ball((21, 21), 6.0)
    alone = ClickForce(at((10, 18)))(phi)
    padded = torch.tensor([[[NAN, 3.0], [10.0, 18.0], [NAN, NAN]]])
    nothing = torch.full((1, 2, 2), NAN)
    assert torch.equal(ClickForce(padded, nothing)(phi), alone)
    assert not ClickForce(nothing)(phi).any()
    assert not ClickForce(nothing[:, :0], nothing)(phi).any()
    assert torch.equal(ClickForce(at((10, 99)))(phi), ClickForce(at((10, 20)))(phi))


def test_items_have_clicks_levels_and_margins_of_their_own():
    phi = ball((21, 21), 6.0).expand(2, -1, -1, -1)
    clicks = torch.tensor([[[10.0, 18.0]], [[4.0, NAN]]], dtype=torch.float64)
    level = torch.tensor([0.5, 2.0], dtype=torch.float64)
    errors = ClickForce(clicks, at((10, 12)), level=level, margin=level).errors(phi)
    assert errors[0].tolist() == pytest.approx([-2.5, 4.5])
    assert errors[1].tolist() == pytest.approx([0, 6.0])


def test_differentiable_through_the_evolution():
    click = torch.tensor([[[10.0, 18.3]]], dtype=torch.float64, requires_grad=True)
    phi = evolve(ball((21, 21), 6.0), [ClickForce(click, radius=3.0)], steps=10).phi
    (slope,) = torch.autograd.grad((phi.sigmoid()).sum(), click)
    assert slope[0, 0, 1] > 0  # a click farther out, a larger inside
    assert slope.isfinite().all()


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((), {}, "There is no click"),
        ((torch.zeros(2, 2),), {}, r"`contour` must be \(B, N, 2\) or \(B, N, 3\), got shape \(2, 2\)"),
        ((None, torch.zeros(1, 2, 4)), {}, "`background` must be"),
        ((torch.zeros(1, 2, 2), torch.zeros(1, 2, 3)), {}, "same items and axes"),
        ((torch.zeros(2, 2, 2), torch.zeros(3, 2, 2)), {}, "same items and axes"),
        ((torch.zeros(1, 1, 2),), {"radius": 0.0}, "`radius` must be positive"),
        ((torch.zeros(1, 1, 2),), {"radius": torch.tensor([[NAN]])}, "`radius` must be positive"),
    ],
)
def test_refused_arguments(arguments, options, words):
    with pytest.raises(ValueError, match=words):
        ClickForce(*arguments, **options)


@pytest.mark.parametrize("shape", [(1, 1, 4, 4, 4), (3, 1, 4, 4), (2, 2, 4, 4)])
def test_level_sets_that_do_not_fit_are_refused(shape):
    with pytest.raises(ValueError, match=r"Clicks of shape \(2, 1, 2\) move level sets"):
        ClickForce(torch.zeros(2, 1, 2))(torch.zeros(shape))
