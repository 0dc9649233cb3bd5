"""Shape and appearance helpers against formulas."""

from __future__ import annotations

import numpy as np
import pytest

from monai_levelset.data.phantoms.appearance import bias_field, ct_noise, paint, rician, to_int16
from monai_levelset.data.phantoms.case import lps_affine
from monai_levelset.data.phantoms.shapes import branches, ellipsoid, grid, smooth_field, spline_basis, tubes


def test_ball_distance_is_exact() -> None:
    coords = grid((9, 11, 5), (1.0, 0.8, 2.0))
    ball = ellipsoid(coords, (0.5, -0.3, 0.7), (3.0, 3.0, 3.0))
    x, y, z = coords
    np.testing.assert_allclose(ball, 3 - np.sqrt((x - 0.5) ** 2 + (y + 0.3) ** 2 + (z - 0.7) ** 2), atol=1e-4)


def test_ellipse_is_positive_exactly_inside_also_when_turned() -> None:
    x, y = grid((61, 61), (0.5, 0.5))
    angle = 0.6
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    level = 1 - (u / 11) ** 2 - (v / 5) ** 2
    turned = ellipsoid((x, y), (0, 0), (11, 5), angle)
    clear = np.abs(level) > 1e-3
    np.testing.assert_array_equal((turned > 0)[clear], (level > 0)[clear])
    gradient = np.hypot(*np.gradient(turned, 0.5))
    assert gradient[np.abs(turned) < 0.7].mean() == pytest.approx(1, abs=0.05)


def test_smooth_field_is_standardised_and_smooth() -> None:
    field = smooth_field(np.random.default_rng(0), (64, 48), (1.0, 2.0), 16.0)
    assert field.mean() == pytest.approx(0, abs=1e-4)
    assert field.std() == pytest.approx(1, abs=1e-4)
    assert np.abs(np.diff(field, axis=0)).max() < 0.5


def test_spline_basis_is_the_cubic_b_spline() -> None:
    row = spline_basis(1, 1.0)[0]
    np.testing.assert_allclose(row[:3], [1 / 6, 4 / 6, 1 / 6], rtol=1e-6)


def test_tube_around_a_straight_line() -> None:
    points = np.stack([np.arange(-10, 10.1, 0.5), np.zeros(41)], axis=1)
    distance = tubes((41, 21), (0.5, 0.5), points, np.full(41, 2.0))
    _, y = grid((41, 21), (0.5, 0.5))
    np.testing.assert_allclose(distance, np.broadcast_to(2 - np.abs(y), distance.shape), atol=1e-5)


def test_tube_outside_the_grid_is_nowhere() -> None:
    assert tubes((5, 5), (1.0, 1.0), np.array([[99.0, 0.0]]), np.array([1.0])).max() < 0


def test_branches_split_and_get_thinner() -> None:
    tree = branches(np.random.default_rng(0), (0, 0), (1, 0), length=7, radius=2, generations=2, step=0.7)
    points, radii = tree
    assert points.shape == (len(radii), 2)
    assert radii.max() == 2
    assert radii.min() == pytest.approx(2 * 0.78**2 * 0.8)
    np.testing.assert_allclose(np.linalg.norm(np.diff(points[:10], axis=0), axis=1), 0.7)


def test_paint_mixes_at_the_border() -> None:
    image = np.full(5, 2.0)
    paint(image, np.array([-2, -0.5, 0, 0.5, 2]), 4.0, edge=2.0)
    np.testing.assert_allclose(image, [2.0, 2.5, 3.0, 3.5, 4.0])


def test_rician_noise_has_its_known_moments() -> None:
    rng = np.random.default_rng(0)
    air = rician(rng, np.zeros(100_000, np.float32), 0.5)
    assert air.mean() == pytest.approx(0.5 * np.sqrt(np.pi / 2), rel=0.01)
    tissue = rician(rng, np.full(100_000, 3.0, np.float32), 0.5)
    assert (tissue**2).mean() == pytest.approx(9 + 2 * 0.25, rel=0.01)


def test_ct_noise_has_the_asked_deviation_and_is_correlated_in_the_plane_only() -> None:
    noise = ct_noise(np.random.default_rng(0), (64, 64, 16), 12.0)
    assert noise.std() == pytest.approx(12, rel=1e-3)
    within = np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1]
    across = np.corrcoef(noise[..., 1:].ravel(), noise[..., :-1].ravel())[0, 1]
    assert within > 0.3
    assert abs(across) < 0.03


def test_bias_field_is_positive_with_the_asked_strength() -> None:
    field = bias_field(np.random.default_rng(0), (40, 40), (1.0, 1.0), strength=0.3, scale=20.0)
    assert field.min() > 0
    assert np.log(field).std() == pytest.approx(0.3, abs=1e-3)


def test_to_int16_rounds_and_clips() -> None:
    assert to_int16(np.array([1.6, -40000.0, 40000.0])).tolist() == [2, -32768, 32767]


def test_lps_affine_by_hand() -> None:
    affine = lps_affine((3, 5, 2), (1.0, 2.0, 4.0))
    np.testing.assert_allclose(affine, [[-1, 0, 0, 1], [0, -2, 0, 4], [0, 0, 4, -2], [0, 0, 0, 1]])
