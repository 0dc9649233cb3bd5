"""Level-set loss: the definition written out, hand values, bounds and symmetries."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.networks import one_hot

from monai_levelset.losses import LevelSetLoss, level_set_loss

STEPS = {
    "tanh": lambda x, eps: 0.5 * (1 + math.tanh(x / eps)),
    "arctan": lambda x, eps: 0.5 + math.atan(x / eps) / math.pi,
    "hard": lambda x, eps: float(x > 0),
}


def energy_by_loops(p, label, classes, eps=1 / 20, kind="tanh", ignore=None) -> float:
    """Energy of one item: `p` lists one probability map per class, everything voxel by voxel."""
    voxels = [i for i in itertools.product(*map(range, label.shape)) if label[i].item() != ignore]
    energy = 0.0
    for k, probability in zip(classes, p, strict=True):
        g = [float(label[i].item() == k) for i in voxels]
        if sum(g) == 0:  # the paper's sum is over the classes present
            continue
        h = [STEPS[kind](probability[i].item() - 0.5, eps) for i in voxels]
        c1 = sum(a * b for a, b in zip(g, h, strict=True)) / (sum(h) or 1)
        c2 = sum(a * (1 - b) for a, b in zip(g, h, strict=True)) / ((len(h) - sum(h)) or 1)
        energy += sum((a - c1) ** 2 * b + (a - c2) ** 2 * (1 - b) for a, b in zip(g, h, strict=True))
    return energy


def batch(shape=(5, 4), n=3, b=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(b, n, *shape, dtype=torch.float64, generator=generator)
    return logits.softmax(1), torch.randint(0, n, (b, 1, *shape), generator=generator)


@pytest.mark.parametrize("kind", STEPS)
@pytest.mark.parametrize("shape", [(7,), (5, 4), (3, 4, 2)])
@pytest.mark.parametrize("ignore", [None, 0, 1, 255])
def test_is_the_definition(kind, shape, ignore):
    p, label = batch(shape)
    label[label == 2] = 255  # class 2 is absent
    options = {"heaviside": kind, "eps": 0.1, "ignore_index": ignore}
    expected = [energy_by_loops(p[i], label[i, 0], (0, 1, 2), 0.1, kind, ignore) for i in range(2)]
    energies = level_set_loss(p, label, reduction="none", **options)
    assert energies.tolist() == pytest.approx(expected, rel=1e-12)
    assert level_set_loss(p, label, **options).item() == pytest.approx(sum(expected) / 2)
    assert level_set_loss(p, label, reduction="sum", **options).item() == pytest.approx(sum(expected))
    counted = [sum(v != ignore for v in label[i].flatten().tolist()) for i in range(2)]
    per_voxel = level_set_loss(p, label, reduction="none", per_voxel=True, **options)
    assert per_voxel.tolist() == pytest.approx([e / n for e, n in zip(expected, counted, strict=True)])


def test_hand_value():
    # P | .5 .5 | 1 1 |   inside the hard contour lie two voxels, one of each class: c1 = 1/2;
    # G |  0  1 | 0 1 |   outside the same: every voxel is 1/2 from its mean, for both classes.
    p = torch.tensor([0.5, 0.5, 1.0, 1.0]).view(1, 1, 4)
    label = torch.tensor([0, 1, 0, 1]).view(1, 1, 4)
    assert level_set_loss(p, label, heaviside="hard").item() == 2 * 4 * 0.25
    # With three voxels of class 1 of which two are found and no false alarm: c1 = 1, c2 = 1/2.
    label = torch.tensor([0, 1, 1, 1]).view(1, 1, 4)
    assert level_set_loss(p, label, heaviside="hard").item() == 2 * 2 * 0.25


def test_zero_for_the_labels_and_for_their_complement():
    label = torch.tensor([0, 0, 1, 0, 1]).view(1, 1, 5)
    for p in (label.double(), 1 - label.double()):
        assert level_set_loss(p, label, heaviside="hard").item() == 0
        assert 0 <= level_set_loss(p, label).item() < 1e-7


@pytest.mark.parametrize("kind", ["tanh", "arctan", "sine"])
@pytest.mark.parametrize("ignore", [None, 1, 255])
def test_gradient(kind, ignore):
    p, label = batch((3, 4))
    label[0, 0, 0] = 255
    one = p[:, :1].clone()
    for x, classes in ((p, label), (one, label.clamp_max(1) if ignore != 255 else label)):
        x.requires_grad_()
        for reduction in ("mean", "none"):
            assert torch.autograd.gradcheck(
                lambda x, t=classes, r=reduction: level_set_loss(
                    x, t, eps=0.2, heaviside=kind, ignore_index=ignore, reduction=r, per_voxel=True
                ),
                x,
            )


def test_gradient_is_the_papers_equation_7():
    p, label = batch()
    p.requires_grad_()
    level_set_loss(p, label, reduction="sum").backward()
    g = (label == torch.arange(3).view(1, 3, 1, 1)).double()
    phi = p.detach() - 0.5
    h = 0.5 * (1 + torch.tanh(20 * phi))
    c1 = (g * h).sum((2, 3), keepdim=True) / h.sum((2, 3), keepdim=True)
    c2 = (g * (1 - h)).sum((2, 3), keepdim=True) / (1 - h).sum((2, 3), keepdim=True)
    delta = 10 * (1 - torch.tanh(20 * phi) ** 2)
    assert torch.allclose(p.grad, delta * ((g - c1) ** 2 - (g - c2) ** 2), atol=1e-13)


def test_hard_has_no_gradient():
    p, label = batch()
    p.requires_grad_()
    level_set_loss(p, label, heaviside="hard").backward()
    assert not p.grad.any()


def test_one_channel_is_two_complementary_ones():
    p, label = batch(n=2)
    for kind in STEPS:
        both = level_set_loss(p, label, heaviside=kind)
        assert level_set_loss(p[:, 1:], label, heaviside=kind).item() == pytest.approx(both.item())


def test_absent_classes_and_ignored_voxels_do_not_count():
    p, label = batch(n=4)
    label[label >= 2] = 0
    p.requires_grad_()
    loss = level_set_loss(p, label)
    (grad,) = torch.autograd.grad(loss, p)
    assert not grad[:, 2:].any()
    assert loss.item() == pytest.approx(level_set_loss(p[:, :2], label).item())
    label[..., :2] = -100
    changed = p.detach().clone()
    changed[..., :2] = 0.123
    options = {"ignore_index": -100}
    cropped = level_set_loss(p[..., 2:], label[..., 2:])
    assert level_set_loss(p, label, **options).item() == pytest.approx(cropped.item())
    assert level_set_loss(changed, label, **options).item() == pytest.approx(cropped.item())
    (grad,) = torch.autograd.grad(level_set_loss(p, label, **options), p)
    assert not grad[..., :2].any()


def test_kinds_of_labels_agree():
    p, label = batch()
    expected = level_set_loss(p, label).item()
    for kind in (torch.uint8, torch.int32, torch.float16, torch.float64):
        assert level_set_loss(p, label.to(kind)).item() == pytest.approx(expected, rel=1e-12)
    for same in (one_hot(label, 3), MetaTensor(label), one_hot(label, 3).bool()):
        assert level_set_loss(p, same).item() == pytest.approx(expected, rel=1e-12)
    assert type(level_set_loss(MetaTensor(p), MetaTensor(label))) is torch.Tensor


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_memory_layout_change_nothing(dtype):
    p, label = batch((64, 33))
    half = p.to(dtype)
    results = []
    for x in (half.float(), half, half.to(memory_format=torch.channels_last), half.mT.contiguous().mT):
        x.requires_grad_()
        loss = level_set_loss(x, label)
        loss.backward()
        assert x.grad.dtype == x.dtype
        results.append((loss.item(), x.grad.float()))
    for loss, grad in results[1:]:
        assert loss == pytest.approx(results[0][0], rel=1e-5)
        assert torch.allclose(grad, results[0][1], rtol=2 * torch.finfo(dtype).eps, atol=1e-6)


def test_module_takes_logits():
    logits = torch.randn(2, 3, 6, generator=torch.Generator().manual_seed(1))
    label = torch.arange(6).view(1, 1, 6).expand(2, 1, 6) % 3
    module = LevelSetLoss(softmax=True, eps=0.3, heaviside="arctan", reduction="sum", per_voxel=True)
    direct = level_set_loss(
        logits.softmax(1), label, eps=0.3, heaviside="arctan", reduction="sum", per_voxel=True
    )
    assert torch.equal(module(logits, label), direct)
    binary = LevelSetLoss(sigmoid=True, ignore_index=0)(logits[:, :1], label)
    assert torch.equal(binary, level_set_loss(logits[:, :1].sigmoid(), label, ignore_index=0))


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 4), st.floats(0.01, 10), st.sampled_from([*STEPS]))
def test_bounds_and_permutations(seed, n, eps, kind):
    generator = torch.Generator().manual_seed(seed)
    p = torch.rand(1, n, 4, 5, generator=generator)
    label = torch.randint(0, max(n, 2), (1, 1, 4, 5), generator=generator)
    loss = level_set_loss(p, label, eps=eps, heaviside=kind).item()
    areas = [(label == k).sum().item() for k in range(max(n, 2))]
    assert 0 <= loss <= sum(a * (20 - a) / 20 for a in areas) * (1 + 1e-5)
    order = torch.randperm(20, generator=generator)
    shuffled = level_set_loss(p.flatten(2)[..., order], label.flatten(2)[..., order], eps=eps, heaviside=kind)
    assert shuffled.item() == pytest.approx(loss, rel=1e-4, abs=1e-5)
    if n > 1:
        classes = torch.randperm(n, generator=generator)
        renamed = level_set_loss(p[:, classes.argsort()], classes[label], eps=eps, heaviside=kind)
        assert renamed.item() == pytest.approx(loss, rel=1e-4, abs=1e-5)


def test_a_step_downhill_mends_a_mask():
    label = torch.zeros(1, 1, 16, 16)
    label[..., 4:12, 4:12] = 1
    logits = (0.4 * (2 * label - 1)).roll(2, -1).requires_grad_()
    before = LevelSetLoss(sigmoid=True)(logits, label)
    before.backward()
    wrong = (logits.detach() > 0) != (label > 0)
    assert (logits.grad[wrong] * (2 * label - 1)[wrong] < 0).all()


def test_small_errors_of_a_large_image_are_not_lost_in_float32():
    label = (torch.arange(4_000_000) % 2).view(1, 1, -1)
    p = label.float()
    p[..., :2] = 0.5
    exact = level_set_loss(p.double(), label)
    assert exact.item() == pytest.approx(4 * 0.5, rel=0.05)
    # float32 holds no number between 1 - H = 2e-9, which a voxel with P = 1 should have, and 0
    assert level_set_loss(p, label).item() == pytest.approx(exact.item(), abs=4_000_000 * 2.1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": torch.zeros(2, 5, 4)}, "unsqueeze"),
        ({"target": torch.zeros(2, 2, 5, 4)}, "one-hot"),
        ({"probability": torch.zeros(2, 3, 5, 4, dtype=torch.long)}, "floating"),
        ({"eps": 0.0}, "positive"),
        ({"eps": float("nan")}, "positive"),
        ({"heaviside": "step"}, "choose one of sine"),
        ({"reduction": "average"}, "choose one of mean"),
        ({"target": torch.zeros(2, 3, 5, 4), "ignore_index": 255}, "ignore_index"),
    ],
)
def test_refuses(change, message):
    p, label = batch()
    with pytest.raises(ValueError, match=message):
        level_set_loss(**{"probability": p, "target": label, **change})


def test_module_refuses():
    with pytest.raises(ValueError, match="choose"):
        LevelSetLoss(softmax=True, sigmoid=True)
    with pytest.raises(ValueError, match="sigmoid=True"):
        LevelSetLoss(softmax=True)(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4))
    for wrong in ({"eps": 0.0}, {"heaviside": "step"}, {"reduction": "max"}):
        with pytest.raises(ValueError, match=r"choose one of|positive"):
            LevelSetLoss(**wrong)  # already when it is made


@pytest.mark.parametrize("n", [1, 3])
def test_traced_equals_eager(n):
    module = LevelSetLoss(softmax=n > 1, sigmoid=n == 1, ignore_index=2, per_voxel=True)
    p, label = batch((8, 9), n=n)
    label = torch.where(label == 0, 1, 2)
    traced = torch.jit.trace(module, (p.requires_grad_(), label))
    other, target = batch((6, 12), n=n, seed=1)
    losses = [f(other.requires_grad_(), target) for f in (traced, module)]
    grads = [torch.autograd.grad(loss, other)[0] for loss in losses]
    assert torch.equal(*losses)
    assert torch.equal(*grads)


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:.*autograd.*should not be instantiated:DeprecationWarning"
)  # Dynamo's own
def test_compiled_follows_sizes_and_eps():
    """From the second on they are symbols in the graph, with which torch.rsub forgets its alpha."""
    compiled = torch.compile(level_set_loss, fullgraph=True)
    for size, eps in ((8, 0.05), (12, 0.05), (13, 0.1), (13, 0.2)):
        p, label = batch((size, 9))
        p = p.float().requires_grad_()
        losses = [f(p, label, eps=eps, ignore_index=2) for f in (compiled, level_set_loss)]
        grads = [torch.autograd.grad(loss, p)[0] for loss in losses]
        assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-5)
        assert torch.allclose(*grads, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("soft", [False, True])
def test_two_classes_are_computed_once(soft: bool) -> None:
    """The shortcut for logits of two classes has the value and the gradient of both classes in full."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 2, 6, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    label = torch.rand(3, 1, 6, 5, generator=generator, dtype=torch.float64)
    label = label if soft else (label > 0.6).double()
    target = torch.cat([1 - label, label], 1)
    short = LevelSetLoss(softmax=True, reduction="none")(logits, target)
    full = level_set_loss(logits.softmax(1), target, reduction="none")
    torch.testing.assert_close(short, full)
    (found,) = torch.autograd.grad(short.sum(), logits)
    (expected,) = torch.autograd.grad(full.sum(), logits)
    torch.testing.assert_close(found, expected)
