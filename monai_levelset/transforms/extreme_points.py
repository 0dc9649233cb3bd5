"""Four extreme points of an object, as a user would click them."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import Transform
from monai.transforms.traits import RandomizableTrait
from numpy.typing import NDArray
from torch import Tensor


def extreme_points(
    mask: Tensor | NDArray[Any], *, jitter: float = 0.0, generator: torch.Generator | None = None
) -> Tensor:
    """Top, bottom, left and right point of a 2D mask, as clicks of a user.

    Of several pixels in the extreme row or column the middle one is taken, where one would click; with
    `jitter` one of them at random. `jitter` then moves every point by a uniform number of pixels in
    [-jitter, jitter] along either axis, no further than the image's border: Zheng et al. train with 5.

    `monai.transforms.get_extreme_points` has the same order; it always draws among several pixels, and its
    `pert` moves points towards larger indices only.

    Args:
        mask: `(H, W)`, not 0 inside.
        jitter: largest displacement, pixels.
        generator: source of the random numbers; default: torch's global one.

    Returns:
        `(4, 2)` (row, column), float32: the points of lowest row, highest row, lowest column and highest
        column, as `confidence_map` takes them. Without jitter they lie on the mask.

    Raises:
        ValueError: `mask` has no two axes or is empty; `jitter` is negative.

    Example:
        >>> mask = torch.zeros(6, 8)
        >>> mask[1:5, 2:7] = 1
        >>> extreme_points(mask).tolist()
        [[1.0, 4.0], [4.0, 4.0], [2.0, 2.0], [2.0, 6.0]]
    """
    inside = _plain(mask) != 0
    if inside.ndim != 2:
        raise ValueError(f"`mask` must be (H, W), got shape {tuple(inside.shape)}.")
    if not bool(inside.any()):
        raise ValueError("`mask` is empty: an object that is not there has no extreme points.")
    _check_jitter(jitter)
    if jitter == 0:
        return _ends(inside, _middle)

    def drawn(n: int) -> int:
        return int(torch.randint(n, (), generator=generator))

    moved = _ends(inside, drawn) + jitter * (2 * torch.rand(4, 2, generator=generator) - 1)
    return moved.clamp_min(0).minimum(torch.tensor(inside.shape) - 1.0)


class ExtremePointsd(Transform):
    """Add the extreme points of an object in the label to the data: the four clicks of a careful user.

    Args:
        label_key: key of the label, `(C, H, W)`.
        points_key: where the points go: `(4, 2)` float32, see `extreme_points`; all NaN where the label does
            not hold the object, so that such slices can be in a mini-batch.
        values: the label's values that make up the object, such as (1, 2) for an optic disc with its cup;
            default: all but 0.
        channel: the label's channel.

    Raises:
        ValueError: on calling, the label is no slice with channels.

    Example:
        >>> label = torch.tensor([[[0, 1, 1], [0, 1, 2]]])
        >>> points = ExtremePointsd(values=2)({"label": label})["points"]
        >>> points.tolist()
        [[1.0, 2.0], [1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]
        >>> bool(ExtremePointsd(values=3)({"label": label})["points"].isnan().all())
        True
    """

    jitter = 0.0

    def __init__(
        self,
        label_key: str = "label",
        points_key: str = "points",
        *,
        values: int | Sequence[int] | None = None,
        channel: int = 0,
    ) -> None:
        self.label_key, self.points_key = label_key, points_key
        self.values = None if values is None else torch.tensor(values).flatten()
        self.channel = channel

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Copy of the dictionary with the points."""
        label = _plain(data[self.label_key])
        if label.ndim != 3:
            raise ValueError(f"'{self.label_key}' must be (C, H, W), got shape {tuple(label.shape)}.")
        part = label[self.channel]
        mask = part != 0 if self.values is None else torch.isin(part, self.values.to(part))
        found = bool(mask.any())
        points = extreme_points(mask, jitter=self.jitter) if found else torch.full((4, 2), torch.nan)
        return {**data, self.points_key: points}


class RandExtremePointsd(ExtremePointsd, RandomizableTrait):
    """`ExtremePointsd` with the noise of a hurried user.

    Belongs after the augmentation, so that the points are those of the turned and scaled label. Random
    numbers come from torch's global generator: `torch.manual_seed` repeats them, and a `DataLoader` gives
    every worker its own. A `CacheDataset` does not cache the points. For whole mini-batches, see
    `SimulatedClicks`.

    Args:
        label_key: see `ExtremePointsd`.
        points_key: see `ExtremePointsd`.
        jitter: largest displacement along either axis, pixels. Zheng et al.: 5.
        kwargs: further arguments of `ExtremePointsd`.

    Raises:
        ValueError: `jitter` is negative; see `ExtremePointsd`.

    Example:
        >>> label = torch.zeros(1, 40, 40)
        >>> label[..., 10:30, 12:28] = 1
        >>> points = RandExtremePointsd(jitter=2.0)({"label": label})["points"]
        >>> bool((points[0, 0] - 10).abs() <= 2)
        True
    """

    def __init__(
        self, label_key: str = "label", points_key: str = "points", *, jitter: float = 5.0, **kwargs: Any
    ) -> None:
        super().__init__(label_key, points_key, **kwargs)
        _check_jitter(jitter)
        self.jitter = jitter


def _plain(image: Tensor | NDArray[Any]) -> Tensor:
    return (image.as_tensor() if isinstance(image, MetaTensor) else torch.as_tensor(image)).cpu()


def _check_jitter(jitter: float) -> None:
    if not 0 <= jitter < math.inf:
        raise ValueError(f"`jitter` is a number of pixels, 0 or more, got {jitter}.")


def _middle(n: int) -> int:
    return (n - 1) // 2


def _ends(inside: Tensor, choose: Callable[[int], int]) -> Tensor:
    """A pixel of the first and the last row and column that hold any; `choose` takes one of so many."""
    ends = []
    for mask in (inside, inside.T):
        rows = mask.any(1).nonzero().flatten()
        for row in (rows[0], rows[-1]):
            columns = mask[row].nonzero().flatten()
            ends.append(torch.stack([row, columns[choose(len(columns))]]))
    top, bottom, left, right = ends
    return torch.stack([top, bottom, left.flip(0), right.flip(0)]).float()
