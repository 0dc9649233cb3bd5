"""A bundle's inference, set up once and run case by case."""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.data import DataLoader
from torch.utils.data import Subset

from monai_levelset.bundles import inference_config
from monai_levelset.data.errors import data_error
from monai_levelset.inferers import AutocastInferer
from monai_levelset.prediction.cases import PredictionCase

__all__ = ["BundlePredictor", "weights_hashes"]

#: What tells of a single case's progress and errors.
_LOGGERS = ("monai.handlers.StatsHandler", "ignite.engine.engine.SupervisedEvaluator")
_NEEDED = ("dataset", "evaluator", "output_dir")


class BundlePredictor:
    """Runs a bundle's `configs/inference.json` on single cases.

    Network and weights are made once. Every case passes through the bundle's own checks, dataset, inferer and
    postprocessing, which writes the result. Expressions of the configuration are executed: use only bundles
    you trust.

    Args:
        root: the bundle's folder.
        cases: what to predict; those with a problem are passed over.
        settings: entries of the configuration to replace, such as `output_dir`.
        overrides: further configuration files, applied after `inference.json`.
        amp: whether the network runs in mixed precision.

    Raises:
        ValueError: the configuration lacks an entry that is needed.
        DataError: the weights are missing, corrupt or of another network.
    """

    def __init__(
        self,
        root: Path,
        cases: Sequence[PredictionCase],
        settings: Mapping[str, Any],
        *,
        overrides: Sequence[Path] = (),
        amp: bool = False,
    ) -> None:
        self.root, self.settings, self.overrides = root, dict(settings), list(overrides)
        self.cases = [case for case in cases if case.problem is None]
        parser = self._parser(self.cases)
        missing = [name for name in _NEEDED if name not in parser]
        if missing:
            raise ValueError(f"{root}/configs/inference.json: it has no `{missing[0]}`, which predict needs")
        with _told_once():
            try:
                self.dataset = parser.get_parsed_content("dataset")
                self.evaluator = parser.get_parsed_content("evaluator")
                self.postprocessing = parser.get_parsed_content("postprocessing", default=None)
            except RuntimeError as error:
                raise data_error(error) from error
        if amp:
            self.evaluator.inferer = AutocastInferer(self.evaluator.inferer)

    @property
    def device(self) -> torch.device:
        """Where the network runs."""
        return torch.device(self.evaluator.state.device)

    def run(self, case: PredictionCase) -> None:
        """Predict one case and write the result.

        Args:
            case: one of `cases`.

        Raises:
            DataError: the image is unfit.
            Exception: whatever the bundle's components raise.
        """
        with _told_once():
            self._check(case)
            index = self.cases.index(case)
            self.evaluator.data_loader = DataLoader(Subset(self.dataset, [index]), batch_size=1)
            self.evaluator.state.epoch_length = 1
            self.evaluator.run()

    def _check(self, case: PredictionCase) -> None:
        parser = self._parser([case])
        if "initialize" not in parser:
            return
        try:
            parser.get_parsed_content("initialize")
        except RuntimeError as error:
            raise data_error(error) from error

    def _parser(self, cases: Sequence[PredictionCase]) -> ConfigParser:
        """The configuration with these cases."""
        parser = ConfigParser()
        parser.read_config([self.root / "configs" / "inference.json", *self.overrides])
        parser.read_meta(self.root / "configs" / "metadata.json")
        entry = next((name for name in ("cases", "items") if name in parser), "datalist")
        items = [case.item for case in cases]
        parser.update({"bundle_root": str(self.root), **self.settings})
        parser[entry] = [item["image"] for item in items] if entry == "datalist" else items
        return parser


@contextmanager
def _told_once() -> Iterator[None]:
    """Without MONAI's log, which would print the traceback of what is told as a case's problem.

    A bundle's `initialize` may replace `sys.excepthook`, for this process was to be its own.
    """
    debug = os.environ.get("MONAI_LEVELSET_DEBUG", "0") not in ("", "0")
    loggers = [] if debug else [logging.getLogger(name) for name in _LOGGERS]
    before, hook = [logger.disabled for logger in loggers], sys.excepthook
    for logger in loggers:
        logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="NvImgCodecPydicomReader")  # an optional reader
            yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled
        sys.excepthook = hook


def weights_hashes(root: Path, settings: Mapping[str, Any] | None = None) -> dict[str, str]:
    """SHA-256 of every file of a bundle that a prediction depends on beside its code.

    Args:
        root: the bundle's folder.
        settings: with `checkpoint`, if other weights are taken.

    Returns:
        File -> hash: the weights and priors in `models` that inference reads, and the configuration.
    """
    config = {**inference_config(root), **(settings or {})}
    named = [str(config.get(key, "")) for key in ("checkpoint", "shape_prior")]
    prefix = "$@bundle_root + '/"
    files = [root / n[len(prefix) : -1] if n.startswith(prefix) else Path(n) for n in named if n]
    files.append(root / "configs" / "inference.json")
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()}
