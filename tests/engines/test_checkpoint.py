"""Resuming: N + N epochs equal 2N bit for bit, also after a kill; wrong files are refused."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from torch import nn

from monai_levelset.data import DataError
from monai_levelset.engines import BestNetwork, RandomState, RunCheckpoint
from monai_levelset.engines import checkpoint as checkpoint_module


def same(a: Any, b: Any) -> bool:
    """Deep, bitwise equality of nested states."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def saved(folder: Path) -> dict[str, Any]:
    state = torch.load(folder / "run.pt", weights_only=True)
    state["trainer"].pop("max_epochs")  # what was asked for, not what was reached
    return state


def disturb() -> None:
    """What another process would have: other random numbers."""
    random.seed(99)
    np.random.seed(99)  # noqa: NPY002
    torch.manual_seed(99)


@pytest.fixture(scope="module")
def whole(toys: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run of six epochs."""
    folder = tmp_path_factory.mktemp("whole")
    toys.joint_run(folder, 6)["trainer"].run()
    return folder


@pytest.mark.parametrize("first", [1, 2, 5])
def test_resumed_equals_uninterrupted_bit_for_bit(
    toys: ModuleType, whole: Path, tmp_path: Path, first: int
) -> None:
    toys.joint_run(tmp_path, first)["trainer"].run()
    resumed = toys.joint_run(tmp_path, 6, resume=True)
    disturb()
    resumed["trainer"].run()
    state, expected = saved(tmp_path), saved(whole)
    assert set(state) == {"model", "optimizer", "scheduler", "replay", "best", "trainer", "random"}
    for name in expected:
        assert same(state[name], expected[name]), name
    assert state["trainer"]["updates"] > 6
    assert state["best"]["value"] > -1
    best = [torch.load(folder / "model.pt", weights_only=True) for folder in (tmp_path, whole)]
    assert same(best[0], best[1])


def test_the_run_is_no_trivial_one(toys: ModuleType, whole: Path) -> None:
    state = saved(whole)
    assert not same(state["model"], toys.network().state_dict())
    assert state["trainer"] == {"epoch_length": 2, "iteration": 12, "updates": 12 + 2 * 11}
    assert len(state["replay"]["samples"]) == 1
    assert state["scheduler"]["last_epoch"] == 34
    assert not same(torch.load(whole / "model.pt", weights_only=True), toys.network().state_dict())


def test_a_run_cut_by_its_budget_repeats_its_last_epoch_identically(toys: ModuleType, tmp_path: Path) -> None:
    pieces = toys.joint_run(tmp_path, 50, max_updates=15)
    pieces["trainer"].run()
    again = toys.joint_run(tmp_path, 50, resume=True, max_updates=15)
    disturb()
    again["trainer"].run()
    assert pieces["trainer"].state.updates == again["trainer"].state.updates == 15
    assert same(pieces["model"].state_dict(), again["model"].state_dict())
    assert same(pieces["optimizer"].state_dict(), again["optimizer"].state_dict())
    assert pieces["best"].value == again["best"].value


def test_a_finished_run_stays_finished(toys: ModuleType, whole: Path, tmp_path: Path) -> None:
    toys.joint_run(tmp_path, 2)["trainer"].run()
    before = saved(tmp_path)
    resumed = toys.joint_run(tmp_path, 2, resume=True)
    resumed["trainer"].run()
    assert same(resumed["model"].state_dict(), before["model"])
    assert same(saved(tmp_path), before)


def test_without_resume_a_run_starts_anew(toys: ModuleType, whole: Path, tmp_path: Path) -> None:
    (tmp_path / "run.pt").write_bytes((whole / "run.pt").read_bytes())
    toys.joint_run(tmp_path, 1)["trainer"].run()
    assert saved(tmp_path)["trainer"]["iteration"] == 2


def start(folder: Path, epochs: int, resume: bool) -> subprocess.Popen:
    program = Path(__file__).with_name("toys.py")
    command = [sys.executable, "-W", "ignore", str(program), str(folder), str(epochs), str(resume)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


@pytest.mark.slow
def test_killed_and_resumed_equals_uninterrupted(toys: ModuleType, tmp_path: Path) -> None:
    """SIGKILL at a random moment, several times over, in processes of their own."""
    epochs, rng = 12, random.Random(time.time_ns())
    toys.joint_run(tmp_path / "whole", epochs)["trainer"].run()
    folder, kills, resume = tmp_path / "killed", 0, False
    for target in (2, 7):
        process = start(folder, epochs, resume)
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= target:
                time.sleep(rng.uniform(0, 0.05))
                process.send_signal(signal.SIGKILL)
                break
        kills += process.wait() == -signal.SIGKILL
        process.stdout.close()
        reached = torch.load(folder / "run.pt", weights_only=True)["trainer"]["iteration"]
        assert reached % 2 == 0
        resume = True
    assert kills == 2
    with start(folder, epochs, True) as last:
        assert last.wait() == 0
    state, expected = saved(folder), saved(tmp_path / "whole")
    for name in expected:
        assert same(state[name], expected[name]), name
    best = [torch.load(f / "model.pt", weights_only=True) for f in (folder, tmp_path / "whole")]
    assert same(best[0], best[1])


def test_a_failing_save_leaves_the_old_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "run.pt"
    checkpoint_module.save_atomically({"a": torch.zeros(1)}, path)

    def half(value: Any, file: Any) -> None:
        file.write(b"half a file")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError, match="disk full"):
        checkpoint_module.save_atomically({"a": torch.ones(1)}, path)
    assert torch.load(path, weights_only=True)["a"] == 0
    assert [p.name for p in path.parent.iterdir()] == ["run.pt"]


def test_a_save_killed_in_the_middle_resumes_from_the_epoch_before(
    toys: ModuleType, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = torch.save, []

    def interrupted(value: Any, file: Any) -> None:
        if "trainer" in value:
            calls.append(value)
            if len(calls) == 4:
                file.write(b"half a file")
                raise KeyboardInterrupt
        real(value, file)

    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        toys.joint_run(tmp_path, 6)["trainer"].run()
    monkeypatch.undo()
    assert saved(tmp_path)["trainer"]["iteration"] == 6
    disturb()
    toys.joint_run(tmp_path, 6, resume=True)["trainer"].run()
    assert same(saved(tmp_path), saved(whole))


def resumed(path: Path, **objects: Any) -> None:
    engine = Engine(lambda engine, batch: None)
    RunCheckpoint(path, objects, resume=True).attach(engine)
    engine.run([0], max_epochs=1)


def test_resume_without_a_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"run\.pt: nothing to resume here.*--resume False"):
        resumed(tmp_path / "run.pt")


def test_resume_of_another_network(toys: ModuleType, whole: Path) -> None:
    with pytest.raises(DataError, match=r"run\.pt: its model does not fit this run \("):
        resumed(whole / "run.pt", model=nn.Linear(3, 2))


def test_resume_of_another_optimizer(toys: ModuleType, whole: Path) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1)
    with pytest.raises(DataError, match="its optimizer does not fit"):
        resumed(whole / "run.pt", optimizer=optimizer)


def test_resume_of_another_kind_of_run(whole: Path) -> None:
    with pytest.raises(DataError, match="no average, teacher in this checkpoint"):
        resumed(whole / "run.pt", teacher=nn.Linear(1, 1), average=nn.Linear(1, 1))


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all", "half"])
def test_resume_of_a_damaged_file(whole: Path, tmp_path: Path, content: bytes | str) -> None:
    data = (whole / "run.pt").read_bytes()
    (tmp_path / "run.pt").write_bytes(data[: len(data) // 2] if content == "half" else content)
    with pytest.raises(DataError, match=r"run\.pt: not a readable checkpoint.*--resume False"):
        resumed(tmp_path / "run.pt")


def test_resume_of_a_file_of_something_else(tmp_path: Path) -> None:
    torch.save(torch.zeros(3), tmp_path / "run.pt")
    with pytest.raises(DataError, match="no model, random, trainer in this checkpoint"):
        resumed(tmp_path / "run.pt", model=nn.Linear(1, 1))


def test_objects_that_are_none_are_left_out_and_every_second_epoch(tmp_path: Path) -> None:
    engine, written = Engine(lambda engine, batch: None), []
    path = tmp_path / "run.pt"
    RunCheckpoint(path, {"model": nn.Linear(1, 1), "scheduler": None}, every=2).attach(engine)

    @engine.on(Events.EPOCH_COMPLETED)
    def look(engine: Engine) -> None:
        state = torch.load(path, weights_only=True) if path.exists() else None
        written.append(state and state["trainer"]["iteration"])

    engine.run([0], max_epochs=5)
    assert written == [None, 2, 2, 4, 4]
    assert set(torch.load(path, weights_only=True)) == {"model", "trainer", "random"}


def test_only_the_first_rank_writes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    engine = Engine(lambda engine, batch: None)
    RunCheckpoint(tmp_path / "run.pt", {"model": nn.Linear(1, 1)}).attach(engine)
    engine.run([0], max_epochs=1)
    evaluator = Engine(lambda engine, batch: None)
    best = BestNetwork(tmp_path / "model.pt", nn.Linear(1, 1), "dice")
    judged(evaluator, best, [0.5])
    assert best.value == 0.5
    assert list(tmp_path.iterdir()) == []


def test_random_state_covers_all_generators() -> None:
    def draw() -> list[float]:
        numbers = [random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn()]  # noqa: NPY002
        return [*numbers, torch.rand(1).item(), torch.randn(1).item()]

    np.random.randn()  # noqa: NPY002 - leaves a second normal number waiting
    random.gauss(0, 1)
    state = RandomState().state_dict()
    first = draw()
    disturb()
    RandomState().load_state_dict(state)
    assert draw() == first


def test_random_state_survives_a_file(tmp_path: Path) -> None:
    torch.save(RandomState().state_dict(), tmp_path / "state.pt")
    first = random.random(), np.random.rand(), torch.rand(1)  # noqa: NPY002
    RandomState().load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert (random.random(), np.random.rand(), torch.rand(1)) == first  # noqa: NPY002


def judged(evaluator: Engine, best: BestNetwork, scores: list[float]) -> None:
    """Run the evaluator once per score; the network's weight holds the run's number."""
    remaining = iter(scores)

    @evaluator.on(Events.EPOCH_COMPLETED)
    def score(engine: Engine) -> None:
        engine.state.metrics["dice"] = next(remaining)

    best.attach(evaluator)
    for number in range(len(scores)):
        with torch.no_grad():
            best.network.weight.fill_(number)
        evaluator.run([0])


@pytest.mark.parametrize(
    ("scores", "chosen"), [([0.1, 0.7, 0.3, 0.7], 1), ([float("nan"), 0.0], 1), ([-2.0, -1.0, -3.0], 1)]
)
def test_the_best_network_is_kept(tmp_path: Path, scores: list[float], chosen: int) -> None:
    best = BestNetwork(tmp_path / "models" / "model.pt", nn.Linear(1, 1), "dice")
    judged(Engine(lambda engine, batch: None), best, scores)
    state = torch.load(tmp_path / "models" / "model.pt", weights_only=True)
    assert state["weight"].item() == chosen
    assert best.value == scores[chosen]


def test_the_best_value_is_remembered(tmp_path: Path) -> None:
    first = BestNetwork(tmp_path / "model.pt", nn.Linear(1, 1), "dice")
    judged(Engine(lambda engine, batch: None), first, [0.5])
    second = BestNetwork(tmp_path / "model.pt", nn.Linear(1, 1), "dice")
    second.load_state_dict(first.state_dict())
    judged(Engine(lambda engine, batch: None), second, [0.4, 0.45])
    assert torch.load(tmp_path / "model.pt", weights_only=True)["weight"].item() == 0
    assert second.value == 0.5


def test_a_metric_that_is_not_there(tmp_path: Path) -> None:
    best = BestNetwork(tmp_path / "model.pt", nn.Linear(1, 1), "val_dice")
    with pytest.raises(KeyError, match=r"no metric 'val_dice'; it has \['dice'\]"):
        judged(Engine(lambda engine, batch: None), best, [0.5])


def test_resuming_puts_the_best_network_back(tmp_path: Path) -> None:
    best = BestNetwork(tmp_path / "model.pt", nn.Linear(1, 1), "dice")
    judged(Engine(lambda engine, batch: None), best, [0.5])
    state, kept = best.state_dict(), torch.load(tmp_path / "model.pt", weights_only=True)
    judged(Engine(lambda engine, batch: None), best, [0.9])  # after the checkpoint
    again = BestNetwork(tmp_path / "model.pt", nn.Linear(1, 1), "dice")
    again.load_state_dict(state)
    assert again.value == 0.5
    assert same(torch.load(tmp_path / "model.pt", weights_only=True), kept)
