"""Shape priors from the ground truth of a training set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from ignite.engine import Engine, Events
from torch import Tensor

from monai_levelset.data.atomic import atomic_path
from monai_levelset.data.errors import DataError
from monai_levelset.levelset import canonical_prior


def draw_shape_priors(
    items: Sequence[Mapping[str, Any]],
    *,
    count: int = 16,
    seed: int = 0,
    min_pixels: int = 400,
    size: int = 72,
) -> Tensor:
    """Signed distances of drawn ground-truth masks: the shape prior of Tang et al. (2017), section 3.2.

    Args:
        items: transformed items, such as a `CacheDataset`, with `label` `(1, H, W)` and `labeled`.
        count: how many masks; all if there are fewer.
        seed: of the draw.
        min_pixels: smaller masks are too coarse to be a shape.
        size: side of the priors' grid, pixels.

    Returns:
        `(K, 1, size, size)`, centred.

    Raises:
        DataError: no labelled mask is that large.

    Example:
        >>> import torch
        >>> label = torch.zeros(1, 60, 60)
        >>> label[:, 10:40, 10:40] = 1
        >>> draw_shape_priors([{"label": label, "labeled": 1}]).shape
        torch.Size([1, 1, 72, 72])
    """
    masks = [torch.as_tensor(item["label"])[None] for item in items if item["labeled"]]
    masks = [mask for mask in masks if int((mask > 0.5).sum()) >= min_pixels]
    if not masks:
        raise DataError(
            f"No labelled training mask has {min_pixels} pixels or more, so there is no shape to learn. "
            "Label more cases, or set the prior's `min_pixels` or `shape_weight` lower."
        )
    order = torch.randperm(len(masks), generator=torch.Generator().manual_seed(seed)).tolist()
    return torch.cat([_centre(canonical_prior(_padded(masks[i].float(), size)), size) for i in order[:count]])


def _padded(mask: Tensor, size: int) -> Tensor:
    """Add background, so that a window of `size` around the object knows its distances, wherever it lies."""
    rows, columns = (size + n % 2 for n in mask.shape[2:])
    return F.pad(mask, [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2])


def _centre(prior: Tensor, size: int) -> Tensor:
    """Cut the middle `size` x `size` pixels."""
    for axis in (2, 3):
        prior = prior.narrow(axis, (prior.shape[axis] - size) // 2, size)
    return prior


class SaveShapePriors:
    """Handler that writes the priors beside the weights when training starts, for inference to use.

    Args:
        path: file, read by `LevelSetRefinement(prior=path)`.
        priors: `(K, 1, *spatial)`.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "shape_prior.pt"
        >>> engine = Engine(lambda engine, batch: None)
        >>> SaveShapePriors(path, torch.zeros(2, 1, 8, 8)).attach(engine)
        >>> _ = engine.run([0])
        >>> path.exists()
        True
    """

    def __init__(self, path: str | Path, priors: Tensor) -> None:
        self.path, self.priors = Path(path), priors

    def attach(self, engine: Engine) -> None:
        """Write at the start of the run."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Write the file."""
        with atomic_path(self.path) as temporary:
            torch.save(self.priors, temporary)
