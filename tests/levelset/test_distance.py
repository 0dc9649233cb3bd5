"""Signed distance against an oracle, SciPy and SimpleITK; re-initialisation against analytic fields."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from monai_levelset.levelset import gradient_magnitude, reinitialize, signed_distance

from .fields import ball, brute_force_candidates, coordinates


def random_mask(shape, seed, density=0.4):
    return np.random.default_rng(seed).random(shape) < density


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [
        ((9, 11), (1.0, 1.0)),
        ((9, 11), (2.0, 2.0)),
        ((9, 11), (1.0, 3.0)),
        ((5, 6, 7), (1.0, 1.0, 1.0)),
        ((5, 6, 7), (5.0, 0.75, 1.25)),
    ],
)
@pytest.mark.parametrize("density", [0.03, 0.5, 0.97])
def test_equals_the_brute_force_oracle(shape, spacing, density):
    mask = random_mask(shape, 3, density)
    phi = signed_distance(torch.from_numpy(mask)[None, None].double(), spacing).numpy().ravel()
    for value, allowed in zip(phi, brute_force_candidates(mask, spacing), strict=True):
        assert min(abs(value - a) for a in allowed) < 1e-9


def test_hand_values_with_anisotropic_voxels():
    # One voxel of 2 x 3 mm: its faces are 1 mm away along axis 0 and 1.5 mm along axis 1.
    mask = torch.zeros(1, 1, 3, 3)
    mask[..., 1, 1] = 1
    phi = signed_distance(mask, (2.0, 3.0))[0, 0]
    assert phi[1, 1].item() == pytest.approx(2 - 1)
    assert phi[0, 1].item() == pytest.approx(-(2 - 1))
    assert phi[1, 0].item() == pytest.approx(-(3 - 1.5))
    corner = math.hypot(2, 3)
    assert phi[0, 0].item() == pytest.approx(-(corner - 0.5 * math.hypot(4, 9) / corner))


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 2.0)])
def test_empty_full_and_single_voxel_are_finite(spacing):
    empty = torch.zeros(1, 1, 6, 8)
    diagonal = math.hypot(6 * spacing[0], 8 * spacing[1])
    assert signed_distance(empty, spacing).unique().tolist() == pytest.approx([-diagonal])
    assert signed_distance(empty + 1, spacing).unique().tolist() == pytest.approx([diagonal])
    single = empty.clone()
    single[..., 2, 2] = 1
    phi = signed_distance(single, spacing)
    assert torch.isfinite(phi).all()
    assert (phi > 0).sum() == 1
    assert torch.isfinite(signed_distance(torch.ones(1, 1, 1, 1, 1))).all()


def test_agrees_with_scipy_and_with_itk():
    mask = random_mask((40, 50), 1, 0.9)
    phi = signed_distance(torch.from_numpy(mask)[None, None].double(), (2.0, 2.0))[0, 0].numpy()
    scipy_inside = distance_transform_edt(mask, sampling=2.0) - 1
    assert np.abs(np.where(mask, phi - scipy_inside, 0)).max() < 1e-9
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing((2.0, 2.0))
    itk = sitk.SignedMaurerDistanceMap(
        image, insideIsPositive=True, squaredDistance=False, useImageSpacing=True
    )
    # ITK puts the contour on the centres of the outermost inside voxels: half a voxel (1 mm) further in.
    outside = ~mask
    assert np.abs(sitk.GetArrayFromImage(itk)[outside] - (phi[outside] - 1)).max() < 1e-5


@pytest.mark.parametrize("shape", [(64, 90), (12, 40, 30), (30, 9, 40)])
@pytest.mark.parametrize("density", [0.01, 0.97])
def test_same_numbers_without_opencv(monkeypatch, shape, density):
    pytest.importorskip("cv2")
    mask = torch.from_numpy(random_mask(shape, 7, density))[None, None].double()
    with_cv2 = signed_distance(mask)
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert torch.equal(signed_distance(mask), with_cv2)


@pytest.mark.parametrize("shape", [(300, 420), (20, 60, 50)])
def test_equals_scipy_to_the_last_bit(shape):
    x = coordinates(shape)
    waves = sum((a / (3 + i)).sin() for i, a in enumerate(x)) + 0.02 * x[0]
    mask = (waves > 0.7).numpy()
    scipy = np.where(mask, distance_transform_edt(mask) - 0.5, 0.5 - distance_transform_edt(~mask))
    phi = signed_distance(torch.from_numpy(mask)[None, None].double())[0, 0].numpy()
    assert np.array_equal(phi, scipy)
    single = signed_distance(torch.from_numpy(mask)[None, None].float())[0, 0].numpy()
    assert np.array_equal(single, scipy.astype(np.float32))


@st.composite
def masks_and_spacings(draw):
    """Sparse, dense, thin and off-centre masks, 2D and 3D; often with two axes of equal spacing."""
    shape = tuple(draw(st.lists(st.integers(1, 7), min_size=2, max_size=3)))
    mask = random_mask(shape, draw(st.integers(0, 10_000)), draw(st.sampled_from([0.05, 0.5, 0.95])))
    for axis in range(len(shape)):
        start = draw(st.integers(0, shape[axis] - 1))
        np.moveaxis(mask, axis, 0)[:start] = draw(st.booleans())
    sizes = st.sampled_from([0.7, 1.0, 2.5])
    spacing = draw(st.lists(sizes, min_size=len(shape), max_size=len(shape)))
    return mask, tuple(spacing)


@settings(max_examples=150)
@given(masks_and_spacings(), st.sampled_from([0.4, 1.7, 5.0, math.inf]))
def test_any_mask_equals_the_oracle_with_any_limit(case, limit):
    mask, spacing = case
    phi = signed_distance(torch.from_numpy(mask)[None, None].double(), spacing, limit)[0, 0].numpy()
    if mask.all() or not mask.any():
        diagonal = math.hypot(*(n * s for n, s in zip(mask.shape, spacing, strict=True)))
        expected = min(diagonal, limit) * (1 if mask.all() else -1)
        assert phi.ravel() == pytest.approx(np.full(mask.size, expected))
        return
    for value, allowed in zip(phi.ravel(), brute_force_candidates(mask, spacing), strict=True):
        assert min(abs(value - min(max(a, -limit), limit)) for a in allowed) < 1e-9


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.sampled_from([(1.0, 1.0), (1.0, 2.7)]), st.sampled_from([[2], [3], [2, 3]]))
def test_symmetries(seed, spacing, axes):
    mask = torch.from_numpy(random_mask((8, 9), seed))[None, None].float()
    phi = signed_distance(mask, spacing)
    assert torch.equal(phi > 0, mask > 0)
    assert torch.allclose(signed_distance(1 - mask, spacing), -phi)
    assert torch.allclose(signed_distance(mask.flip(axes), spacing), phi.flip(axes), atol=1e-5)


def test_batch_dtype_limit_and_input_untouched():
    masks = torch.from_numpy(random_mask((3, 1, 12, 12), 5, 0.9))
    before = masks.clone()
    phi = signed_distance(masks, limit=2.0)
    assert phi.dtype == torch.float32
    assert phi.abs().max() <= 2
    assert torch.equal(phi[1:2], signed_distance(masks[1:2], limit=2.0))
    assert torch.equal(masks, before)
    assert signed_distance(masks.double().requires_grad_()).dtype == torch.float64
    assert not signed_distance(masks.double().requires_grad_()).requires_grad


def test_errors():
    with pytest.raises(ValueError, match=r"\(B, 1, H, W\)"):
        signed_distance(torch.zeros(1, 2, 4, 4))
    with pytest.raises(ValueError, match="limit"):
        signed_distance(torch.zeros(1, 1, 4, 4), limit=0.0)
    with pytest.raises(ValueError, match="spacing"):
        signed_distance(torch.zeros(1, 1, 4, 4), (1.0, 0.0))
    with pytest.raises(ValueError, match="steps"):
        reinitialize(torch.zeros(1, 1, 4, 4), steps=-1)


@pytest.mark.parametrize(
    ("shape", "spacing", "radius"),
    [((48, 48), (1.0, 1.0), 14.3), ((48, 32), (1.0, 1.5), 14.3), ((32, 32, 32), (1.0, 1.0, 1.0), 9.7)],
)
def test_reinitialize_restores_the_distance_and_keeps_the_contour(shape, spacing, radius):
    exact = ball(shape, radius, spacing=spacing)
    tilt = 1 + 0.3 * torch.sin(coordinates(shape, spacing)[0] / 5)
    distorted = exact * (2.5 * tilt)[None, None]
    out = reinitialize(distorted, spacing, steps=40)
    band = exact.abs() < 4
    assert (out - exact)[band].abs().max() < 0.35
    assert (gradient_magnitude(out, spacing) - 1)[band].abs().mean() < 0.04
    assert torch.equal(out > 0, distorted > 0)
    assert zero_level_error(out[0, 0], radius, spacing) < 0.1


def zero_level_error(phi, radius, spacing):
    """Largest distance of the linearly interpolated zero crossings along axis 0 from the circle, in mm."""
    x = coordinates(phi.shape, spacing)
    a, b = phi[:-1], phi[1:]
    crossing = (a > 0) != (b > 0)
    fraction = (a / (a - b))[crossing]
    first = x[0][:-1][crossing] + fraction * spacing[0]
    others = sum(c[:-1][crossing] ** 2 for c in x[1:])
    return ((first**2 + others).sqrt() - radius).abs().max().item()


def test_reinitialize_repeatedly_does_not_drift():
    phi = start = ball((48, 48), 14.3)
    for _ in range(20):
        phi = reinitialize(phi, steps=5)
    assert zero_level_error(phi[0, 0], 14.3, (1.0, 1.0)) < 0.1
    assert (phi - start)[start.abs() < 3].abs().max() < 0.2


def test_reinitialize_thin_and_missing_structures_stay_finite():
    single = -torch.ones(1, 1, 9, 9)
    single[..., 4, 4] = 1
    out = reinitialize(single)
    assert torch.isfinite(out).all()
    assert torch.equal(out > 0, single > 0)
    assert 0.2 < out[0, 0, 4, 4] < 1
    for value in (5.0, -5.0):
        missing = torch.full((1, 1, 9, 9), value)
        both = reinitialize(torch.cat([single, missing]))
        assert torch.equal(both, torch.cat([out, missing]))


def test_reinitialize_is_differentiable():
    phi = 1.7 * ball((9, 9), 3.1) + 0.02 * torch.randn(1, 1, 9, 9, generator=torch.manual_seed(0)).double()
    phi.requires_grad_()
    assert torch.autograd.gradcheck(lambda p: reinitialize(p, steps=4), phi, fast_mode=True)
