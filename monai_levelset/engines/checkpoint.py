"""What a run leaves on disk: a checkpoint to resume from, and the best network."""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import nn

from monai_levelset.data.atomic import atomic_path
from monai_levelset.data.errors import DataError

from .epoch_place import EpochPlace
from .random_state import RandomState
from .ranks import is_first_rank

logger = logging.getLogger(__name__)


class RunCheckpoint:
    """Save everything a run needs to go on, after each epoch and at an interruption, and go on from there.

    A run of N epochs that is resumed for N more ends exactly, on a CPU bit for bit, where a run of 2N would
    have, also after it was killed: the file is replaced only when the new one is complete. Attach it after
    the validation, so that the best metric is part of the state. An epoch that is cut short by the budget of
    updates is not saved: resuming repeats it. One that is interrupted, see `Interruption`, is saved where it
    was left, and goes on there.

    Args:
        path: the checkpoint file.
        objects: what to save, by name: anything with `state_dict` and `load_state_dict`, such as the network,
            optimiser, scheduler, replay buffer, `BestNetwork`. The trainer (its epoch and number of updates)
            and the random generators are added.
        resume: start from the file. Otherwise the file of an earlier run is replaced at the first epoch's
            end.
        every: epochs between two saves.

    Raises:
        DataError: `resume` and the file is missing, unreadable, or of other objects; the message says which.

    Example:
        >>> import tempfile
        >>> engine = Engine(lambda engine, batch: None)
        >>> path = Path(tempfile.mkdtemp()) / "run.pt"
        >>> RunCheckpoint(path, {"net": nn.Linear(1, 1)}).attach(engine)
        >>> state = engine.run([0], max_epochs=2)
        >>> torch.load(path, weights_only=True)["trainer"]["iteration"]
        2
    """

    def __init__(
        self, path: str | Path, objects: Mapping[str, Any], *, resume: bool = False, every: int = 1
    ) -> None:
        self.path, self.resume, self.every = Path(path), resume, every
        self.objects = {name: value for name, value in objects.items() if value is not None}
        self.place = EpochPlace([])

    def attach(self, engine: Engine) -> None:
        """Load at the start, if `resume`, and save at the ends of epochs and where a run is interrupted."""
        self.objects = {**self.objects, "trainer": engine, "random": RandomState()}
        engine.add_event_handler(Events.STARTED, self._watch)
        if self.resume:
            engine.add_event_handler(Events.STARTED, self.load)
        engine.add_event_handler(Events.EPOCH_COMPLETED(every=self.every), self.save)
        engine.add_event_handler(Events.INTERRUPT, self.save)

    def save(self, engine: Engine) -> None:
        """Write the file, on the first rank only."""
        if is_first_rank():
            state = {name: _bare(value).state_dict() for name, value in self.objects.items()}
            if _batches_into_epoch(engine):
                state["epoch_start"] = self.place.start
            save_atomically(state, self.path)

    def load(self, engine: Engine) -> None:
        """Put all objects into the saved state."""
        state = _read(self.path)
        missing = sorted(set(self.objects) - set(state if isinstance(state, Mapping) else ()))
        if missing:
            raise DataError(
                f"{self.path}: no {', '.join(missing)} in this checkpoint; it is not of such a run."
            )
        max_epochs = engine.state.max_epochs
        for name, value in self.objects.items():
            try:
                _bare(value).load_state_dict(state[name])
            except (RuntimeError, KeyError, ValueError) as error:
                raise DataError(
                    f"{self.path}: its {name} does not fit this run ({error}). Resume with the configuration "
                    "that wrote it, or start anew with --resume False."
                ) from error
        engine.state.max_epochs = max_epochs
        if _batches_into_epoch(engine):
            self.place.enter(_batches_into_epoch(engine), state["epoch_start"], state["random"])
        logger.info("Resuming %s after iteration %d.", self.path, engine.state.iteration)

    def _watch(self, engine: Engine) -> None:
        self.place = EpochPlace(engine.state.dataloader or [])
        engine.state.dataloader = self.place


