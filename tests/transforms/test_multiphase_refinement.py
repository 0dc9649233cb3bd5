"""Multiphase refinement: several structures at once, each as the single refinement makes it, and nested."""

from __future__ import annotations

import pytest
import torch

from monai_levelset.transforms import LevelSetRefinement, MultiphaseRefinement

HEART = [[1], [2, 3], [3]]


def heart(size: int = 48) -> torch.Tensor:
    """Labels: 3 in the middle, 2 around it, 1 beside them; `(1, 1, H, W)`."""
    x = torch.arange(size) - size / 2
    radius = (x[:, None] ** 2 + x**2).sqrt()
    label = torch.where(radius < 12, 2, 0)
    label = torch.where(radius < 7, 3, label)
    beside = (((x[:, None] + 14) / 7) ** 2 + (x / 9) ** 2).sqrt() < 1
    return torch.where(beside & (radius >= 12), 1, label)[None, None]


def probabilities(label: torch.Tensor, certain: float = 0.9) -> torch.Tensor:
    one_hot = torch.zeros(len(label), 4, *label.shape[2:]).scatter_(1, label, 1)
    return one_hot * (certain - (1 - certain) / 3) + (1 - certain) / 3


def test_without_steps_the_most_probable_class_comes_back() -> None:
    label = heart()
    refined = MultiphaseRefinement(HEART, inside={2: 1}, steps=0)(probabilities(label))
    assert torch.equal(refined.argmax(1, keepdim=True), label)
    assert torch.equal(refined.sum(1), torch.ones(1, 48, 48))


def test_each_level_function_is_that_of_the_union_alone() -> None:
    label = torch.cat([heart(), heart().flip(2)])
    noisy = (probabilities(label, 0.6) + 0.2 * torch.rand(2, 4, 48, 48)).softmax(1)
    noisy = (3 * noisy).softmax(1)
    refine = MultiphaseRefinement(HEART, steps=8, curvature_weight=0.3)
    alone = LevelSetRefinement(steps=8, curvature_weight=0.3, min_peak=0.5)
    found = refine.level_sets(noisy)
    for k, classes in enumerate(HEART):
        expected = alone.level_set(noisy[:, classes].sum(1, keepdim=True))
        torch.testing.assert_close(found[:, k : k + 1], expected)


def test_a_second_component_goes_and_a_notch_is_smoothed() -> None:
    label = heart()
    wrong = label.clone()
    wrong[..., 40:45, 2:7] = 3
    wrong[..., 24, 30:37] = 0  # a slit through the wall
    refine = MultiphaseRefinement(HEART, inside={2: 1}, steps=30, curvature_weight=0.5)
    refined = refine(probabilities(wrong, 0.7)).argmax(1, keepdim=True)
    assert int((refined[..., 40:45, 2:7] > 0).sum()) == 0
    assert int((refined != label).sum()) < int((wrong[..., :40, :] != label[..., :40, :]).sum()) + 25
    assert int(refined[0, 0, 24, 33]) == 2


def test_the_cavity_stays_inside_the_muscle_and_leaves_a_wall() -> None:
    label = heart()
    label[..., 24:26, 24:36] = 3  # leaks to the outside
    plain = MultiphaseRefinement(HEART, steps=0)(probabilities(label)).argmax(1)[0]
    nested = MultiphaseRefinement(HEART, inside={2: 1}, wall=2, steps=0)(probabilities(label)).argmax(1)[0]
    outside = label[0, 0] < 2
    reach = torch.nn.functional.max_pool2d(outside[None, None].float(), 3, 1, 1)[0, 0] > 0
    assert int((reach & (plain == 3)).sum()) > 0
    assert int((reach & (nested == 3)).sum()) == 0


def test_what_is_not_there_is_not_invented() -> None:
    label = heart()
    label[label == 1] = 0
    refined = MultiphaseRefinement(HEART, steps=5)(probabilities(label)).argmax(1)
    assert int((refined == 1).sum()) == 0
    assert int((refined == 3).sum()) > 0


def bright_fat() -> torch.Tensor:
    """The heart with something larger than its right ventricle, of the same label and apart."""
    label = heart()
    label[..., 42:47, :] = 1
    assert int((label[..., 42:47, :] == 1).sum()) > int((heart() == 1).sum())
    return label


@pytest.mark.parametrize("steps", [0, 5])
def test_what_does_not_touch_its_neighbour_is_not_kept_for_its_size(steps: int) -> None:
    wrong = bright_fat()
    largest = MultiphaseRefinement(HEART, steps=steps)(probabilities(wrong)).argmax(1)
    assert bool((largest[:, 43:46] == 1).any())
    assert not bool((largest[:, :30] == 1).any())
    attached = MultiphaseRefinement(HEART, attached={0: 1}, steps=steps)(probabilities(wrong))
    true = MultiphaseRefinement(HEART, steps=steps)(probabilities(heart()))
    assert torch.equal(attached, true)


def test_nothing_is_dropped_where_the_neighbour_is_missing() -> None:
    label = torch.cat([bright_fat(), heart()])
    label[0, label[0] > 1] = 0
    refined = MultiphaseRefinement(HEART, attached={0: 1}, steps=0)(probabilities(label)).argmax(1)
    assert bool((refined[0, 42:47] == 1).all())
    assert torch.equal(refined[1], label[1, 0])


@pytest.mark.parametrize("structures", [[[0]], [[1], [1, 2]], [[1], []]])
def test_structures_that_cannot_be_painted_are_refused(structures: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="classes from 1 on"):
        MultiphaseRefinement(structures)


@pytest.mark.parametrize("inside", [{1: 2}, {0: 0}, {3: 0}])
def test_structures_inside_none_are_refused(inside: dict[int, int]) -> None:
    with pytest.raises(ValueError, match="earlier one that encloses it"):
        MultiphaseRefinement(HEART, inside=inside)


@pytest.mark.parametrize("attached", [{0: 0}, {3: 0}, {0: 3}])
def test_structures_attached_to_none_are_refused(attached: dict[int, int]) -> None:
    with pytest.raises(ValueError, match="`attached` maps a structure to another one"):
        MultiphaseRefinement(HEART, attached=attached)
