"""Ctrl-C and SIGTERM: stop after the update that runs, with everything saved."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import torch
import torch.distributed as dist
from ignite.engine import Engine, Events

from .ranks import is_first_rank

__all__ = ["Interruption"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Handler that ends an interrupted training in order: saved, without a traceback, with exit code 130.

    On Ctrl-C or SIGTERM the mini-batch that is trained on is finished, with its replays and a validation that
    is due. Then `Events.INTERRUPT` has the run saved, see `RunCheckpoint`, and one line says how to go on. A
    second Ctrl-C stops at once; the checkpoint is then that of the last epoch. Attach it last. The exit code
    is made by `UpdateTrainer.run`.

    Args:
        path: the file of the `RunCheckpoint`, for the message.
        interval: of several processes, iterations between two questions whether one was interrupted.

    Example:
        >>> from ignite.engine import Engine, Events
        >>> engine = Engine(lambda engine, batch: os.kill(os.getpid(), signal.SIGTERM))
        >>> Interruption("eval/checkpoint.pt").attach(engine)
        >>> engine.run([0, 1, 2]).iteration
        1
    """

    def __init__(self, path: str | Path, *, interval: int = 10) -> None:
        self.path, self.interval = Path(path), interval
        self.asked = False
        self._before: dict[int, Any] = {}

    def attach(self, engine: Engine) -> None:
        """Listen to signals while the trainer runs."""
        engine.add_event_handler(Events.STARTED, self._listen)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._stop_if_asked)
        engine.add_event_handler(Events.INTERRUPT, self._say_how_to_go_on)
        engine.add_event_handler(Events.INTERRUPT | Events.COMPLETED, self._listen_no_more)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)

    def _listen(self) -> None:
        self.asked = False
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._ask) for number in _SIGNALS}

    def _listen_no_more(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            self._listen_no_more()
            raise KeyboardInterrupt
        self.asked = True
        if is_first_rank() and not torch.utils.data.get_worker_info():
            _say("interrupted: this update is finished and saved; once more stops at once")

    def _stop_if_asked(self, engine: Engine) -> None:
        if self._any_rank_asked(engine) and not engine.should_terminate:  # at its end it is just finished
            if hasattr(engine, "interrupted"):
                engine.interrupted = True
            engine.fire_event(Events.INTERRUPT)
            engine.terminate(skip_completed=True)

    def _any_rank_asked(self, engine: Engine) -> bool:
        if not dist.is_initialized() or dist.get_world_size() == 1:
            return self.asked
        if engine.state.iteration % self.interval:
            return False
        asked = torch.tensor([float(self.asked)], device=getattr(engine.state, "device", "cpu"))
        dist.all_reduce(asked, dist.ReduceOp.MAX)
        return bool(asked)

    def _say_how_to_go_on(self, engine: Engine) -> None:
        if is_first_rank():
            done = getattr(engine.state, "updates", engine.state.iteration)
            _say(
                f"interrupted after update {done}, saved in {self.path}. "
                "Go on with the same command and --resume True"
            )

    def _fail(self, engine: Engine, error: BaseException) -> NoReturn:
        self._listen_no_more()
        raise error


def _say(text: str) -> None:
    """Unbuffered: `print` must not be entered again by a signal."""
    os.write(2, f"\n{text}\n".encode())
