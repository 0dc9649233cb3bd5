"""Mumford-Shah loss and total variation against their definitions written as loops."""

from __future__ import annotations

import functools
import gc
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor

from monai_levelset.losses import MumfordShahLoss, mumford_shah_loss, total_variation
from monai_levelset.losses import mumford_shah_energy as energy_module

KINDS = ["anisotropic", "isotropic"]
SHAPES = {"2d": (5, 4), "3d": (3, 4, 2), "thin": (1, 6), "two": (2, 3, 3)}


def loop_total_variation(y, kind="anisotropic", spacing=None, mask=None):
    """Sum over voxels and the 2^D choices of neighbours; the anisotropic length is the sum of the faces."""
    h = spacing or (1,) * (y.ndim - 2)
    total = np.zeros(len(y))
    w = np.ones(y[:, :1].shape) if mask is None else mask
    signs = list(itertools.product((-1, 1), repeat=len(h)))
    for b, n, *v in np.ndindex(*y.shape):
        for sign in signs:
            steps = []
            for axis, s in enumerate(sign):
                u = list(v)
                u[axis] += s
                if 0 <= u[axis] < y.shape[axis + 2]:
                    weight = min(w[(b, 0, *u)], w[(b, 0, *v)])
                    steps.append(weight * abs(y[(b, n, *u)] - y[(b, n, *v)]) / h[axis])
            total[b] += (math.hypot(*steps) if kind == "isotropic" else sum(steps)) / len(signs)
    return total


def loop_loss(y, x, tv_weight=1e-3, kind="anisotropic", mask=None, bias=None, bias_weight=0.1, spacing=None):
    """The definition, voxel by voxel."""
    w = np.ones((len(y), 1, *y.shape[2:])) if mask is None else mask
    energies = np.zeros(len(y))
    b = np.ones_like(w)
    if bias is not None:
        b = np.stack([f / f[m > 0].mean() if (m > 0).any() else f for f, m in zip(bias, w, strict=True)])
    for i, n, k in itertools.product(range(len(y)), range(y.shape[1]), range(x.shape[1])):
        voxels = [v for v in np.ndindex(*y.shape[2:]) if w[(i, 0, *v)] > 0]
        at = [(w[(i, 0, *v)], b[(i, 0, *v)], x[(i, k, *v)], y[(i, n, *v)]) for v in voxels]
        mass = sum(ww * bb * bb * yy for ww, bb, xx, yy in at)
        c = sum(ww * bb * xx * yy for ww, bb, xx, yy in at) / mass if mass else 0
        energies[i] += sum(ww * (xx - bb * c) ** 2 * yy for ww, bb, xx, yy in at)
    energies += tv_weight * loop_total_variation(y, kind, spacing, mask)
    if bias is not None:
        energies += bias_weight * loop_total_variation(np.where(w > 0, b, 0), kind, spacing, mask)
    return energies


