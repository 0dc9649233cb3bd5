"""What every solver of the package must do; one line per solver in `SOLVERS`."""

from __future__ import annotations

import math

import pytest
import torch
from monai.data import MetaTensor

from monai_levelset.levelset import (
    ResultCode,
    chan_vese,
    checkerboard,
    drlse,
    geodesic_active_contour,
    multiphase_chan_vese,
)

from .fields import ball

SHAPES = [(20, 24), (12, 14, 13)]
SOLVERS = {
    "chan_vese": lambda image, mask, **o: chan_vese(image, **{"steps": 40, **o}),
    "chan_vese from a mask": lambda image, mask, **o: chan_vese(image, mask, **{"steps": 40, **o}),
    "multiphase_chan_vese": lambda image, mask, **o: multiphase_chan_vese(image, **{"steps": 40, **o}),
    "geodesic_active_contour": lambda image, mask, **o: geodesic_active_contour(
        image, mask, **{"steps": 30, "balloon": -0.4, **o}
    ),
    "drlse": lambda image, mask, **o: drlse(image, mask, **{"steps": 30, "balloon": -2.0, **o}),
}

every = pytest.mark.parametrize("solve", SOLVERS.values(), ids=[*SOLVERS])
shapes = pytest.mark.parametrize("shape", SHAPES, ids=["2D", "3D"])


def picture(shape, batch=2, dtype=torch.float32):
    """Bright balls of -1000 and 24 HU, and a mask around them."""
    radius = ball(shape, 0.0).neg().sqrt()
    image = torch.cat([torch.sigmoid(4 * (2 + 0.1 * i - radius)) for i in range(batch)])
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    image = (64 * (16 * image + 0.5 * noise)).round() - 1000  # whole numbers: exact in float32 and float16
    return image.to(dtype), (radius < 2.3).expand(batch, 1, *shape).contiguous()


@every
@shapes
def test_flips_and_the_order_of_the_axes_change_nothing(solve, shape):
    image, mask = picture(shape, dtype=torch.float64)
    spacing = (0.8, 1.3, 1.1)[: len(shape)]
    expected = solve(image, mask, spacing=spacing, steps=15)
    assert 0 < expected.mask().float().mean() < 1
    for axis in range(2, 2 + len(shape)):
        flipped = solve(image.flip(axis), mask.flip(axis), spacing=spacing, steps=15)
        assert torch.allclose(flipped.phi.flip(axis), expected.phi, atol=1e-8)
    order = [len(shape) - 1, *range(len(shape) - 1)]
    dims = [0, 1, *(a + 2 for a in order)]
    turned = solve(image.permute(dims), mask.permute(dims), spacing=[spacing[a] for a in order], steps=15)
    assert torch.allclose(turned.phi, expected.phi.permute(dims), atol=1e-8)


@every
@shapes
def test_units_items_layouts_and_metatensors_change_nothing(solve, shape):
    image, mask = picture(shape, dtype=torch.float64)  # in float32 rounding is amplified to 1e-3
    copies = image.clone(), mask.clone()
    expected = solve(image, mask)
    assert torch.equal(solve(image, mask).phi, expected.phi)  # bit for bit
    assert torch.equal(image, copies[0])
    assert torch.equal(mask, copies[1])
    for i in range(2):
        assert torch.allclose(solve(image[i : i + 1], mask[i : i + 1]).phi[0], expected.phi[i], atol=1e-8)
    last = torch.channels_last if len(shape) == 2 else torch.channels_last_3d
    for other in (image + 30000, image / 8, image.to(memory_format=last), image.mT.contiguous().mT):
        assert torch.allclose(solve(other, mask).phi, expected.phi, atol=1e-8)
    meta = solve(MetaTensor(image), MetaTensor(mask))
    assert all(type(x) is torch.Tensor for x in (meta.phi, meta.code, meta.energies, meta.mask()))
    assert torch.equal(meta.phi, expected.phi)


