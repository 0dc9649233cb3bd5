"""What every loss of the package must do; one line per loss in `CASES`."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from monai.data import MetaTensor
from monai.losses import DiceCELoss
from torch import Tensor

from monai_levelset import losses
from monai_levelset.levelset import signed_distance

SHAPES = [(6, 5), (3, 5, 4)]


@dataclass
class Case:
    """A loss of logits `(B, channels, *spatial)`, labels `(B, 1, *spatial)` and what goes along."""

    loss: Callable[[Tensor, Tensor, Tensor], Tensor]
    channels: int
    along: Callable[[Tensor], Tensor] = torch.zeros_like  # made of the labels: an image, a distance
    classes: int = 2
    motion: bool = False  # D more channels hold a vector field, one component per axis
    fullgraph: bool = True
    zero: bool = False  # the loss may vanish, with its gradient, for labels of one class

    def logits(self, shape, dtype=torch.float32) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        channels = self.channels + len(shape) * self.motion
        return torch.randn(2, channels, *shape, dtype=dtype, generator=generator)

    def label(self, shape) -> Tensor:
        generator = torch.Generator().manual_seed(1)
        return torch.randint(0, self.classes, (2, 1, *shape), generator=generator).float()

    def __call__(self, logits: Tensor, label: Tensor) -> Tensor:
        return self.loss(logits, label, self.along(label))


def level_set(**options) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    criterion = losses.LevelSetLoss(**options)
    return lambda logits, label, _: criterion(logits, label)


def deep(logits: Tensor, label: Tensor, distance: Tensor) -> Tensor:
    phi, phi0, p, motion = logits.tensor_split([1, 2, 3], dim=1)
    output = losses.DeepLevelSetOutput(phi=phi, phi0=phi0, motion=motion, probability=p.sigmoid())
    return losses.deep_level_set_loss(output, label, distance, warm_up=True)


def picture(label: Tensor) -> Tensor:
    """An image to segment: the label, brighter in the second item."""
    return torch.stack([item + i for i, item in enumerate(label)])


def mumford_shah(**options) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    criterion = losses.MumfordShahLoss(tv_weight=0.1, **options)
    return lambda logits, _, image: criterion(logits, image)


def semi_supervised(logits: Tensor, label: Tensor, image: Tensor) -> Tensor:
    supervised, unsupervised = (
        DiceCELoss(softmax=True, to_onehot_y=True),
        losses.MumfordShahLoss(softmax=True),
    )
    criterion = losses.SemiSupervisedLoss(supervised, unsupervised, beta=0.1)
    return criterion(logits, label, image, [1, 0])


def classes_of(label: Tensor, count: int) -> Tensor:
    """One channel per class."""
    return torch.zeros(len(label), count, *label.shape[2:]).scatter_(1, label.long(), 1).to(label)


def trust(label: Tensor) -> Tensor:
    """Weights: a person labelled the first item."""
    return torch.stack(
        [torch.full_like(item, 1.0 - 0.6 * i, dtype=torch.float32) for i, item in enumerate(label)]
    )


def weighted(logits: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    return losses.WeightedDiceCELoss()(logits, classes_of(label, 3), weight)


def mean_teacher(logits: Tensor, label: Tensor, image: Tensor) -> Tensor:
    criterion = losses.MeanTeacherLoss(
        level_set=losses.LevelSetLoss(softmax=True, ignore_index=255),
        mumford_shah=losses.MumfordShahLoss(softmax=True),
    )
    return criterion(logits, classes_of(label, 3), trust(label), image)


def signed_distances(logits: Tensor, label: Tensor, _: Tensor) -> Tensor:
    criterion = losses.SignedDistanceLoss(reach=3, steepness=5)
    return criterion(logits[:, 3:], logits[:, :3], classes_of(label, 3), trust(label) == 1)


CASES = {
    "LevelSetLoss": Case(level_set(softmax=True), channels=3, classes=3, zero=True),
    "LevelSetLoss, sigmoid": Case(level_set(sigmoid=True, per_voxel=True), channels=1, zero=True),
    "LevelSetLoss, arctan": Case(
        level_set(softmax=True, heaviside="arctan", ignore_index=2), channels=2, classes=3, zero=True
    ),
    "DeepLevelSetLoss": Case(deep, channels=3, along=signed_distance, motion=True),
    "MumfordShahLoss": Case(mumford_shah(softmax=True), channels=3, along=picture, zero=True),
    "MumfordShahLoss, bias field": Case(
        mumford_shah(softmax=True, bias_field=True, total_variation="isotropic", per_voxel=True),
        channels=3,
        along=picture,
        zero=True,
    ),
    "MeanTeacherLoss": Case(mean_teacher, channels=3, classes=3, along=picture, fullgraph=False),
    "SignedDistanceLoss": Case(signed_distances, channels=5, classes=3, fullgraph=False),
    "WeightedDiceCELoss": Case(weighted, channels=3, classes=3, along=trust),
    "SemiSupervisedLoss": Case(semi_supervised, channels=2, along=picture, fullgraph=False),
}

every = pytest.mark.parametrize("case", CASES.values(), ids=[*CASES])
shapes = pytest.mark.parametrize("shape", SHAPES, ids=["2D", "3D"])


def test_the_table_names_every_loss():
    modules = {name for name in losses.__all__ if name.endswith("Loss")}
    modules.remove("PerItemLoss")  # a sum of others, see test_per_item.py
    assert modules == {name.split(",")[0] for name in CASES}


@every
@shapes
def test_scalar_with_a_gradient_that_leaves_its_inputs_alone(case, shape):
    logits, label = case.logits(shape), case.label(shape)
    kept = logits.clone(), label.clone()
    logits.requires_grad_()
    loss = case(logits, label)
    loss.backward()
    assert loss.shape == ()
    assert loss.dtype == torch.float32
    assert loss.item() > 0
    assert logits.grad.isfinite().all()
    assert logits.grad.any()
    assert torch.equal(logits.detach(), kept[0])
    assert torch.equal(label, kept[1])
    assert torch.equal(case(logits, label), loss)


@every
def test_refuses_labels_of_another_size(case):
    logits, label = case.logits((6, 5)), case.label((6, 5))
    along = case.along(label)
    with pytest.raises((ValueError, AssertionError)):  # AssertionError is MONAI's
        case.loss(logits, label[..., 1:], along[..., 1:])


@every
@shapes
def test_gradcheck(case, shape):
    logits, label = case.logits(shape, torch.float64).requires_grad_(), case.label(shape)
    along = case.along(label).double()
    assert torch.autograd.gradcheck(lambda x: case.loss(x, label, along), logits, fast_mode=True)


@every
@shapes
@pytest.mark.parametrize("value", ["empty", "full"])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_finite_on_empty_full_and_constant_inputs(case, shape, value, scale):
    logits = (scale * case.logits(shape)).requires_grad_()
    label = torch.full_like(case.label(shape), value == "full")
    loss = case(logits, label)
    loss.backward()
    assert loss.isfinite()
    assert loss.item() >= 0
    assert logits.grad.isfinite().all()
    assert case.zero or logits.grad.any()


@every
@shapes
@pytest.mark.parametrize("value", [0, 1])
def test_finite_on_one_voxel_among_others(case, shape, value):
    logits = case.logits(shape).requires_grad_()
    label = torch.full_like(case.label(shape), 1 - value)
    label.view(2, -1)[:, 7] = value
    loss = case(logits, label)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()
    assert logits.grad.any()


@every
@shapes
def test_flips_change_nothing(case, shape):
    logits, label = case.logits(shape, torch.float64).requires_grad_(), case.label(shape)
    loss = case(logits, label)
    (grad,) = torch.autograd.grad(loss, logits)
    for axis in range(len(shape)):
        sign = torch.ones(logits.shape[1], dtype=torch.float64)
        if case.motion:
            sign[case.channels + axis] = -1  # a vector's component along the axis turns round
        sign = sign.view(1, -1, *[1] * len(shape))
        flipped = case((sign * logits).flip(axis + 2), label.flip(axis + 2))
        assert flipped.item() == pytest.approx(loss.item(), rel=1e-6)
        (turned,) = torch.autograd.grad(flipped, logits)
        assert torch.allclose(turned, grad, rtol=1e-5, atol=1e-9)


def with_gradient(case, logits, label) -> tuple[Tensor, Tensor]:
    logits = logits.detach().requires_grad_()
    loss = case(logits, label)
    return loss, torch.autograd.grad(loss, logits)[0]


@every
@shapes
def test_the_order_of_the_axes_changes_nothing(case, shape):
    logits, label, d = case.logits(shape, torch.float64), case.label(shape), len(shape)
    loss, grad = with_gradient(case, logits, label)
    dims = [0, 1, d + 1, *range(2, d + 1)]
    vector = [case.channels + d - 1, *range(case.channels, case.channels + d - 1)]
    order = [*range(case.channels), *(vector if case.motion else [])]
    turned, turned_grad = with_gradient(case, logits[:, order].permute(dims), label.permute(dims))
    assert turned.item() == pytest.approx(loss.item(), rel=1e-6)
    assert torch.allclose(turned_grad, grad[:, order].permute(dims), rtol=1e-5, atol=1e-9)


@every
@shapes
def test_memory_layouts_and_metatensors_change_nothing(case, shape):
    logits, label = case.logits(shape), case.label(shape)
    expected = with_gradient(case, logits, label)
    last = torch.channels_last if len(shape) == 2 else torch.channels_last_3d
    for layout in (
        lambda x: x.to(memory_format=last),
        lambda x: x.mT.contiguous().mT,
        lambda x: torch.stack([x, x], -1)[..., 0],
    ):
        for got, wanted in zip(with_gradient(case, layout(logits), layout(label)), expected, strict=True):
            assert torch.allclose(got, wanted, rtol=1e-5, atol=1e-6)
    along = case.along(label)
    meta = case.loss(MetaTensor(logits), MetaTensor(label), MetaTensor(along))
    assert meta.item() == pytest.approx(expected[0].item(), rel=1e-6)


@every
@pytest.mark.parametrize("dtype", [torch.float64, torch.int64, torch.uint8])
def test_the_type_of_labels_does_not_matter(case, dtype):
    logits, label = case.logits((6, 5)), case.label((6, 5))
    along = case.along(label)
    loss = case.loss(logits, label.to(dtype), along)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(case.loss(logits, label, along).item(), rel=1e-6)


@every
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(case, dtype):
    """Half-precision logits under autocast give the value that float32 gives for the same logits."""
    label = case.label((6, 5))
    half = case.logits((6, 5)).to(dtype)
    plain = half.float().requires_grad_()
    half.requires_grad_()
    expected = case(plain, label)
    expected.backward()
    with torch.autocast("cpu", dtype=dtype):
        loss = case(half, label)
    loss.backward()
    assert half.grad.dtype == dtype
    assert loss.dtype == torch.float32
    precision = torch.finfo(dtype).eps
    assert loss.item() == pytest.approx(expected.item(), rel=8 * precision)
    assert (half.grad.float() - plain.grad).norm() < 8 * precision * plain.grad.norm()


@every
def test_nothing_holds_the_inputs_once_the_loss_is_gone(case):
    """Memory does not grow: without the garbage collector's help every input is freed."""
    label = case.label((6, 5))
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            logits = case.logits((6, 5)).requires_grad_()
            loss = case(logits, label)
            loss.backward()
            left = weakref.ref(logits), weakref.ref(loss)
            del logits, loss
            assert [r() for r in left] == [None, None]
    finally:
        gc.enable()


@pytest.mark.slow
@every
# Dynamo makes an instance of a Function to trace it, against torch's own advice.
@pytest.mark.filterwarnings("ignore:.*autograd.*should not be instantiated:DeprecationWarning")
# ... and it looks at `.grad` of what stands at a graph break.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_compiled_is_eager(case):
    logits, label = case.logits((6, 5)).requires_grad_(), case.label((6, 5))
    along = case.along(label)
    expected = case.loss(logits, label, along)
    loss = torch.compile(case.loss, fullgraph=case.fullgraph)(logits, label, along)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    grads = [torch.autograd.grad(x, logits)[0] for x in (loss, expected)]
    assert torch.allclose(*grads, rtol=1e-4, atol=1e-6)