def example(shape=(5, 4), *, batch=2, phases=3, channels=1, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    y = torch.randn(batch, phases, *shape, generator=g, dtype=dtype)
    y = y.softmax(1) if phases > 1 else y.sigmoid()
    x = torch.rand(batch, channels, *shape, generator=g, dtype=dtype)
    mask = (torch.rand(batch, 1, *shape, generator=g, dtype=dtype) - 0.3).clamp_min(0)
    bias = torch.rand(batch, 1, *shape, generator=g, dtype=dtype) + 0.5
    return y, x, mask, bias


def gradient(function, *tensors):
    leaves = [t.detach().clone().requires_grad_() for t in tensors]
    return torch.autograd.grad(function(*leaves).sum(), leaves)


def one_hot(labels, phases):
    return torch.nn.functional.one_hot(labels, phases).movedim(-1, 1).double()


# ---- the definition ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("with_mask", [False, True])
@pytest.mark.parametrize("with_bias", [False, True])
def test_equals_the_definition_written_as_loops(shape, kind, with_mask, with_bias):
    y, x, mask, bias = example(shape, channels=2)
    spacing = (0.5, 2.0, 1.5)[: len(shape)]
    options = {"mask": mask if with_mask else None, "bias": bias if with_bias else None}
    arrays = {k: None if v is None else v.numpy() for k, v in options.items()}
    expected = loop_loss(y.numpy(), x.numpy(), 0.3, kind, spacing=spacing, **arrays)
    for requires_grad in (False, True):  # the plain and the analytic path
        got = mumford_shah_loss(
            y.clone().requires_grad_(requires_grad),
            x,
            tv_weight=0.3,
            total_variation=kind,
            spacing=spacing,
            reduction="none",
            **options,
        )
        np.testing.assert_allclose(got.detach(), expected, rtol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_total_variation_equals_its_definition(shape, kind):
    y, _, mask, _ = example(shape)
    spacing = (0.5, 2.0, 1.5)[: len(shape)]
    for m in (None, mask):
        got = total_variation(y, kind=kind, spacing=spacing, mask=m)
        expected = loop_total_variation(y.numpy(), kind, spacing, None if m is None else m.numpy())
        np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_hand_values():
    # x = [0 0 | 1 3], phase 1 the left half, phase 2 the right: c = 0 and 2, data (1-2)^2 + (3-2)^2 per row.
    x = torch.tensor([0.0, 0, 1, 3]).expand(1, 1, 2, 4)
    y = one_hot(torch.tensor([0, 0, 1, 1]).expand(1, 2, 4), 2).float()
    # TV: two faces (one per row) in each of the two phases.
    assert mumford_shah_loss(y, x, tv_weight=0.25).item() == 2 * 2 + 0.25 * 4
    assert mumford_shah_loss(y, x, tv_weight=0.25, spacing=(1.0, 4.0)).item() == 4 + 0.25
    assert mumford_shah_loss(y, x, tv_weight=0.25, spacing=(4.0, 1.0)).item() == 4 + 0.25 * 4
    # Two channels, the second ten times the first: squares add up, 1 + 100 times.
    assert mumford_shah_loss(y, torch.cat([x, 10 * x], 1), tv_weight=0).item() == 4 * 101
    # Uniform halves: both means are 1, squares 1 + 1 + 0 + 4 per row, weights 1/2 + 1/2.
    assert mumford_shah_loss(torch.full_like(y, 0.5), x).item() == pytest.approx(12)


def test_reductions_and_per_voxel():
    y, x, mask, _ = example()
    each = mumford_shah_loss(y, x, mask=mask, reduction="none")
    assert each.shape == (2,)
    assert torch.allclose(mumford_shah_loss(y, x, mask=mask), each.sum())
    assert torch.allclose(mumford_shah_loss(y, x, mask=mask, reduction="mean"), each.mean())
    per_voxel = mumford_shah_loss(y, x, mask=mask, reduction="none", per_voxel=True)
    assert torch.allclose(per_voxel, each / (mask > 0).flatten(1).sum(1))
    unmasked = mumford_shah_loss(y, x, per_voxel=True, reduction="none")
    assert torch.allclose(unmasked, mumford_shah_loss(y, x, reduction="none") / 20)


@pytest.mark.parametrize("kind", KINDS)
def test_total_variation_of_a_box_is_its_surface(kind):
    box = torch.zeros(1, 1, 9, 9, 9, dtype=torch.float64)
    box[..., 2:5, 3:7, :] = 1  # 3 x 4 voxels, the whole depth: walls 2 * (3 + 4) * 9
    surface = 2 * (3 + 4) * 9
    # The four vertical edges: per slice, the mean over 4 choices of the root of 1 + 1 instead of 1 + 1.
    rounding = 0 if kind == "anisotropic" else 4 * 9 * (2 - math.sqrt(2)) / 4
    assert total_variation(box, kind=kind).item() == pytest.approx(surface - rounding, rel=1e-12)


def test_isotropic_total_variation_of_a_disc_is_nearer_to_its_circumference():
    t = torch.arange(201.0) - 100
    ramp = ((60 - (t[:, None] ** 2 + t**2).sqrt()) / 20).clamp(0, 1)[None, None]
    circumference = 2 * math.pi * 50  # mean over the radii 40..60 of the ramp
    assert total_variation(ramp, kind="isotropic").item() == pytest.approx(circumference, rel=5e-3)
    assert total_variation(ramp).item() == pytest.approx(circumference * 4 / math.pi, rel=5e-3)


# ---- gradients -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("phases", "channels"), [(3, 1), (2, 2), (1, 1)])
@pytest.mark.parametrize("with_mask", [False, True])
def test_gradcheck(kind, phases, channels, with_mask):
    for shape in ((3, 4), (2, 3, 2)):
        y, x, mask, bias = (t.requires_grad_() for t in example(shape, phases=phases, channels=channels))
        loss = functools.partial(
            mumford_shah_loss,
            mask=mask.detach() if with_mask else None,
            total_variation=kind,
            tv_weight=0.2,
            per_voxel=True,
            reduction="none",
            spacing=(0.7, 1.3, 2.0)[: len(shape)],
        )
        fixed = x.detach()
        assert torch.autograd.gradcheck(loss, (y, fixed), fast_mode=True)
        assert torch.autograd.gradcheck(lambda b, *a: loss(*a, bias=b), (bias, y, fixed))  # noqa: B023
        assert torch.autograd.gradcheck(lambda b, *a: loss(*a, bias=b), (bias, y, x), fast_mode=True)  # noqa: B023


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_analytic_gradients_equal_those_of_autograd(kind, shape):
    y, x, mask, bias = example(shape, channels=3)
    for m in (None, mask):
        loss = functools.partial(mumford_shah_loss, total_variation=kind, tv_weight=0.2, mask=m)
        by_y, by_b = gradient(lambda y, b: loss(y, x, bias=b), y, bias)  # noqa: B023
        # A wanted image gradient takes the plain path.
        expected = gradient(lambda y, b, x: loss(y, x, bias=b), y, bias, x)  # noqa: B023
        torch.testing.assert_close((by_y, by_b), expected[:2], rtol=1e-10, atol=1e-12)
        assert torch.count_nonzero(expected[2]) > 0


@pytest.mark.parametrize("block", [1, 40, 1 << 18])
def test_the_size_of_the_blocks_does_not_matter(block, monkeypatch):
    y, x, mask, bias = example((4, 5), batch=3, phases=4, channels=2)

    def both(y, b):
        return mumford_shah_loss(y, x, bias=b, mask=mask, tv_weight=0.1)

    expected = gradient(both, y, bias), both(y, bias)
    monkeypatch.setattr(energy_module, "_BLOCK", block)
    torch.testing.assert_close((gradient(both, y, bias), both(y.requires_grad_(), bias).detach()), expected)


def test_backward_twice_gives_the_same_gradient():
    y, x, _, bias = example()
    y.requires_grad_()
    bias.requires_grad_()
    loss = mumford_shah_loss(y, x, bias=bias)
    first = torch.autograd.grad(loss, (y, bias), retain_graph=True)
    kept = [g.clone() for g in first]
    second = torch.autograd.grad(3 * loss, (y, bias))
    torch.testing.assert_close([g / 3 for g in second], kept)
    torch.testing.assert_close(list(first), kept)


def test_inputs_are_not_changed_and_layouts_do_not_matter():
    y, x, mask, bias = example((6, 6))
    copies = [t.clone() for t in (y, x, mask, bias)]
    expected = gradient(lambda y: mumford_shah_loss(y, x, mask=mask, bias=bias), y)[0]
    for a, b in zip((y, x, mask, bias), copies, strict=True):
        assert torch.equal(a, b)
    last = y.to(memory_format=torch.channels_last)
    turned = y.transpose(2, 3).contiguous().transpose(2, 3)
    for other in (last, turned):
        got = gradient(lambda y: mumford_shah_loss(y, x, mask=mask, bias=bias), other)[0]
        torch.testing.assert_close(got, expected)


# ---- symmetries and bounds -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(5, 4), (3, 4, 5)])
def test_flipping_flips_the_gradient(kind, shape):
    y, x, mask, bias = example(shape)
    y.requires_grad_()

    def loss(y, x, mask, bias):
        return mumford_shah_loss(y, x, mask=mask, bias=bias, tv_weight=0.2, total_variation=kind)

    value = loss(y, x, mask, bias)
    (grad,) = torch.autograd.grad(value, y)
    for axis in range(2, 2 + len(shape)):
        flipped = [t.detach().flip(axis) for t in (y, x, mask, bias)]
        flipped[0].requires_grad_()
        other = loss(*flipped)
        torch.testing.assert_close(other, value)
        torch.testing.assert_close(torch.autograd.grad(other, flipped[0])[0], grad.flip(axis))


@given(st.permutations(range(4)), st.integers(0, 100))
@settings(max_examples=15)
def test_the_order_of_phases_and_channels_does_not_matter(order, seed):
    y, x, _, _ = example(phases=4, channels=4, seed=seed)
    value = mumford_shah_loss(y, x)
    torch.testing.assert_close(mumford_shah_loss(y[:, order], x), value)
    torch.testing.assert_close(mumford_shah_loss(y, x[:, order]), value)
    grad = gradient(lambda y: mumford_shah_loss(y, x), y)[0]
    torch.testing.assert_close(gradient(lambda y: mumford_shah_loss(y, x), y[:, order])[0], grad[:, order])


@given(
    st.integers(0, 10**6),
    st.sampled_from(KINDS),
    st.floats(-1e5, 1e5),
    st.floats(0.01, 100),
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
)
@settings(max_examples=40)
def test_not_negative_and_free_of_offset_and_homogeneous(seed, kind, offset, scale, shape):
    y, x, mask, _ = example(shape, seed=seed)
    value = mumford_shah_loss(y, x, total_variation=kind, mask=mask, reduction="none")
    assert (value >= 0).all()
    moved = mumford_shah_loss(y, x + offset, total_variation=kind, mask=mask, reduction="none")
    torch.testing.assert_close(moved, value, rtol=1e-7, atol=1e-9)
    # Squares of intensities against a length: both scale, if lambda does.
    scaled = mumford_shah_loss(
        y, x * scale, total_variation=kind, mask=mask, reduction="none", tv_weight=1e-3 * scale**2
    )
    torch.testing.assert_close(scaled, value * scale**2, rtol=1e-9, atol=1e-12)


@given(st.integers(0, 10**6), st.integers(2, 4), st.floats(-3000, 3000))
@settings(max_examples=25)
def test_the_true_labels_of_a_piecewise_constant_image_leave_only_the_length(seed, phases, level):
    labels = torch.randint(phases, (1, 6, 7), generator=torch.Generator().manual_seed(seed))
    image = (labels.float() * 50 + level).unsqueeze(1)
    y = one_hot(labels, phases).float()
    assert mumford_shah_loss(y, image, tv_weight=0).item() == pytest.approx(0, abs=1e-4)
    assert mumford_shah_loss(y, image, tv_weight=1).item() == pytest.approx(
        total_variation(y).item(), rel=1e-5
    )


@given(st.integers(0, 10**6), st.floats(0.1, 50))
@settings(max_examples=20)
def test_the_scale_of_the_bias_field_and_of_the_weights(seed, scale):
    y, x, mask, bias = example(seed=seed)
    value = mumford_shah_loss(y, x, mask=mask, bias=bias)
    torch.testing.assert_close(mumford_shah_loss(y, x, mask=mask, bias=scale * bias), value)
    torch.testing.assert_close(mumford_shah_loss(y, x, mask=scale * mask, bias=bias), scale * value)
    ones = torch.full_like(bias, scale)
    torch.testing.assert_close(mumford_shah_loss(y, x, bias=ones), mumford_shah_loss(y, x))


def test_one_channel_is_the_foreground():
    y, x, mask, _ = example(phases=1)
    two = torch.cat([y, 1 - y], 1)
    torch.testing.assert_close(mumford_shah_loss(y, x, mask=mask), mumford_shah_loss(two, x, mask=mask))
    got = gradient(lambda p: mumford_shah_loss(p, x), y)[0]
    expected = gradient(lambda p: mumford_shah_loss(torch.cat([p, 1 - p], 1), x), y)[0]
    torch.testing.assert_close(got, expected)


# ---- masks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_ignored_voxels_have_no_influence_and_no_gradient(kind):
    y, x, mask, bias = example((5, 6), channels=2)
    valid = mask > 0

    def loss(y, x, bias):
        return mumford_shah_loss(y, x, mask=valid, bias=bias, total_variation=kind)

    value, grads = loss(y, x, bias), gradient(lambda y, b: loss(y, x, b), y, bias)
    for other in (float("nan"), float("inf"), 1e30):
        changed = torch.where(valid, x, other)
        torch.testing.assert_close(loss(y, changed, torch.where(valid, bias, other)), value)
        torch.testing.assert_close(gradient(lambda y, b: loss(y, changed, b), y, bias), grads)  # noqa: B023
    torch.testing.assert_close(loss(torch.where(valid, y, 0.9), x, bias), value)
    for g in grads:
        assert (g * ~valid == 0).all()


def test_a_mask_that_crops_equals_cropping():
    y, x, _, bias = example((6, 7))
    mask = torch.zeros(2, 1, 6, 7)
    mask[..., 1:5, 2:6] = 1
    inside = (..., slice(1, 5), slice(2, 6))
    for kind in KINDS:
        masked = mumford_shah_loss(y, x, mask=mask, bias=bias, per_voxel=True, total_variation=kind)
        cropped = mumford_shah_loss(
            y[inside], x[inside], bias=bias[inside], per_voxel=True, total_variation=kind
        )
        torch.testing.assert_close(masked, cropped)


def test_an_item_without_voxels_costs_nothing():
    y, x, mask, bias = example()
    mask[0] = 0
    nan = torch.where(mask > 0, x, float("nan"))
    each = mumford_shah_loss(y, nan, mask=mask, bias=bias, per_voxel=True, reduction="none")
    assert each[0] == 0
    assert each[1] > 0
    for g in gradient(lambda y, b: mumford_shah_loss(y, nan, mask=mask, bias=b, per_voxel=True), y, bias):
        assert (g[0] == 0).all()
        assert g.isfinite().all()


# ---- numbers that break naive code ---------------------------------------------------------------------


@pytest.mark.parametrize("labels", ["empty", "one voxel", "soft and nearly empty"])
@pytest.mark.parametrize("image", ["random", "constant"])
@pytest.mark.parametrize("plain", [False, True])
def test_empty_full_and_tiny_phases_are_finite(labels, image, plain):
    y = torch.zeros(1, 3, 4, 4)
    y[:, 0] = 1
    if labels == "one voxel":
        y[0, :, 2, 1] = torch.tensor([0.0, 1, 0])
    if labels == "soft and nearly empty":
        y[:, 2] = 1e-42
    x = torch.rand(1, 1, 4, 4) if image == "random" else torch.full((1, 1, 4, 4), 3000.0)
    leaves = [y.requires_grad_(), *([x.requires_grad_()] if plain else [])]
    value = mumford_shah_loss(y, x)
    assert value.isfinite()
    for g in torch.autograd.grad(value, leaves):
        assert g.isfinite().all()


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_a_rounding_error_outside_their_range(plain, kind):
    x = torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    exact = one_hot(torch.zeros(1, 4, 4, dtype=torch.long), 2).float()
    expected = 16 * x.var(correction=0).item()
    for y in (exact + torch.tensor([1e-7, -1e-7]).view(1, 2, 1, 1), (1 + 2e-7) * exact[:, :1]):
        leaves = [y.requires_grad_(), *([x.requires_grad_()] if plain else [])]
        value = mumford_shah_loss(y, x, total_variation=kind)
        assert value.item() == pytest.approx(expected, rel=1e-5)
        assert all(g.isfinite().all() for g in torch.autograd.grad(value, leaves))


def test_an_empty_batch_costs_nothing():
    y, x, mask, bias = (t[:0].requires_grad_() for t in example())
    for b in (None, bias):
        value = mumford_shah_loss(y, x.detach(), mask=mask.detach(), bias=b)
        assert value.item() == 0
        assert torch.autograd.grad(value, y)[0].shape == y.shape


@pytest.mark.parametrize("offset", [1e4, -3e4])
def test_a_large_offset_costs_no_accuracy(offset):
    y, x, _, _ = example((64, 64), dtype=torch.float32)
    x = (x * 256).round() / 256  # exactly representable on top of the offset
    moved = x + offset
    assert torch.equal(moved - offset, x)
    (expected,) = gradient(lambda y: mumford_shah_loss(y, x.double()), y.double())
    (got,) = gradient(lambda y: mumford_shah_loss(y, moved), y)
    torch.testing.assert_close(got.double(), expected, rtol=1e-4, atol=1e-6)
    value = mumford_shah_loss(y.double(), x.double()).item()
    assert mumford_shah_loss(y, moved).item() == pytest.approx(value, rel=1e-5)
    bias = torch.ones(2, 1, 64, 64)
    assert mumford_shah_loss(y, moved, bias=bias).item() == pytest.approx(value, rel=1e-5)


def test_a_large_volume_is_summed_accurately():
    y, x, _, _ = example((40, 128, 128), batch=1, phases=2, dtype=torch.float32)
    x = 1000 * x - 500
    (expected,) = gradient(lambda y: mumford_shah_loss(y, x.double()), y.double())
    (got,) = gradient(lambda y: mumford_shah_loss(y, x), y)
    torch.testing.assert_close(got.double(), expected, rtol=1e-4, atol=0.05)
    value = mumford_shah_loss(y.double(), x.double()).item()
    assert mumford_shah_loss(y, x).item() == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_autocast(dtype):
    scores = torch.randn(1, 2, 512, 512, generator=torch.Generator().manual_seed(0))
    image = torch.randint(-1000, 2000, (1, 1, 512, 512), generator=torch.Generator().manual_seed(1)).float()
    half = scores.to(dtype)
    exact = half.double().requires_grad_()
    expected = 1e-6 * MumfordShahLoss(softmax=True)(exact, image.double())
    expected.backward()
    half.requires_grad_()
    with torch.autocast("cpu", dtype=dtype):
        value = 1e-6 * MumfordShahLoss(softmax=True)(half, image)
        value.backward()
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    assert half.grad.dtype == dtype
    error = (half.grad.double() - exact.grad).abs().max() / exact.grad.abs().max()
    assert error < torch.finfo(dtype).eps
    whole = mumford_shah_loss(half.detach().softmax(1), image.to(dtype))  # no autocast: a sum beyond float16
    assert whole.isfinite()
    assert whole > 1e10


def test_no_memory_is_kept():
    y, x, _, _ = example((16, 16), dtype=torch.float32)
    y.requires_grad_()

    def tensors():
        gc.collect()
        return sum(type(o) is torch.Tensor for o in gc.get_objects())

    for i in range(50):
        mumford_shah_loss(y, x).backward()
        y.grad = None
        if i == 5:
            before = tensors()
    assert tensors() == before


# ---- compiled and traced -------------------------------------------------------------------------------


@pytest.mark.slow
# Dynamo makes an instance of a Function to trace it, against torch's own advice.
@pytest.mark.filterwarnings("ignore:.*autograd.*should not be instantiated:DeprecationWarning")
def test_compiled_equals_eager():
    def loss(y, x, mask):
        return mumford_shah_loss(y, x, tv_weight=0.1, mask=mask, spacing=(0.5, 1.0, 2.0))

    y, x, mask, _ = example((3, 4, 5), channels=2, dtype=torch.float32)
    compiled = torch.compile(loss, fullgraph=True, dynamic=False)
    torch.testing.assert_close(compiled(y.requires_grad_(), x, mask), loss(y, x, mask))
    got, expected = (gradient(lambda y: f(y, x, mask), y) for f in (compiled, loss))  # noqa: B023
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("shape", [(1, 4), (2, 3), (5, 4), (3, 2, 3), (4, 3, 1)])
@pytest.mark.parametrize("masked", [False, True])
def test_the_function_that_is_compiled_is_right_without_compiling(shape, masked):
    y, x, mask, bias = example(shape, channels=2)
    w = mask if masked else None
    tv = energy_module.Variation(0.3, "anisotropic", (0.5, 2.0, 1.5)[: len(shape)])
    for b in (None, bias):
        torch.autograd.gradcheck(
            lambda y: energy_module._CompiledEnergy.apply(y, b, x, w, tv),  # noqa: B023
            y.requires_grad_(),
        )


@pytest.mark.parametrize("kind", KINDS)
def test_traced_equals_eager(kind):
    y, x, mask, _ = example(dtype=torch.float32)
    module = MumfordShahLoss(softmax=True, total_variation=kind, tv_weight=0.1)
    scores = y.log()
    traced = torch.jit.trace(module, (scores, x, mask))
    other, image, weights, _ = example(seed=1, dtype=torch.float32)
    torch.testing.assert_close(traced(other.log(), image, weights), module(other.log(), image, weights))
    got, expected = (gradient(lambda s: f(s, image, weights), other.log()) for f in (traced, module))  # noqa: B023
    torch.testing.assert_close(got, expected)


# ---- the module and refused input ----------------------------------------------------------------------


def test_module_is_the_function():
    y, x, mask, bias = example(channels=2)
    options = {"tv_weight": 0.2, "total_variation": "isotropic", "spacing": (1.0, 2.0), "per_voxel": True}
    expected = mumford_shah_loss(y, x, mask=mask, **options)
    torch.testing.assert_close(MumfordShahLoss(**options)(y, x, mask), expected)
    torch.testing.assert_close(MumfordShahLoss(softmax=True, **options)(y.log(), x, mask), expected)
    one = y[:, :1]
    expected = mumford_shah_loss(one, x, **options)
    torch.testing.assert_close(MumfordShahLoss(sigmoid=True, **options)(one.logit(), x), expected)
    scores = torch.cat([y.log(), bias.log() + 300], 1)
    expected = mumford_shah_loss(y, x, mask=mask, bias=bias, bias_weight=0.7, **options)
    module = MumfordShahLoss(softmax=True, bias_field=True, bias_weight=0.7, **options)
    torch.testing.assert_close(module(scores, x, mask), expected)
    assert module(scores.float(), x.float()).isfinite()  # exp(300) is beyond float32


def test_metatensors_come_out_plain():
    y, x, mask, bias = example()
    loss = mumford_shah_loss(MetaTensor(y), MetaTensor(x), mask=MetaTensor(mask), bias=MetaTensor(bias))
    assert type(loss) is torch.Tensor
    torch.testing.assert_close(loss, mumford_shah_loss(y, x, mask=mask, bias=bias))


def test_ignore_value():
    y, x, mask, _ = example((4, 4), channels=2)
    x[0, :, 0, 0] = -1024  # all channels: padding
    x[0, 0, 1, 1] = -1024  # one channel only: a value like others
    x[1, 1, 2, 2] = float("nan")  # NaN in any channel
    valid = torch.ones(2, 1, 4, 4)
    valid[0, 0, 0, 0] = valid[1, 0, 2, 2] = 0
    module = MumfordShahLoss(ignore_value=-1024.0)
    torch.testing.assert_close(module(y, x), mumford_shah_loss(y, x, mask=valid))
    torch.testing.assert_close(module(y, x, mask), mumford_shah_loss(y, x, mask=mask * valid))
    nan_only = MumfordShahLoss(ignore_value=float("nan"))
    valid[0, 0, 0, 0] = 1
    torch.testing.assert_close(nan_only(y, x), mumford_shah_loss(y, x, mask=valid))
    assert MumfordShahLoss()(y, x).isnan()  # NaN is not hidden unless asked


def test_the_default_bias_weight_recovers_a_smooth_bias_and_leaves_the_noise():
    g = torch.Generator().manual_seed(0)
    labels = (torch.arange(32).view(-1, 1) // 8 + torch.arange(32) // 8) % 2
    y = one_hot(labels[None], 2).float()
    true = (1 + 0.3 * torch.linspace(-1, 1, 32)).expand(1, 1, 32, 32)
    noise = 0.05 * torch.randn(1, 1, 32, 32, generator=g)
    image = true * (0.3 + 0.4 * labels) + noise

    def error(weight):
        u = torch.zeros(1, 1, 32, 32, requires_grad=True)
        adam = torch.optim.Adam([u], lr=0.01)
        for _ in range(200):
            adam.zero_grad()
            mumford_shah_loss(
                y, image, bias=u.exp(), bias_weight=weight, total_variation="isotropic"
            ).backward()
            adam.step()
        b = u.detach().exp()
        return (b / b.mean() - true).square().mean().sqrt().item()

    default = error(0.1)
    assert default < 0.05  # without a bias field 0.18
    assert default < 0.6 * error(1e-3)  # takes up the noise
    assert default < 0.6 * error(10.0)  # too stiff


def test_refused_input():
    y, x, mask, _ = example()
    with pytest.raises(ValueError, match="on the grid of `probability`"):
        mumford_shah_loss(y, x[..., 1:])
    with pytest.raises(ValueError, match="on the grid of `probability`"):
        mumford_shah_loss(y, x[:1])
    with pytest.raises(ValueError, match="`mask` must have shape"):
        mumford_shah_loss(y, x, mask=mask[:, 0])
    with pytest.raises(ValueError, match="`bias` must have shape"):
        mumford_shah_loss(y, x, bias=y)
    with pytest.raises(ValueError, match="floating tensor"):
        mumford_shah_loss(y.long(), x)
    with pytest.raises(ValueError, match="Unknown `reduction` 'max'"):
        mumford_shah_loss(y, x, reduction="max")
    with pytest.raises(ValueError, match="Unknown total variation 'huber'"):
        mumford_shah_loss(y, x, total_variation="huber")
    with pytest.raises(ValueError, match="must not be negative"):
        mumford_shah_loss(y, x, tv_weight=-1.0)
    with pytest.raises(ValueError, match="one value per spatial axis"):
        mumford_shah_loss(y, x, spacing=(1.0,))
    for wrong in ({"reduction": "max"}, {"total_variation": "huber"}, {"bias_weight": -1.0}):
        with pytest.raises(ValueError, match=r"Unknown|negative"):
            MumfordShahLoss(**wrong)  # already when it is made
    with pytest.raises(ValueError, match="exclude each other"):
        MumfordShahLoss(softmax=True, sigmoid=True)
    with pytest.raises(ValueError, match="`sigmoid=True`"):
        MumfordShahLoss(softmax=True)(y[:, :1], x)
    with pytest.raises(ValueError, match="two channels"):
        MumfordShahLoss(bias_field=True)(y[:, :1], x)


def test_means_of_the_whole_batch() -> None:
    """A bright image and a dark one, each of a single phase, cost nothing."""
    image = torch.tensor([1.0, 0.0]).view(2, 1, 1, 1).expand(2, 1, 4, 4).clone()
    probability = torch.cat([image, 1 - image], 1)
    assert MumfordShahLoss(over_batch=True)(probability, image) == pytest.approx(0, abs=1e-12)
    half = torch.full_like(probability, 0.5)
    assert MumfordShahLoss()(half, image) == 0  # each image is constant by itself
    assert MumfordShahLoss(over_batch=True)(half, image) == pytest.approx(32 * 0.25)


def test_the_batch_as_one_image() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(3, 2, 5, 4, generator=generator)
    probability = torch.rand(3, 3, 5, 4, generator=generator).softmax(1)
    means = torch.einsum("bnhw,bchw->nc", probability, image) / probability.sum((0, 2, 3))[:, None]
    distance = (image[:, None] - means[None, :, :, None, None]).square().sum(2)
    expected = (distance * probability).sum() + 1e-3 * total_variation(probability).sum()
    found = MumfordShahLoss(over_batch=True)(probability, image)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    shared = MumfordShahLoss(over_batch=True, per_voxel=True, reduction="mean")(probability, image)
    torch.testing.assert_close(shared, expected / 60, rtol=1e-5, atol=1e-6)


def test_what_does_not_go_with_means_of_the_batch() -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        MumfordShahLoss(over_batch=True, bias_field=True)
    with pytest.raises(ValueError, match="2D images"):
        MumfordShahLoss(over_batch=True)(torch.rand(1, 2, 3, 3, 3), torch.rand(1, 1, 3, 3, 3))
