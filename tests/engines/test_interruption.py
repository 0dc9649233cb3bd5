"""Ctrl-C and SIGTERM: saved in the middle of an epoch, resumed bit for bit, handlers put back."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from monai.engines import IterationEvents

from monai_levelset.engines import Interruption
from monai_levelset.engines.epoch_place import EpochPlace
from monai_levelset.engines.random_state import RandomState

BUDGET = 20


def same(a: Any, b: Any) -> bool:
    """Deep, bitwise equality of nested states."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def pieces(toys: ModuleType, folder: Path, **changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = toys.joint_run(folder, 50, max_updates=BUDGET, **changes)
    Interruption(folder / "run.pt").attach(made["trainer"])
    return made


def at_update(number: int, act: Callable[[], None]) -> Callable[[Any], None]:
    def handler(engine: Any) -> None:
        if engine.state.updates == number:
            act()

    return handler


def send(number: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


@pytest.fixture(scope="module")
def whole(toys: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """An uninterrupted run."""
    made: dict[str, Any] = toys.joint_run(tmp_path_factory.mktemp("whole"), 50, max_updates=BUDGET)
    made["trainer"].run()
    return made


@pytest.mark.parametrize(
    ("update", "number", "saved_at"),
    [(1, signal.SIGINT, 1), (3, signal.SIGTERM, 4), (9, signal.SIGINT, 10), (11, signal.SIGINT, 13)],
)
def test_interrupted_and_resumed_equals_uninterrupted_bit_for_bit(
    toys: ModuleType,
    whole: dict[str, Any],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    update: int,
    number: int,
    saved_at: int,
) -> None:
    """In the middle of epochs of two mini-batches and at their ends; replays of a mini-batch are finished."""
    before = [signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)]
    first = pieces(toys, tmp_path)
    first["trainer"].add_event_handler(IterationEvents.MODEL_COMPLETED, at_update(update, send(number)))
    with pytest.raises(SystemExit) as stop:
        first["trainer"].run()
    assert stop.value.code == 130
    assert [signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)] == before
    said = capfd.readouterr().err.strip().splitlines()[-1]
    assert said == (
        f"interrupted after update {saved_at}, saved in {tmp_path}/run.pt. "
        "Go on with the same command and --resume True"
    )
    assert torch.load(tmp_path / "run.pt", weights_only=True)["trainer"]["updates"] == saved_at
    resumed = pieces(toys, tmp_path, resume=True)
    random.seed(99)
    np.random.seed(99)  # noqa: NPY002
    torch.manual_seed(99)
    resumed["trainer"].run()
    assert resumed["trainer"].state.updates == BUDGET
    for name in ("model", "optimizer", "scheduler", "replay", "best"):
        assert same(resumed[name].state_dict(), whole[name].state_dict()), name


def test_a_signal_at_the_end_changes_nothing(toys: ModuleType, tmp_path: Path) -> None:
    made = pieces(toys, tmp_path)
    made["trainer"].add_event_handler(IterationEvents.MODEL_COMPLETED, at_update(BUDGET, send(signal.SIGINT)))
    made["trainer"].run()
    assert made["trainer"].state.updates == BUDGET


@pytest.fixture
def usual_ctrl_c() -> Iterator[None]:
    """Python's own handler, which a process started in the background has not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("usual_ctrl_c")
def test_a_second_ctrl_c_stops_at_once(toys: ModuleType, tmp_path: Path) -> None:
    made = pieces(toys, tmp_path)

    def twice() -> None:
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)

    made["trainer"].add_event_handler(IterationEvents.MODEL_COMPLETED, at_update(1, twice))
    with pytest.raises(KeyboardInterrupt):
        made["trainer"].run()
    assert not (tmp_path / "run.pt").exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("usual_ctrl_c")
def test_errors_of_a_training_are_raised(tmp_path: Path) -> None:
    def fail(engine: Engine, batch: int) -> None:
        raise ValueError("a.png: broken")

    engine = Engine(fail)
    Interruption(tmp_path / "run.pt").attach(engine)
    with pytest.raises(ValueError, match=r"a\.png: broken"):
        engine.run([0])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("skip", [0, 1, 3])
def test_an_epoch_goes_on_in_its_order(workers: int, skip: int) -> None:
    loader = EpochPlace(torch.utils.data.DataLoader(range(5), shuffle=True, num_workers=workers))
    torch.manual_seed(3)
    epoch = iter(loader)
    for _ in range(skip):
        next(epoch)
    torch.rand(4)
    left = RandomState().state_dict()
    expected = [int(batch) for batch in epoch], float(torch.rand(()))
    start = loader.start
    torch.manual_seed(99)
    loader.enter(skip, start, left)
    assert ([int(batch) for batch in loader], float(torch.rand(()))) == expected
    assert len(expected[0]) == 5 - skip
    assert len(list(loader)) == len(loader) == 5


def test_events_of_other_engines_are_left_alone(tmp_path: Path) -> None:
    """An engine without updates stops after its iteration, and is not at its end."""
    engine = Engine(lambda engine, batch: os.kill(os.getpid(), signal.SIGTERM))
    Interruption(tmp_path / "run.pt").attach(engine)
    completed: list[int] = []
    engine.add_event_handler(Events.COMPLETED, lambda: completed.append(1))
    assert engine.run([0, 1, 2]).iteration == 1
    assert completed == []
