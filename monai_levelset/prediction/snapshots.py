"""The level set of a case at some of its steps, on the image's own grid."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from monai.transforms import Compose, Invertd
from numpy.typing import NDArray

from monai_levelset.networks import DeepLevelSetNetwork
from monai_levelset.prediction.bundle import BundlePredictor
from monai_levelset.prediction.cases import PredictionCase
from monai_levelset.transforms import LevelSetRefinementd

__all__ = ["level_set_snapshots"]

#: Shares of all steps of a refinement that are looked at.
_SHARES = (0, 0.1, 0.2, 0.5, 1)


def level_set_snapshots(
    predictor: BundlePredictor, case: PredictionCase
) -> dict[int, NDArray[np.float32]] | None:
    """Run a case again and look at its level set on the way; no file is written.

    Args:
        predictor: of a bundle whose network evolves a level set (`DeepLevelSetNetwork`) or whose result is
            refined by one (`LevelSetRefinementd`).
        case: one of its cases.

    Returns:
        Step -> phi of the first structure, > 0 inside, with the image's axes; None for other bundles.
    """
    network, transforms = predictor.evaluator.network, _transforms(predictor)
    found = [k for k, transform in enumerate(transforms) if isinstance(transform, Invertd)]
    refined = [k for k, transform in enumerate(transforms) if isinstance(transform, LevelSetRefinementd)]
    if not found:
        return None
    before, invert = transforms[: found[0]], _linear(transforms[found[0]])
    if refined:
        steps = transforms[refined[0]].refine.steps
        return {
            k: _run(predictor, case, [*_stopped(before, refined[0], k), invert])
            for k in sorted({round(share * steps) for share in _SHARES})
        }
    if isinstance(network, DeepLevelSetNetwork) and "phi0" in network.heads:
        steps = network.steps
        return {k: _deep(predictor, case, network, k, [*before, invert]) for k in range(steps + 1)}
    return None


def _transforms(predictor: BundlePredictor) -> list[Any]:
    chain = predictor.postprocessing
    return list(chain.transforms) if isinstance(chain, Compose) else []


def _linear(invert: Invertd) -> Invertd:
    """The same, but phi is interpolated; what was cut off is outside."""
    smooth = copy.copy(invert)
    smooth.nearest_interp = (False,) * len(invert.keys)
    return smooth


def _stopped(transforms: list[Any], index: int, steps: int) -> list[Any]:
    """The transforms with a refinement that ends after `steps` and leaves phi in its place."""
    early = copy.copy(transforms[index])
    early.refine = copy.copy(early.refine)
    early.refine.steps = steps
    early._apply = early.refine.level_set
    return [*transforms[:index], early, *transforms[index + 1 :]]


def _deep(
    predictor: BundlePredictor,
    case: PredictionCase,
    network: DeepLevelSetNetwork,
    steps: int,
    transforms: list[Any],
) -> NDArray[np.float32]:
    before, network.steps = network.steps, steps
    try:
        return _run(predictor, case, transforms) - np.float32(0.5)
    finally:
        network.steps = before


def _run(predictor: BundlePredictor, case: PredictionCase, transforms: list[Any]) -> NDArray[np.float32]:
    kept: list[Mapping[str, Any]] = []

    def keep(data: Mapping[str, Any]) -> Mapping[str, Any]:
        kept.append(data)
        return data

    with _in_place_of(predictor.postprocessing, [*transforms, keep]):
        predictor.run(case)
    values = torch.as_tensor(kept[0]["pred"])[0].detach().cpu().float().numpy()
    return np.where(values == 0, np.float32(-1), values)


@contextmanager
def _in_place_of(chain: Compose, transforms: list[Any]) -> Iterator[None]:
    """The evaluator holds on to its chain, so this changes what is in it."""
    before, chain.transforms = chain.transforms, tuple(transforms)
    try:
        yield
    finally:
        chain.transforms = before
