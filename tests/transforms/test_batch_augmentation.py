"""Augmentation of whole mini-batches: identity, alignment, seeds, and several processes as one."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from monai_levelset.transforms import BatchAugmentation

STILL = {"rotation": 0, "scale": 0, "stretch": 0, "shift": 0, "flip": False, "bend": 0}
PLAIN = {"shade": 0, "contrast": 0, "noise": 0}


def disc(batch: int, size: int = 48, radius: float = 11) -> Tensor:
    x = torch.arange(size) - (size - 1) / 2
    mask = (x[:, None] ** 2 + (1.3 * x) ** 2).sqrt() < radius
    return mask.float().expand(batch, 1, size, size).clone()


def augment(
    seed: int, augmentation: BatchAugmentation, image: Tensor, label: Tensor
) -> tuple[Tensor, Tensor]:
    torch.manual_seed(seed)
    return augmentation(image, label)


def test_identity_without_strength() -> None:
    image, label = torch.randn(3, 1, 40, 30), torch.rand(3, 1, 40, 30)
    same, same_label = BatchAugmentation(**STILL, **PLAIN)(image, label)
    torch.testing.assert_close(same, image, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(same_label, label, atol=1e-5, rtol=1e-5)


def test_the_seed_decides_everything() -> None:
    image, label = torch.rand(4, 1, 32, 32), disc(4, 32)
    first, again = (augment(5, BatchAugmentation(), image, label) for _ in range(2))
    other = augment(6, BatchAugmentation(), image, label)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


def test_inputs_stay_as_they_are_and_calls_differ() -> None:
    image, label = torch.rand(4, 1, 32, 32), disc(4, 32)
    kept = image.clone(), label.clone()
    augmentation = BatchAugmentation()
    first, second = augmentation(image, label), augmentation(image, label)
    assert torch.equal(image, kept[0])
    assert torch.equal(label, kept[1])
    assert not torch.equal(first[0], second[0])


@settings(max_examples=20)
@given(st.integers(0, 2**31 - 1))
def test_image_and_label_move_together(seed: int) -> None:
    label = disc(6)
    image, warped = augment(seed, BatchAugmentation(**PLAIN), 100 * label, label)
    seen, expected = image > 50, warped > 0.5
    overlap = 2 * (seen & expected).sum((1, 2, 3)) / (seen.sum((1, 2, 3)) + expected.sum((1, 2, 3)))
    assert overlap.min() > 0.97
    assert expected.sum((1, 2, 3)).min() > 0.4 * label[0].sum()


@settings(max_examples=20)
@given(st.integers(0, 2**31 - 1))
def test_labels_stay_soft_in_range_and_images_finite(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    image = 1000 * torch.randn(3, 1, 20, 26, generator=generator)
    image[1] = 7.0  # a constant image has no range to raise to a power
    augmented, label = augment(
        seed, BatchAugmentation(), image, torch.rand(3, 1, 20, 26, generator=generator)
    )
    assert augmented.isfinite().all()
    assert label.min() >= 0
    assert label.max() <= 1


def test_size_cuts_the_centre() -> None:
    image = torch.rand(2, 1, 41, 33)
    cut, label = BatchAugmentation(**STILL, **PLAIN, size=(21, 13))(image, image)
    torch.testing.assert_close(cut, image[..., 10:31, 10:23], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(label, cut)


def test_flip_alone_mirrors_some_items() -> None:
    image = torch.rand(16, 1, 12, 12)
    flipped, _ = augment(0, BatchAugmentation(**{**STILL, "flip": True}, **PLAIN), image, image)
    mirrored = [torch.allclose(a, b.flip(-1), atol=1e-5) for a, b in zip(flipped, image, strict=True)]
    kept = [torch.allclose(a, b, atol=1e-5) for a, b in zip(flipped, image, strict=True)]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))
    assert 3 <= sum(mirrored) <= 13


@pytest.mark.parametrize(
    "name", ["rotation", "scale", "stretch", "shift", "bend", "shade", "contrast", "noise"]
)
def test_each_strength_does_something_of_its_own(name: str) -> None:
    image, label = torch.rand(4, 1, 32, 32), disc(4, 32)
    changed, warped = BatchAugmentation(**{**STILL, **PLAIN, name: 0.3})(image, label)
    geometric = name not in PLAIN
    assert all((changed - image).abs().amax((1, 2, 3)) > 1e-3)
    assert ((warped - label).abs().max() > 1e-3) == geometric


def test_rotation_keeps_area_and_shape() -> None:
    label = disc(32, 64, 16)
    _, turned = augment(0, BatchAugmentation(**{**STILL, "rotation": 3.14}, **PLAIN), label, label)
    areas = turned.sum((1, 2, 3)) / label.sum((1, 2, 3))
    torch.testing.assert_close(areas, torch.ones(32), atol=0.02, rtol=0)


def test_shift_moves_by_at_most_its_part_of_half_the_size() -> None:
    label = disc(64, 60, 12)
    _, moved = augment(0, BatchAugmentation(**{**STILL, "shift": 0.2}, **PLAIN), label, label)
    x = torch.arange(60) - 29.5
    offset = (moved.sum(2)[:, 0] * x).sum(1) / moved.sum((1, 2, 3))
    assert offset.abs().max() <= 0.2 * 30 + 0.01
    assert offset.abs().max() > 0.15 * 30


def test_two_ranks_see_what_one_process_would(monkeypatch: pytest.MonkeyPatch) -> None:
    image, label = torch.rand(6, 1, 24, 24), disc(6, 24, 6)
    augmentation = BatchAugmentation(size=(20, 20))
    whole = augment(3, augmentation, image, label)
    after = torch.rand(1)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    for rank in range(2):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        part = augment(3, augmentation, image[rank::2], label[rank::2])
        torch.testing.assert_close(part[0], whole[0][rank::2], atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(part[1], whole[1][rank::2], atol=1e-6, rtol=1e-6)
        assert torch.equal(torch.rand(1), after)  # the generators stay in step
