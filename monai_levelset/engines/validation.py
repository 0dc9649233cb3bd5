"""Validation after a number of updates rather than epochs."""

from __future__ import annotations

from ignite.engine import Engine, Events
from monai.engines import Evaluator, IterationEvents
from monai.handlers import ValidationHandler


class UpdateValidationHandler(ValidationHandler):
    """Validate after every so many optimiser updates, and after the last one of the training.

    With memory replay an epoch has many more updates than mini-batches. Counting updates gives every model of
    a comparison the same number of chances to be the best on the validation set.

    Args:
        interval: updates between two validations.
        validator: MONAI evaluator.

    Raises:
        ValueError: `interval` below 1.

    Example:
        >>> UpdateValidationHandler(0)
        Traceback (most recent call last):
        ...
        ValueError: `interval` counts updates and must be at least 1, got 0.
    """

    def __init__(self, interval: int, validator: Evaluator | None = None) -> None:
        if interval < 1:
            raise ValueError(f"`interval` counts updates and must be at least 1, got {interval}.")
        super().__init__(interval, validator)
        self._validated: int | None = None

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer that counts `state.updates`, such as `FCNLevelSetTrainer`."""
        engine.add_event_handler(IterationEvents.MODEL_COMPLETED, self._validate_if_due)
        engine.add_event_handler(Events.COMPLETED, self._validate_the_last)

    def _validate_if_due(self, engine: Engine) -> None:
        updates: int = engine.state.updates  # type: ignore[attr-defined]
        if updates % self.interval == 0 or updates == getattr(engine, "max_updates", None):
            self._validated = updates
            self(engine)

    def _validate_the_last(self, engine: Engine) -> None:
        """Of a training that its number of epochs has ended."""
        if self._validated != engine.state.updates:  # type: ignore[attr-defined]
            self(engine)