class BestNetwork:
    """Keep the weights of the best validation so far; attach to the validation's evaluator.

    They are part of the state: a resumed run puts the file back to what it was at its checkpoint.

    Args:
        path: file for the bare `state_dict`.
        network: the network; its wrapper for parallel training is looked through.
        metric: name in the evaluator's metrics; larger is better.

    Raises:
        KeyError: the evaluator has no such metric.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "model.pt"
        >>> evaluator = Engine(lambda engine, batch: None)
        >>> best = BestNetwork(path, nn.Linear(1, 1), "dice")
        >>> best.attach(evaluator)
        >>> @evaluator.on(Events.EPOCH_COMPLETED)
        ... def score(engine):
        ...     engine.state.metrics["dice"] = 0.7
    """

    def __init__(self, path: str | Path, network: nn.Module, metric: str) -> None:
        self.path, self.network, self.metric = Path(path), network, metric
        self.value = -float("inf")
        self.weights: dict[str, Any] | None = None

    def attach(self, engine: Engine) -> None:
        """Judge after each run of the evaluator."""
        engine.add_event_handler(Events.COMPLETED, self.judge)

    def judge(self, engine: Engine) -> None:
        """Save if better."""
        if self.metric not in engine.state.metrics:
            raise KeyError(
                f"The validation has no metric {self.metric!r}; it has {sorted(engine.state.metrics)}."
            )
        value = float(engine.state.metrics[self.metric])
        if value > self.value:
            self.value = value
            weights = _bare(self.network).state_dict()
            self.weights = {name: values.detach().cpu().clone() for name, values in weights.items()}
            self._save()

    def state_dict(self) -> dict[str, Any]:
        """The best value so far, and its weights."""
        return {"value": self.value, "weights": self.weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from this value, with these weights in the file."""
        self.value, self.weights = state["value"], state.get("weights")
        self._save()

    def _save(self) -> None:
        if self.weights is not None and is_first_rank():
            save_atomically(self.weights, self.path)


class LastNetwork:
    """Keep the weights at the end of a training that nothing judges: there are no cases to spare for it.

    Args:
        path: file for the bare `state_dict`.
        network: the network; its wrapper for parallel training is looked through.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "model.pt"
        >>> engine = Engine(lambda engine, batch: None)
        >>> LastNetwork(path, nn.Linear(1, 1)).attach(engine)
        >>> state = engine.run([0])
        >>> sorted(torch.load(path, weights_only=True))
        ['bias', 'weight']
    """

    def __init__(self, path: str | Path, network: nn.Module) -> None:
        self.path, self.network = Path(path), network

    def attach(self, engine: Engine) -> None:
        """Save when the engine has completed, on the first rank only."""
        engine.add_event_handler(Events.COMPLETED, self.save)

    def save(self) -> None:
        """Write the file."""
        if is_first_rank():
            save_atomically(_bare(self.network).state_dict(), self.path)


def save_atomically(value: Any, path: str | Path) -> None:
    """`torch.save` under a temporary name, flushed to disk, then renamed: the file is never half."""
    with atomic_path(Path(path)) as temporary, open(temporary, "wb") as file:
        torch.save(value, file)
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DataError(
            f"{path}: nothing to resume here. Start with --resume False, or name the run's folder."
        )
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise DataError(
            f"{path}: not a readable checkpoint ({type(error).__name__}): truncated, or of another kind. "
            "Start anew with --resume False."
        ) from error
    return state


def _bare(value: Any) -> Any:
    return value.module if isinstance(value, nn.parallel.DistributedDataParallel) else value


def _batches_into_epoch(engine: Engine) -> int:
    return int(engine.state.iteration % engine.state.epoch_length) if engine.state.epoch_length else 0
