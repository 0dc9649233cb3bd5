"""The threshold baselines: correct by hand, and low on every phantom."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from monai_levelset.data.phantoms import PhantomCase
from monai_levelset.data.phantoms.baseline import (
    TARGETS,
    Target,
    dice,
    largest_component,
    oracle_dice,
    otsu_dice,
    region_dice,
    table,
    threshold_baseline,
)

Cases = Callable[[str], list[PhantomCase]]
BOUND = 0.6


def square_case(value: int, inside: int = 1) -> PhantomCase:
    """An 8x8x1 picture of 0 and 100 with a 4x4 square of ``value`` that is the label."""
    image = np.zeros((8, 8, 1), np.int16)
    image[:, :1] = 100
    label = np.zeros((8, 8, 1), np.uint8)
    label[2:6, 2:6] = inside
    image[label > 0] = value
    return PhantomCase(image, label, np.eye(4))


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: f"{t.task}-{t.name}")
def test_thresholds_fail_on_every_phantom(target: Target, some_cases: Cases) -> None:
    cases = some_cases(target.task)
    otsu = float(np.mean([otsu_dice(target, case) for case in cases]))
    oracle = float(np.mean(oracle_dice(target, cases)))
    assert 0 < otsu < BOUND
    assert 0 < oracle < BOUND


def test_dice_by_hand() -> None:
    a, b = np.array([1, 1, 0, 0], bool), np.array([0, 1, 1, 1], bool)
    assert dice(a, b) == pytest.approx(2 / 5)
    assert dice(a & ~a, b & ~b) == 1


def test_region_dice_by_hand() -> None:
    label = np.array([1, 1, 2, 2])
    assert region_dice(np.array([5, 5, 7, 7]), label) == 1
    assert region_dice(np.array([5, 5, 5, 5]), label) == pytest.approx(4 / 6)


def test_largest_component_by_hand() -> None:
    mask = np.array([1, 0, 1, 1, 0], bool)
    assert largest_component(mask).tolist() == [False, False, True, True, False]
    assert not largest_component(np.zeros(3, bool)).any()


def test_otsu_finds_a_separable_square() -> None:
    case = square_case(50)
    target = Target("lv", "square", (1,), bright=False)
    assert otsu_dice(target, case) == 1
    np.testing.assert_array_equal(threshold_baseline("lv", case.image, target), case.label == 1)


def test_oracle_finds_the_interval_and_uses_the_largest_component() -> None:
    assert oracle_dice(Target("lv", "square", (1,)), [square_case(50)]) == [1.0]
    alike = oracle_dice(Target("lv", "square", (1,)), [square_case(100)])  # 8 other voxels are as bright
    assert alike == [1.0]


def test_oracle_is_at_least_any_interval_by_brute_force() -> None:
    rng = np.random.default_rng(0)
    label = (rng.random((12, 12, 2)) < 0.3).astype(np.uint8)
    case = PhantomCase(rng.integers(0, 49, label.shape) + 8 * label.astype(np.int64), label, np.eye(4))
    target = Target("lv", "noise", (1,), window=(0, 48))
    clipped = np.minimum(case.image, 48)
    best = max(dice((clipped >= a) & (clipped < b), label > 0) for a in range(49) for b in range(a + 1, 50))
    assert oracle_dice(target, [case])[0] == pytest.approx(best, abs=0.03)


def test_unknown_task_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown phantom task 'x'"):
        threshold_baseline("x", np.zeros((4, 4, 1)))


def test_table_is_markdown_with_a_row_per_target() -> None:
    lines = table(2, 0, ("natural", "fundus")).splitlines()
    assert lines[1] == "|---|---|---|---|"
    assert [line.split("|")[2].strip() for line in lines[2:]] == ["optic disc", "optic cup", "every region"]