@every
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_autocast_are_computed_in_float32(solve, dtype):
    image, mask = picture((20, 24))
    half = image.to(dtype)
    expected = solve(half.float(), mask)
    with torch.autocast("cpu", dtype):
        result = solve(half, mask)
        same = solve(half.float(), mask)
    assert result.phi.dtype == torch.float32
    assert torch.equal(result.phi, expected.phi)
    assert torch.equal(same.phi, expected.phi)


@every
@shapes
@pytest.mark.parametrize("image", ["constant", "one bright voxel", "one dark voxel", "two values"])
@pytest.mark.parametrize("start", ["empty", "full", "one voxel", "all but one", "half"])
def test_pictures_and_starts_without_extent_end_sanely(solve, shape, image, start):
    x = torch.full((1, 1, *shape), -1000.3)
    mask = torch.full((1, 1, *shape), start in ("full", "all but one"))
    middle = tuple(n // 2 for n in shape)
    if image in ("one bright voxel", "one dark voxel"):
        x[(0, 0, *middle)] += 500 if image == "one bright voxel" else -500
    if image == "two values":
        x[..., : shape[-1] // 2] += 2000
    if start in ("one voxel", "all but one"):
        mask[(0, 0, *middle)] = start == "one voxel"
    if start == "half":
        mask[..., : shape[-1] // 2] = True
    result = solve(x, mask, steps=12)
    assert result.phi.isfinite().all()
    assert result.energies.isfinite().all()
    assert result.code.item() != ResultCode.DIVERGED


@every
@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (1, 1), (1, 5, 6)])
def test_images_one_voxel_thin(solve, shape):
    image = torch.rand(1, 1, *shape, generator=torch.Generator().manual_seed(0))
    result = solve(image, image > 0.5)
    assert result.phi.isfinite().all()
    assert result.phi.shape[2:] == image.shape[2:]


@every
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_an_item_that_is_not_finite_is_reported_and_does_not_touch_the_others(solve, value):
    image, mask = picture((20, 24))
    broken = image.clone()
    broken[0, 0, 3, 3] = value
    result = solve(broken, mask)
    assert result.code[0] == ResultCode.DIVERGED
    assert result.code[1] != ResultCode.DIVERGED
    assert torch.allclose(result.phi[1], solve(image, mask).phi[1], atol=1e-3)


@every
def test_differentiable_in_the_image(solve):
    image, mask = picture((20, 24))
    image.requires_grad_()
    solve(image, mask, steps=5).phi.sigmoid().sum().backward()
    assert image.grad.isfinite().all()
    assert image.grad.flatten(1).any(1).all()


def test_one_start_serves_all_items():
    image, mask = picture((20, 24))
    for solve in (geodesic_active_contour, drlse, chan_vese):
        shared = solve(image, mask[:1], steps=10)
        assert torch.equal(shared.phi, solve(image, mask, steps=10).phi)
    board = checkerboard((20, 24))
    apart = [chan_vese(i[None], board, steps=10).phi for i in image]
    assert torch.allclose(chan_vese(image, board, steps=10).phi, torch.cat(apart), atol=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda i, m: chan_vese(i, length_weight=-1.0), "`length_weight` must not be negative"),
        (lambda i, m: chan_vese(i, outside_weight=math.nan), "`outside_weight` must not be negative"),
        (lambda i, m: multiphase_chan_vese(i, length_weight=-1.0), "`length_weight`"),
        (lambda i, m: geodesic_active_contour(i, m, weight=-1.0), "`weight` must not be negative"),
        (lambda i, m: geodesic_active_contour(i, m, weight=0, balloon=0), "both 0"),
        (lambda i, m: drlse(i, m, length_weight=-1.0), "`length_weight`"),
        (lambda i, m: drlse(i, m[..., 1:]), "same spatial shape"),
        (lambda i, m: drlse(i, m.expand(3, 1, 20, 24)), "same spatial shape and batch size"),
        (lambda i, m: drlse(i, m, spacing=1.0), r"one value per spatial axis, \(1.0, 1.0\)"),
    ],
)
def test_refuses(call, message):
    image, mask = picture((20, 24), batch=2)
    with pytest.raises(ValueError, match=message):
        call(image, mask[:1])
