"""Overlap, volume and surface distance of one case, with a value for empty masks.

MONAI computes the numbers, but for the relative volume difference, which it lacks. What it leaves open, a
mask without a single voxel, is decided here: MONAI then answers NaN or infinity and its aggregation drops the
case, so a model that finds nothing would look better than one that finds a poor contour.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from monai.metrics import (
    compute_average_surface_distance,
    compute_confusion_matrix_metric,
    compute_hausdorff_distance,
    get_confusion_matrix,
)
from numpy.typing import NDArray

from monai_levelset.metrics.boundary import boundary_f
from monai_levelset.metrics.spacing import checked_spacing

Labels: TypeAlias = Mapping[str, int | Sequence[int]] | Sequence[int] | int | None
"""Which label values are scored: a name per structure, values, or None for "anything not 0"."""

_OVERLAPS = {"dice": "f1 score", "iou": "threat score", "precision": "precision", "recall": "recall"}
_DISTANCES = ("hd", "hd95", "asd")


def case_metrics(
    prediction: Any,
    label: Any,
    spacing: Sequence[float] | None = None,
    labels: Labels = None,
    *,
    distances: bool = True,
    tolerance: float | None = None,
) -> dict[str, float]:
    """Score one predicted label map against the truth.

    Empty masks never leave the average. For each structure:

    * both masks empty: overlaps and ``boundary_f`` 1, distances and ``rvd`` 0;
    * exactly one of them empty: overlaps and ``boundary_f`` 0, distances the diagonal of the image, which no
      real pair of contours can exceed. If it is the prediction that is empty, the structure counts as missed
      and ``rvd`` is -1, all of it missing; if it is the label, ``rvd`` is +1, as far off to the other side.

    ``rvd`` says whether structures come out too small or too large, not how good they are: it is signed, as
    papers report it, so that errors of both kinds cancel in its mean and show in its standard deviation only.
    Do not rank models by it.

    Args:
        prediction: label map of shape ``(*spatial)``, 2D or 3D, array or tensor, whole numbers.
        label: the truth, same shape.
        spacing: voxel size in mm, one number per axis in array order. Default 1, distances are then in
            voxels.
        labels: the structures to score, see ``Labels``. ``{"disc": [1, 2], "cup": 2}`` scores two structures,
            of which the first is the union of two label values. With more than one structure the plain keys
            hold the mean over them.
        distances: whether to compute ``hd``, ``hd95`` and ``asd``, by far the slower part.
        tolerance: of ``boundary_f``, in mm; None leaves it out.

    Returns:
        ``dice``, ``iou``, ``precision``, ``recall`` in [0, 1]; ``rvd``, the relative volume difference
        (|prediction| - |label|) / |label|, at least -1, negative where the prediction is too small (a
        fraction, where papers print per cent); in mm ``hd`` (Hausdorff distance: the largest distance from
        a surface voxel of either mask to the other's surface), ``hd95`` (the same, 95th percentile) and
        ``asd`` (average symmetric surface distance, the average boundary distance "ABD" of Zheng et al.);
        ``boundary_f``, see :func:`~monai_levelset.metrics.boundary.boundary_f`; ``missed``, the number of
        missed structures. With several structures also ``dice_<name>`` and so on.

    Raises:
        ValueError: if the shapes differ, the spacing does not fit or ``labels`` is empty.

    Example:
        >>> import numpy as np
        >>> truth = np.zeros((8, 8), dtype=np.uint8)
        >>> truth[2:6, 2:6] = 1
        >>> half = truth.copy()
        >>> half[4:] = 0
        >>> scores = case_metrics(half, truth, spacing=(2.0, 1.0))
        >>> round(scores["dice"], 3), scores["precision"], scores["recall"], scores["hd"], scores["rvd"]
        (0.667, 1.0, 0.5, 4.0, -0.5)
        >>> case_metrics(np.zeros_like(truth), truth)["missed"]
        1
    """
    predicted, truth = np.asarray(prediction), np.asarray(label)
    size = checked_spacing(predicted, truth, spacing)
    structures = _structures(labels)
    scores = {
        name: _mask_metrics(_select(predicted, values), _select(truth, values), size, distances, tolerance)
        for name, values in structures.items()
    }
    if len(scores) == 1:
        return next(iter(scores.values()))
    keys = next(iter(scores.values())).keys()
    mean = {key: float(np.mean([one[key] for one in scores.values()])) for key in keys}
    mean["missed"] = sum(one["missed"] for one in scores.values())
    return mean | {f"{key}_{name}": value for name, one in scores.items() for key, value in one.items()}


def _structures(labels: Labels) -> dict[str, tuple[int, ...] | None]:
    if labels is None:
        return {"foreground": None}
    values = [labels] if isinstance(labels, int) else labels
    named = values if isinstance(values, Mapping) else {str(value): value for value in values}
    if not named:
        raise ValueError("labels names no structure; leave it out to score everything that is not 0")
    return {str(name): (v,) if isinstance(v, int) else tuple(v) for name, v in named.items()}


def _select(label_map: NDArray[Any], values: tuple[int, ...] | None) -> NDArray[np.bool_]:
    return np.asarray(label_map != 0 if values is None else np.isin(label_map, values))


def _mask_metrics(
    prediction: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    spacing: tuple[float, ...],
    distances: bool,
    tolerance: float | None,
) -> dict[str, float]:
    found, present = bool(prediction.any()), bool(truth.any())
    if found and present:
        scores = _overlaps(prediction, truth) | {"rvd": _volume_difference(prediction, truth)}
        scores |= _surface(prediction, truth, spacing) if distances else {}
    else:
        diagonal = math.hypot(*(n * s for n, s in zip(truth.shape, spacing, strict=True)))
        agree = found == present
        scores = dict.fromkeys(_OVERLAPS, float(agree)) | {"rvd": float(found - present)}
        scores |= dict.fromkeys(_DISTANCES, 0.0 if agree else diagonal) if distances else {}
    if tolerance is not None:
        scores["boundary_f"] = boundary_f(prediction, truth, tolerance=tolerance, spacing=spacing)
    return scores | {"missed": int(present and not found)}


def _as_batch(mask: NDArray[np.bool_]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(mask))[None, None]


def _overlaps(prediction: NDArray[np.bool_], truth: NDArray[np.bool_]) -> dict[str, float]:
    confusion = get_confusion_matrix(_as_batch(prediction).float(), _as_batch(truth).float()).double()
    return {key: float(compute_confusion_matrix_metric(name, confusion)) for key, name in _OVERLAPS.items()}


def _volume_difference(prediction: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Of voxel counts: both masks lie on one grid."""
    size = int(truth.sum())
    return (int(prediction.sum()) - size) / size


def _surface(
    prediction: NDArray[np.bool_], truth: NDArray[np.bool_], spacing: tuple[float, ...]
) -> dict[str, float]:
    pair = _as_batch(prediction), _as_batch(truth)
    with warnings.catch_warnings():
        # MONAI 1.5 and 1.6 pass their own deprecated argument on.
        warnings.filterwarnings("ignore", message=".*always_return_as_numpy.*")
        hd = compute_hausdorff_distance(*pair, include_background=True, spacing=spacing)
        hd95 = compute_hausdorff_distance(*pair, include_background=True, percentile=95, spacing=spacing)
        asd = compute_average_surface_distance(
            *pair, include_background=True, symmetric=True, spacing=spacing
        )
    return {"hd": float(hd), "hd95": float(hd95), "asd": float(asd)}
