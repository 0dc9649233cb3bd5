"""Where a training stands: one line."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from typing import Any

from ignite.engine import Engine, Events
from monai.engines import Evaluator, IterationEvents
from tqdm import tqdm

from .checkpoint import BestNetwork
from .peak_memory import peak_memory
from .ranks import is_first_rank
from .training_scalars import training_scalars, validation_scalars

__all__ = ["TrainingProgress"]


class TrainingProgress:
    """Handler that shows updates, losses, learning rate, time left and peak memory; and each validation.

    In a terminal this is a bar on one line, elsewhere a line at each `interval`, both on stderr and on the
    first rank only. The losses are read at each `interval`: between, nothing is copied from the device.
    Attach it to the trainer, before the validation, and to the validation's evaluator, after `best`. The INFO
    lines of their engines are silenced.

    Args:
        interval: updates between two readings of the losses.
        best: what judges the validations, to mark the best.

    Example:
        >>> from monai_levelset.networks import ShallowFCN
        >>> best = BestNetwork("model.pt", ShallowFCN(), "val_mean_dice")
        >>> TrainingProgress(10, best).interval
        10
    """

    def __init__(self, interval: int, best: BestNetwork) -> None:
        self.interval, self.best = interval, best
        self._bar: tqdm[Any] | None = None
        self._trainer: Any = None
        self._first: int | None = None
        self._start, self._best_before = 0.0, best.value

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer that counts updates, or to the evaluator of its validation."""
        engine.logger.setLevel(logging.WARNING)
        if not is_first_rank():
            return
        if isinstance(engine, Evaluator):
            engine.add_event_handler(Events.COMPLETED, self._show_validation)
            return
        self._trainer = engine
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(IterationEvents.MODEL_COMPLETED, self._show_update)
        engine.add_event_handler(Events.COMPLETED | Events.INTERRUPT, self._end)

    def _begin(self) -> None:
        self._start, self._first = time.perf_counter(), None

    def _show_update(self, engine: Any) -> None:
        updates, total = engine.state.updates, engine.max_updates
        if self._first is None:  # a checkpoint has been loaded by now
            self._first, self._best_before = updates - 1, self.best.value
            if sys.stderr.isatty():
                self._bar = tqdm(total=total, initial=self._first, desc="training", unit="update")
        if self._bar is not None:
            self._bar.update()
        if updates % self.interval == 0 or updates == total:
            self._say(describe(training_scalars(engine), peak_memory(engine.state.device)), updates, total)

    def _say(self, text: str, updates: int, total: int | None) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(text)
            return
        if total:
            seconds = (time.perf_counter() - self._start) / (updates - (self._first or 0))
            text += f", {tqdm.format_interval(round(seconds * (total - updates)))} left"
        of = f"/{total}" if total else ""
        print(f"update {updates}{of}: {text}", file=sys.stderr, flush=True)

    def _show_validation(self, engine: Engine) -> None:
        updates = self._trainer.state.updates if self._trainer else 0
        values, best = validation_scalars(engine), self.best
        is_best, self._best_before = best.value > self._best_before, best.value
        text = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
        mark = "the best so far" if is_best else f"best so far {best.value:.4f}"
        tqdm.write(f"validation after update {updates}: {text} ({mark})", file=sys.stderr)

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def describe(scalars: Mapping[str, float], memory: int | None) -> str:
    """Losses, learning rate and peak memory in words.

    Example:
        >>> describe({"loss": 0.5, "supervised": 0.4, "boundary": 0.1, "learning_rate": 1e-3}, 2 * 10**9)
        'loss 0.5000 (supervised 0.4000, boundary 0.1000), learning rate 0.001, peak memory 2.0 GB'
    """
    parts = [
        f"{name} {value:.4f}" for name, value in scalars.items() if name not in ("loss", "learning_rate")
    ]
    words = [f"loss {scalars['loss']:.4f}" + (f" ({', '.join(parts)})" if parts else "")]
    words.append(f"learning rate {scalars['learning_rate']:.3g}")
    if memory is not None:
        words.append(f"peak memory {memory / 1e9:.1f} GB")
    return ", ".join(words)
