"""Evaluate maps of regions against the segmentations of one or several people."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_levelset.data.readers.bsds500 import read_segmentations
from monai_levelset.metrics.regions import region_metrics
from monai_levelset.metrics.summary import summarize
from monai_levelset.metrics.volume import load_label


def score_regions(predictions: Mapping[str, Path], labels: Mapping[str, Sequence[Path]]) -> dict[str, Any]:
    """Region covering, probabilistic Rand index and variation of information of every picture.

    Args:
        predictions: name -> label map of region numbers.
        labels: name -> one label map per person, or one `.mat` file as BSDS500 has it; see `people`.

    Returns:
        The summary of `monai_levelset.metrics.summarize` with `rc`, `pri` and `vi`. A missing prediction
        counts as one region over the whole picture.

    Raises:
        ValueError: a prediction is of another size than its labels; the message names it.
        DataError: a `.mat` file cannot be read.
    """
    return summarize([_case(name, predictions.get(name), files) for name, files in labels.items()])


def _case(name: str, prediction: Path | None, files: Sequence[Path]) -> dict[str, Any]:
    truths = [truth for file in files for truth in _truths(file)]
    found = np.zeros_like(truths[0]) if prediction is None else load_label(prediction).array
    try:
        scores = region_metrics(found, truths)
    except ValueError as error:
        raise ValueError(f"case {name}: {error}") from error
    return {"id": name, **scores, "missed": int(prediction is None)}


def _truths(file: Path) -> list[NDArray[Any]]:
    return [*read_segmentations(file)] if file.suffix.lower() == ".mat" else [load_label(file).array]


def people(labels: Mapping[str, Path], predictions: Mapping[str, Path]) -> dict[str, list[Path]]:
    """Bring the label maps of one picture together: `NAME`, or `NAME_1`, `NAME_2`, ... per person.

    Args:
        labels: name without ending -> file.
        predictions: likewise; a label `a_1` belongs to the prediction `a` unless there is one `a_1`.

    Returns:
        Name of the picture -> its labels, sorted.

    Example:
        >>> files = {name: Path(f"{name}.png") for name in ("a_1", "a_2", "b")}
        >>> {name: len(found) for name, found in people(files, {}).items()}
        {'a': 2, 'b': 1}
    """
    found: dict[str, list[Path]] = {}
    for name, path in sorted(labels.items()):
        whole = name in predictions or not re.search(r"_\d+$", name)
        found.setdefault(name if whole else re.sub(r"_\d+$", "", name), []).append(path)
    return found
