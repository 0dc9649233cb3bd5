"""Validation by number of updates."""

from __future__ import annotations

from types import ModuleType

import pytest
from ignite.engine import Events
from monai.engines import SupervisedEvaluator

from monai_levelset.engines import MemoryReplay, UpdateValidationHandler


def validations(toys: ModuleType, interval: int, **changes) -> tuple[list[int], int]:
    """Numbers of updates at which it was validated, and the last."""
    net, seen = toys.network(), []
    evaluator = SupervisedEvaluator(
        device="cpu", val_data_loader=[toys.batch(1, 0)], network=net, decollate=False
    )
    trainer = toys.trainer(net, [toys.batch(2, 0)] * 4, **changes)
    evaluator.add_event_handler(Events.COMPLETED, lambda: seen.append(trainer.state.updates))
    modes = []
    net.register_forward_hook(lambda module, arguments, output: modes.append(module.training))
    UpdateValidationHandler(interval, evaluator).attach(trainer)
    trainer.run()
    assert modes.count(True) == trainer.state.updates
    assert modes.count(False) == len(seen)
    return seen, trainer.state.updates


@pytest.mark.parametrize(
    ("interval", "limit", "expected"),
    [(3, 8, [3, 6, 8]), (4, 8, [4, 8]), (1, 3, [1, 2, 3]), (20, 5, [5])],
)
def test_at_multiples_and_after_the_last(
    toys: ModuleType, interval: int, limit: int, expected: list[int]
) -> None:
    assert validations(toys, interval, max_epochs=9, max_updates=limit) == (expected, limit)


def test_replayed_updates_count(toys: ModuleType) -> None:
    # 4 mini-batches with capacity 2: 1, 3, 3, 3 updates; validation also falls in the middle of a pass
    assert validations(toys, 3, replay=MemoryReplay(2)) == ([3, 6, 9, 10], 10)


def test_the_epochs_end_is_an_end_too(toys: ModuleType) -> None:
    assert validations(toys, 3, max_epochs=2) == ([3, 6, 8], 8)
    assert validations(toys, 4, max_epochs=2) == ([4, 8], 8)


@pytest.mark.parametrize("interval", [0, -5])
def test_refused_interval(interval: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        UpdateValidationHandler(interval)


def test_a_training_shorter_than_the_interval_is_validated_at_its_end(toys: ModuleType) -> None:
    assert validations(toys, 30, max_epochs=2) == ([8], 8)
