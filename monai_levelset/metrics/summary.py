"""Means over cases and over patients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from monai_levelset.metrics.overlap import Labels, case_metrics

_NOT_AVERAGED = ("id", "patient", "missed", "n")


@dataclass(frozen=True)
class Case:
    """One case to score.

    Attributes:
        id: name of the case.
        prediction: label map ``(*spatial)``, or None where no prediction exists: that case is missed.
        label: the truth, same shape.
        spacing: voxel size in mm in array order, default 1.
        patient: the patient the case belongs to; if given, means per patient are computed as well.
    """

    id: str
    prediction: Any
    label: Any
    spacing: Sequence[float] | None = None
    patient: str | None = None


def evaluate_arrays(
    cases: Iterable[Case], *, labels: Labels = None, distances: bool = True, tolerance: float | None = None
) -> dict[str, Any]:
    """Score cases held in memory, one at a time.

    Args:
        cases: the cases; a generator is fine, only one is held at once.
        labels: the structures to score, see :func:`~monai_levelset.metrics.overlap.case_metrics`.
        distances: whether to compute surface distances.
        tolerance: of the boundary F-measure, in mm; None leaves it out.

    Returns:
        The summary of :func:`summarize`.

    Raises:
        ValueError: if there is no case, or a case cannot be scored; the message names it.

    Example:
        >>> import numpy as np
        >>> square = np.pad(np.ones((4, 4)), 2)
        >>> summary = evaluate_arrays([Case("a", square, square), Case("b", None, square)])
        >>> summary["mean"]["dice"], summary["missed"], summary["n"]
        (0.5, 1, 2)
    """
    return summarize([_score(case, labels, distances, tolerance) for case in cases])


def _score(case: Case, labels: Labels, distances: bool, tolerance: float | None) -> dict[str, Any]:
    prediction = np.zeros_like(np.asarray(case.label)) if case.prediction is None else case.prediction
    try:
        scores = case_metrics(
            prediction, case.label, case.spacing, labels, distances=distances, tolerance=tolerance
        )
    except ValueError as error:
        raise ValueError(f"case {case.id}: {error}") from error
    return {"id": case.id} | ({} if case.patient is None else {"patient": case.patient}) | scores


def summarize(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation of scored cases.

    Args:
        rows: one mapping per case: ``id``, optionally ``patient``, ``missed`` and the metrics.

    Returns:
        ``{"n", "missed", "mean": {metric: …}, "sd": {metric: …}, "cases": [row, …]}``; ``missed`` is the
        number of cases with a missed structure, ``sd`` the sample standard deviation (0 for a single case).
        If every row names a patient, ``"patients"`` holds the same for the means per patient, so that a
        patient with many slices counts no more than one with few.

    Raises:
        ValueError: if there is no row or only some rows name a patient.
    """
    if not rows:
        raise ValueError("there is no case to summarise")
    summary = _moments(rows)
    named = [row["patient"] for row in rows if "patient" in row]
    if named and len(named) < len(rows):
        raise ValueError("some cases name a patient and some do not; name it for all of them or for none")
    if named:
        groups = {p: [row for row in rows if row["patient"] == p] for p in dict.fromkeys(named)}
        summary["patients"] = _moments([_patient(p, group) for p, group in groups.items()])
    return summary


def _patient(patient: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    one = _moments(rows)
    return {"id": patient, "n": one["n"]} | one["mean"] | {"missed": one["missed"]}


def _moments(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    keys = [key for key in rows[0] if not key.startswith("missed") and key not in _NOT_AVERAGED]
    values = {key: np.array([row[key] for row in rows], dtype=float) for key in keys}
    return {
        "n": len(rows),
        "missed": sum(bool(row.get("missed", 0)) for row in rows),
        "mean": {key: float(v.mean()) for key, v in values.items()},
        "sd": {key: float(v.std(ddof=1)) if len(v) > 1 else 0.0 for key, v in values.items()},
        "cases": [dict(row) for row in rows],
    }
