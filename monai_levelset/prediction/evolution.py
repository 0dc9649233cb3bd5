"""A picture of how the level set of one case moved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_levelset.bundles import find_bundle, inference_config
from monai_levelset.metrics.volume import load_label, load_volume
from monai_levelset.prediction.bundle import BundlePredictor
from monai_levelset.prediction.cases import find_cases, root_of
from monai_levelset.prediction.snapshots import level_set_snapshots
from monai_levelset.report.drawing import save_figure
from monai_levelset.report.evolution import convergence_figure
from monai_levelset.report.overlay import upright

__all__ = ["save_evolution"]


def save_evolution(
    bundle: str | Path,
    images: str | Path,
    name: str,
    label: str | Path,
    path: str | Path,
    *,
    values: tuple[int, ...] | None = None,
    points: str | Path | None = None,
) -> Path | None:
    """Draw the contour at its start and end beside the truth, and the Dice of its steps.

    Of a volume, the slice with the largest truth is shown, and the Dice is that slice's.

    Args:
        bundle: name or folder of a bundle.
        images: folder of images.
        name: of the image to draw.
        label: its label map.
        path: the PNG to write.
        values: label values of the structure whose level set it is; None: all but 0.
        points: JSON file of the clicks, for a bundle that needs them.

    Returns:
        The path; None where the bundle has no level set, or the label is empty.
    """
    root = find_bundle(bundle).resolve()
    case = next(c for c in find_cases(inference_config(root), images, points=points) if c.name == name)
    settings = {"dataset_dir": str(root_of(images)), "output_dir": str(Path(path).parent)}
    settings |= {} if points is None else {"clicks": str(points)}
    truth = load_label(label)
    mask = truth.array > 0 if values is None else np.isin(truth.array, values)
    phis = level_set_snapshots(BundlePredictor(root, [case], settings), case) if mask.any() else None
    if phis is None:
        return None
    image = load_volume(case.paths[0]).array
    index = int(mask.sum((0, 1)).argmax()) if mask.ndim == 3 else None

    def plane(array: NDArray[Any]) -> NDArray[Any]:
        return upright(array if index is None else array[:, :, index], truth.affine)

    figure = convergence_figure(
        _grey(plane(image)),
        plane(mask),
        {name: [plane(phi.reshape(mask.shape)) for phi in phis.values()]},
        steps=list(phis),
    )
    return save_figure(figure, path)


def _grey(image: NDArray[Any]) -> NDArray[Any]:
    """A picture as it is, several sequences by the first."""
    return image[..., 0] if image.ndim == 3 and image.shape[-1] != 3 else image
