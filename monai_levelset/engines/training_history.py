"""History of a training as a table and as curves."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from monai.engines import Evaluator, IterationEvents

from monai_levelset.report.atomic import write_text
from monai_levelset.report.curves import read_history, training_curves
from monai_levelset.report.drawing import save_figure

from .ranks import is_first_rank
from .training_scalars import training_scalars, validation_scalars

__all__ = ["TrainingHistory"]


class TrainingHistory:
    """Handler that writes `history.csv` at each validation, and `curves.png` when the training ends.

    Both also at an interruption; a resumed run goes on with the rows of before. Attach it to the trainer,
    before the validation, and to the validation's evaluator. Files appear whole or not at all.

    Args:
        folder: where the files go.
        interval: updates between two rows; validations have rows besides.

    Example:
        >>> TrainingHistory("eval", 10).columns({3: {"loss": 1.0}, 4: {"val_mean_dice": 0.5}})
        {'update': [3, 4], 'loss': [1.0, None], 'val_mean_dice': [None, 0.5]}
    """

    def __init__(self, folder: str | Path, interval: int) -> None:
        self.folder, self.interval = Path(folder), interval
        self.rows: dict[int, dict[str, float]] = {}
        self._trainer: Any = None
        self._continued = False

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer that counts updates, or to the evaluator of its validation."""
        if not is_first_rank():
            return
        if isinstance(engine, Evaluator):
            engine.add_event_handler(Events.COMPLETED, self._add_validation)
            return
        self._trainer = engine
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(IterationEvents.MODEL_COMPLETED, self._add_update)
        engine.add_event_handler(Events.COMPLETED | Events.INTERRUPT, self._write)

    def columns(self, rows: Mapping[int, Mapping[str, float]]) -> dict[str, list[Any]]:
        """Rows by update as columns, None where nothing was measured."""
        names = dict.fromkeys(name for row in rows.values() for name in row)
        return {
            "update": sorted(rows),
            **{name: [rows[update].get(name) for update in sorted(rows)] for name in names},
        }

    def _begin(self) -> None:
        self.rows, self._continued = {}, False

    def _add_update(self, engine: Any) -> None:
        updates = engine.state.updates
        self._continue()
        if updates % self.interval == 0 or updates == engine.max_updates:
            scalars = training_scalars(engine)
            self._add({name if name == "learning_rate" else _loss(name): v for name, v in scalars.items()})

    def _add_validation(self, engine: Engine) -> None:
        if self._trainer is not None:
            self._continue()
            self._add(validation_scalars(engine))
            self._write_table()

    def _add(self, scalars: Mapping[str, float]) -> None:
        updates = self._trainer.state.updates
        self.rows[updates] = {**self.rows.get(updates, {}), **scalars}

    def _continue(self) -> None:
        """At the first update, when a checkpoint has been loaded."""
        if not self._continued and self._trainer.state.updates > 1:
            self.rows = self._read(before=self._trainer.state.updates)
        self._continued = True

    def _read(self, before: int) -> dict[int, dict[str, float]]:
        """Rows of the run that is resumed."""
        try:
            columns = read_history(self.folder / "history.csv")
            updates = columns.pop("update")
        except (OSError, ValueError, KeyError):
            return {}
        return {
            int(update): {name: column[row] for name, column in columns.items() if column[row] == column[row]}
            for row, update in enumerate(updates)
            if update < before
        }

    def _write(self) -> None:
        if self.rows:
            self._write_table()
            columns = self.columns(self.rows)
            columns.pop("learning_rate", None)
            save_figure(training_curves(columns), self.folder / "curves.png")

    def _write_table(self) -> None:
        columns = self.columns(self.rows)
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(columns)
        table.writerows(zip(*columns.values(), strict=True))
        write_text(self.folder / "history.csv", text.getvalue())


def _loss(part: str) -> str:
    return part if "loss" in part else f"{part} loss"
