"""Scalars and pictures of a training for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from monai.engines import Evaluator, IterationEvents
from torch.utils.tensorboard import SummaryWriter

from .ranks import is_first_rank
from .training_scalars import training_scalars, validation_scalars
from .validation_pictures import ValidationPictures

__all__ = ["TrainingBoard"]


class TrainingBoard:
    """Handler that writes losses, learning rate, validation metrics and overlays for TensorBoard.

    The horizontal axis counts updates. A resumed run hides what a killed one has written beyond the
    checkpoint. Attach it to the trainer and to the validation's evaluator.

    Args:
        folder: the folder of events.
        interval: updates between two points of the losses.
        pictures: validation cases drawn at each validation, see `ValidationPictures`.
        colour: whether the first three channels of an image are a colour picture.

    Example:
        >>> TrainingBoard("eval", 10).interval
        10
    """

    def __init__(self, folder: str | Path, interval: int, *, pictures: int = 4, colour: bool = False) -> None:
        self.folder, self.interval = Path(folder), interval
        self.pictures = ValidationPictures(pictures, colour=colour)
        self._writer: SummaryWriter | None = None
        self._trainer: Any = None

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer that counts updates, or to the evaluator of its validation."""
        if not is_first_rank():
            return
        if isinstance(engine, Evaluator):
            self.pictures.attach(engine)
            engine.add_event_handler(Events.COMPLETED, self._add_validation)
            return
        self._trainer = engine
        engine.add_event_handler(IterationEvents.MODEL_COMPLETED, self._add_update)
        engine.add_event_handler(Events.COMPLETED | Events.INTERRUPT, self._close)

    def _add_update(self, engine: Any) -> None:
        updates = engine.state.updates
        if updates % self.interval == 0 or updates == engine.max_updates:
            self._add(training_scalars(engine))

    def _add_validation(self, engine: Engine) -> None:
        self._add(validation_scalars(engine))
        picture = self.pictures.draw()
        if picture is not None:
            writer, updates = self._open()
            writer.add_image("validation", picture, updates, dataformats="HWC")

    def _add(self, scalars: Mapping[str, float]) -> None:
        writer, updates = self._open()
        for name, value in scalars.items():
            writer.add_scalar(name, value, updates)

    def _open(self) -> tuple[SummaryWriter, int]:
        updates = self._trainer.state.updates if self._trainer else 0
        if self._writer is None:
            self._writer = SummaryWriter(str(self.folder), purge_step=updates)
        return self._writer, updates

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
