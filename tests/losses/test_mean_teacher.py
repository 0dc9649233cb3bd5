"""The sum of the losses of a mean-teacher training: which voxels each sees."""

from __future__ import annotations

import pytest
import torch

from monai_levelset.losses import LevelSetLoss, MeanTeacherLoss, MumfordShahLoss, WeightedDiceCELoss

MS = MumfordShahLoss(softmax=True, per_voxel=True, reduction="mean")
LEVEL_SET = LevelSetLoss(softmax=True, per_voxel=True, ignore_index=255)


def problem() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two items; of the second only the left half is labelled by a person."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(2, 3, 6, 6, generator=generator)
    target = torch.randn(2, 3, 6, 6, generator=generator).softmax(1)
    weight = torch.ones(2, 1, 6, 6)
    weight[1, :, :, 3:] = 0.4
    return scores, target, weight, torch.rand(2, 1, 6, 6, generator=generator)


def test_parts_are_the_weighted_losses_of_their_voxels() -> None:
    scores, target, weight, image = problem()
    loss = MeanTeacherLoss(
        level_set=LEVEL_SET, level_set_weight=0.3, mumford_shah=MS, mumford_shah_weight=0.2
    )
    parts = loss.parts(scores, target, weight, image)
    label = target.argmax(1, keepdim=True)
    label[1, :, :, 3:] = 255
    torch.testing.assert_close(parts["segmentation"], WeightedDiceCELoss()(scores, target, weight))
    torch.testing.assert_close(parts["level_set"], 0.3 * LEVEL_SET(scores, label))
    torch.testing.assert_close(parts["mumford_shah"], 0.2 * MS(scores, image, weight < 1))
    torch.testing.assert_close(loss(scores, target, weight, image), sum(parts.values()))


def test_parts_that_are_left_out_are_not_there() -> None:
    assert [*MeanTeacherLoss().parts(*problem())] == ["segmentation"]


def test_rounding_in_the_augmentation_does_not_make_a_label_unlabelled() -> None:
    scores, target, weight, image = problem()
    loss = MeanTeacherLoss(level_set=LEVEL_SET, mumford_shah=MS)
    rounded = loss.parts(scores, target, weight * (1 - 1e-6), image)
    for name in ("level_set", "mumford_shah"):
        assert torch.equal(rounded[name], loss.parts(scores, target, weight, image)[name])


def test_what_does_not_fit_is_named() -> None:
    for name in ("level_set_weight", "mumford_shah_weight"):
        with pytest.raises(ValueError, match=f"{name}.* negative"):
            MeanTeacherLoss(**{name: -1.0})
    with pytest.raises(ValueError, match="ignore_index=255"):
        MeanTeacherLoss(level_set=LevelSetLoss(softmax=True))
