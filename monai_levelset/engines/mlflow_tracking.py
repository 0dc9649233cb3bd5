"""Record trainings, evaluations and inferences with MLflow."""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ignite.engine import Engine, Events
from monai.engines import Evaluator, IterationEvents
from monai.utils.misc import path_to_uri

from monai_levelset.report.atomic import write_text

from .ranks import is_first_rank
from .tracked_parameters import saved_config, tracked_parameters
from .training_scalars import training_scalars, validation_scalars

__all__ = ["MLflowTracking"]

_NOTE = "mlflow_run.txt"
_AT_A_TIME = 100  # parameters that MLflow takes at once


class MLflowTracking:
    """Handler that records a run with MLflow; its horizontal axis counts updates.

    A training is one MLflow run: the settings as parameters, losses and learning rate, validation metrics,
    and at its end the files. A resumed training goes on in the run that it began, without writing a point
    twice. Attach it to the trainer, before the validation and what it shall wait for, and to the validation's
    evaluator. An evaluator that runs without the trainer has a run of its own.

    The run ends as `FINISHED`, as `KILLED` where Ctrl-C or SIGTERM has interrupted the training, and as
    `FAILED` after an error, at the latest when the process ends. After `kill -9` it stays `RUNNING`.

    Args:
        uri: where MLflow keeps its runs, such as `sqlite:///eval/mlruns.db` or `http://server:5000`. The
            environment variable `MLFLOW_TRACKING_URI` has precedence. Files of a SQLite store lie in `mlruns`
            beside it.
        experiment: name of the experiment; made if it does not exist.
        run_name: None: `training` or `evaluation`, and the time.
        config: the configuration that MONAI has saved for this run, or None.
        folder: where a training notes its run, for the one that resumes it; None: nowhere.
        interval: updates between two points of the losses.
        resume: go on in the run that `folder` names.
        files: what a training has written; those that exist at its end become artifacts.

    Raises:
        ImportError: MLflow is not installed.

    Example:
        >>> MLflowTracking(uri="sqlite:///eval/mlruns.db", experiment="mine")  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        uri: str,
        experiment: str,
        run_name: str | None = None,
        config: str | None = None,
        folder: str | Path | None = None,
        interval: int = 1,
        resume: bool = False,
        files: Sequence[str | Path] = (),
    ) -> None:
        if find_spec("mlflow") is None:
            raise ImportError("MLflow is not installed: pip install 'mlflow>=3.13', or leave out --tracking.")
        self.uri, self.experiment, self.run_name = uri, experiment, run_name
        self.config, self.folder, self.interval = saved_config(config), folder, interval
        self.resume, self.files = resume, [Path(file) for file in files]
        self.run: str | None = None
        self._mlflow: Any = None
        self._client: Any = None
        self._trainer: Any = None
        self._done: dict[str, int] = {}

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer that counts updates, to the evaluator of its validation, or to one alone."""
        if not is_first_rank():
            return
        if isinstance(engine, Evaluator):
            engine.add_event_handler(Events.STARTED, self._begin_alone)
            return
        engine.add_event_handler(Events.STARTED, self._begin_training)
        engine.add_event_handler(IterationEvents.MODEL_COMPLETED, self._add_update)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)

    def _begin_training(self, engine: Engine) -> None:
        """Once all is attached, so that the run ends after what others do at the end."""
        self._trainer = engine
        self._begin("training")
        for event, end in ((Events.COMPLETED, self._finish), (Events.INTERRUPT, self._interrupt)):
            if not engine.has_event_handler(end, event):
                engine.add_event_handler(event, end)
        if not engine.has_event_handler(_raise, Events.EXCEPTION_RAISED):
            engine.add_event_handler(Events.EXCEPTION_RAISED, _raise)

    def _begin_alone(self, engine: Engine) -> None:
        if self.run is None:
            self._begin("evaluation")
        if not engine.has_event_handler(self._add_metrics, Events.COMPLETED):
            engine.add_event_handler(Events.COMPLETED, self._add_metrics)

    def _begin(self, kind: str) -> None:
        uri = os.environ.get("MLFLOW_TRACKING_URI") or self.uri
        self._mlflow = import_module("mlflow")
        self._client = self._mlflow.MlflowClient(tracking_uri=uri)
        self._done = {}
        self.run = self._former_run() if self.resume and kind == "training" else None
        if self.run is None:
            name = self.run_name or f"{kind} {time.strftime('%Y-%m-%d %H:%M:%S')}"
            self.run = self._client.create_run(self._experiment(uri), run_name=name).info.run_id
        if kind == "training" and self.folder is not None:
            write_text(Path(self.folder) / _NOTE, self.run)
        atexit.register(self._end, "FAILED")
        self._add_settings()

    def _experiment(self, uri: str) -> str:
        found = self._client.get_experiment_by_name(self.experiment)
        if found is not None:
            return str(found.experiment_id)
        database = uri.removeprefix("sqlite:///")
        place = path_to_uri(Path(unquote(database)).parent / "mlruns") if database != uri else None
        return str(self._client.create_experiment(self.experiment, artifact_location=place))

    def _former_run(self) -> str | None:
        """The run that this training has begun, open again, and the last update of each of its curves."""
        note = Path(self.folder or "") / _NOTE
        try:
            former = self._client.get_run(note.read_text())
        except (OSError, self._mlflow.exceptions.MlflowException):
            return None
        if former.info.lifecycle_stage != "active":
            return None
        run = str(former.info.run_id)
        self._client.update_run(run, status="RUNNING")
        for name in former.data.metrics:
            history = self._client.get_metric_history(run, name)
            self._done[name] = max(point.step for point in history)
        return run

    def _add_settings(self) -> None:
        """Those that the run does not hold yet: MLflow changes none."""
        if self.config is None:
            return
        known = self._client.get_run(self.run).data.params
        values = tracked_parameters(self.config)
        new = [
            self._mlflow.entities.Param(name, value) for name, value in values.items() if name not in known
        ]
        for start in range(0, len(new), _AT_A_TIME):
            self._client.log_batch(self.run, params=new[start : start + _AT_A_TIME])
        self._client.log_artifact(self.run, str(self.config))

    def _add_update(self, engine: Any) -> None:
        updates = engine.state.updates
        if updates % self.interval == 0 or updates == engine.max_updates:
            self._add(training_scalars(engine), updates)

    def _add_metrics(self, engine: Engine) -> None:
        self._add(validation_scalars(engine), self._trainer.state.updates if self._trainer else 0)
        if self._trainer is None:
            self._end("FINISHED")

    def _add(self, scalars: Mapping[str, float], step: int) -> None:
        now = int(1000 * time.time())
        points = [
            self._mlflow.entities.Metric(name, value, now, step)
            for name, value in scalars.items()
            if step > self._done.get(name, -1)
        ]
        self._client.log_batch(self.run, metrics=points)

    def _finish(self) -> None:
        self._end("FINISHED")

    def _interrupt(self) -> None:
        self._end("KILLED")

    def _fail(self, engine: Engine, error: BaseException) -> None:
        self._end("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")

    def _end(self, status: str) -> None:
        if self.run is None:
            return
        run, self.run = self.run, None
        atexit.unregister(self._end)
        if self._trainer is not None:
            for file in self.files:
                if file.is_file():
                    self._client.log_artifact(run, str(file))
        self._trainer = None
        self._client.set_terminated(run, status)


def _raise(engine: Engine, error: BaseException) -> None:
    """Ignite raises no error that somebody listens to."""
    raise error
