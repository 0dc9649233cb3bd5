"""Semi-supervised loss: the paper's sum written out, exactly no gradient without a label."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.losses import DiceCELoss, DiceLoss
from torch.nn import CrossEntropyLoss

from monai_levelset.losses import MumfordShahLoss, SemiSupervisedLoss, semi_supervised_loss

DICE = {"softmax": True, "to_onehot_y": True}


def variance(input, image, scale=1.0):
    """A loss without labels: squared distance to the image, summed over the batch as the paper's is."""
    return scale * (input.softmax(1)[:, :1] - image).square().sum()


def batch(b=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    input = torch.randn(b, 3, 6, 5, dtype=torch.float64, generator=generator).requires_grad_()
    label = torch.randint(0, 3, (b, 1, 6, 5), generator=generator)
    return input, label, torch.rand(b, 1, 6, 5, dtype=torch.float64, generator=generator)


def supervised(name, reduction="mean"):
    """Loss and the layout of labels it wants."""
    if name == "cross entropy":
        return CrossEntropyLoss(reduction=reduction), lambda label: label[:, 0]
    loss = DiceLoss if name == "dice" else DiceCELoss
    return loss(reduction=reduction, **DICE), lambda label: label


NAMES = ["cross entropy", "dice", "dice + cross entropy"]


@pytest.mark.parametrize("labeled", [[1, 0, 1, 1], [0, 0, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0]])
@pytest.mark.parametrize("name", NAMES)
def test_is_the_papers_sum_over_items(name, labeled):
    input, label, image = batch()
    loss, layout = supervised(name)
    items = [loss(input[i : i + 1], layout(label)[i : i + 1]) for i in range(4)]
    expected = sum(a * x for a, x in zip(labeled, items, strict=True)) / 4 + 0.01 * variance(input, image)
    criterion = SemiSupervisedLoss(loss, variance, beta=0.01)
    total = criterion(input, layout(label), image, torch.tensor(labeled))
    assert total.item() == pytest.approx(expected.item(), rel=1e-9)
    wanted, got = (torch.autograd.grad(x, input, retain_graph=True)[0] for x in (expected, total))
    assert torch.allclose(wanted, got, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_that_sums_is_not_scaled(name):
    input, label, image = batch()
    loss, layout = supervised(name, "sum")
    criterion = SemiSupervisedLoss(loss, None)
    assert criterion(input, layout(label), image, [0, 1, 1, 0]).item() == pytest.approx(
        loss(input[1:3], layout(label)[1:3]).item(), rel=1e-9
    )


@pytest.mark.parametrize("name", NAMES)
def test_unlabelled_items_have_exactly_no_gradient_whatever_their_target(name):
    input, label, image = batch()
    loss, layout = supervised(name)
    target = layout(label).clone()
    if name == "dice":
        target = target.double()
        target[1] = float("nan")
    else:
        target[1] = 10**6  # out of range: an error wherever it is looked at
    criterion = SemiSupervisedLoss(loss, variance, beta=0.0)
    total = criterion(input, target, image, [True, False, True, True])
    (grad,) = torch.autograd.grad(total, input)
    assert total.isfinite()
    assert not grad[1].any()
    assert all(grad[i].any() for i in (0, 2, 3))


def test_without_any_label_only_the_unsupervised_part_is_left():
    input, label, image = batch()
    garbage = torch.full_like(label, -7)
    criterion = SemiSupervisedLoss(DiceCELoss(**DICE), variance, beta=0.5)
    total = criterion(input, garbage, image, torch.zeros(4))
    assert torch.equal(total, 0.5 * variance(input, image))
    alone = SemiSupervisedLoss(DiceCELoss(**DICE), None)(input, garbage, None, torch.zeros(4))
    alone.backward()
    assert alone.item() == 0
    assert not input.grad.any()
    with torch.no_grad():
        poisoned = torch.full_like(input, float("inf"))
    assert SemiSupervisedLoss(CrossEntropyLoss(), None)(poisoned, garbage[:, 0], None, [0] * 4).item() == 0


@pytest.mark.parametrize(
    "labeled",
    [
        [1, 0, 0, 1],
        (True, False, False, True),
        torch.tensor([1, 0, 0, 1]),
        torch.tensor([1.0, 0.0, 0.0, 1.0], dtype=torch.float16),
        torch.tensor([[True], [False], [False], [True]]),
    ],
)
def test_forms_of_labeled(labeled):
    input, label, image = batch()
    expected = 0.5 * CrossEntropyLoss()(input[[0, 3]], label[[0, 3], 0])
    options = {"supervised": CrossEntropyLoss(), "unsupervised": None}
    assert semi_supervised_loss(input, label[:, 0], image, labeled, **options).item() == pytest.approx(
        expected.item()
    )


def test_parts_sum_to_the_loss_and_options_reach_the_unsupervised_loss():
    input, label, image = batch()
    criterion = SemiSupervisedLoss(DiceLoss(**DICE), variance)
    parts = criterion.parts(input, label, image, [1, 1, 0, 0], scale=3.0)
    assert [*parts] == ["supervised", "unsupervised"]
    assert parts["unsupervised"].item() == pytest.approx(3e-6 * variance(input, image).item())
    total = criterion(input, label, image, [1, 1, 0, 0], scale=3.0)
    assert total.item() == pytest.approx(sum(p.item() for p in parts.values()))


def test_with_the_mumford_shah_loss():
    input, label, image = batch()
    mumford_shah = MumfordShahLoss(softmax=True)
    criterion = SemiSupervisedLoss(DiceCELoss(**DICE), mumford_shah, beta=1e-2)
    total = criterion(input, label, image, [0, 1, 0, 0])
    expected = DiceCELoss(**DICE)(input[1:2], label[1:2]) / 4 + 1e-2 * mumford_shah(input, image)
    assert total.item() == pytest.approx(expected.item(), rel=1e-9)


def test_losses_are_submodules():
    criterion = SemiSupervisedLoss(CrossEntropyLoss(weight=torch.ones(3)), None)
    assert [*criterion.state_dict()] == ["supervised.weight"]


def test_gradient():
    input, label, image = batch(b=3)
    criterion = SemiSupervisedLoss(CrossEntropyLoss(), variance, beta=0.1)
    target = label[:, 0].clone()
    target[1] = -1000
    assert torch.autograd.gradcheck(lambda x: criterion(x, target, image, [1, 0, 1]), input)


@settings(max_examples=30)
@given(st.lists(st.booleans(), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_items_does_not_matter(labeled, random):
    input, label, image = batch(b=len(labeled))
    criterion = SemiSupervisedLoss(CrossEntropyLoss(), variance, beta=0.1)
    order = list(range(len(labeled)))
    random.shuffle(order)
    total = criterion(input, label[:, 0], image, labeled)
    shuffled = criterion(input[order], label[order, 0], image[order], [labeled[i] for i in order])
    assert shuffled.item() == pytest.approx(total.item(), rel=1e-9)


def test_refuses():
    input, label, image = batch()
    with pytest.raises(ValueError, match="one value per item, 4"):
        SemiSupervisedLoss(CrossEntropyLoss(), None)(input, label[:, 0], image, [1, 0])
    with pytest.raises(ValueError, match="negative"):
        SemiSupervisedLoss(CrossEntropyLoss(), None, beta=-1.0)
    with pytest.raises(ValueError, match="reduction='none'"):
        SemiSupervisedLoss(DiceLoss(reduction="none", **DICE), None)
    with pytest.raises(ValueError, match="must return a scalar"):
        SemiSupervisedLoss(lambda a, b: a, None)(input, label, image, [1, 1, 0, 0])
    mixed = torch.nn.ModuleList([CrossEntropyLoss(), CrossEntropyLoss(reduction="sum")])
    with pytest.raises(ValueError, match="mixes"):
        SemiSupervisedLoss(mixed, None)
    assert SemiSupervisedLoss(mixed, None, averages=False).averages is False
