"""The last step of a correction by clicks: each of them holds on the image's grid."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

_AROUND = [step for step in itertools.product((-1, 0, 1), repeat=2) if any(step)]


def hold_pixels(probability: Tensor, on: Tensor, off: Tensor, scale: Sequence[float]) -> Tensor:
    """A probability whose inverse crop, thresholded at 1/2, has every click as it should be.

    What the level set settles stays as it is. Only where the pixel of the image that was clicked comes out
    wrong, or a click on the contour in the midst of the object, its part of the map is set to 0 or 1. The
    background clicks come last: on maps coarser than the image two neighbours may have no part of their own.

    Args:
        probability: `(h, w)`.
        on: clicks on the contour, `(M, 2)`, pixels of the map.
        off: clicks on the background, `(K, 2)`.
        scale: pixels of the map per pixel of the image, along rows and columns.

    Returns:
        `(h, w)`.

    Example:
        >>> on, off = torch.tensor([[0.5, 0.5]]), torch.tensor([[4.5, 2.5]])
        >>> held = hold_pixels(torch.ones(6, 6), on, off, (2, 2))
        >>> held.int()[[0, 4]].tolist()
        [[1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 1, 1]]
    """
    pixels = _Pixels(probability.clone(), scale)
    clicked, outside = pixels.of(on), pixels.of(off)
    for place in clicked:
        if pixels.value(place) <= 0.5:
            pixels.set(place, 1)
    for place in clicked:
        around = [(place[0] + r, place[1] + c) for r, c in _AROUND]
        values = {other: pixels.value(other) for other in around if other not in clicked}
        if values and min(values.values()) > 0.5:
            outside = [min(values, key=lambda other: values[other]), *outside]
    for place in outside:
        if pixels.value(place) > 0.5:
            pixels.set(place, 0, spare=clicked)
        if pixels.value(place) > 0.5:
            pixels.set(place, 0)
    return pixels.map


class _Pixels:
    """The pixels of the image under a map: averages where the map is finer, else interpolated."""

    def __init__(self, map_: Tensor, scale: Sequence[float]) -> None:
        self.map, self.scale = map_, [float(s) for s in scale]

    def of(self, points: Tensor) -> list[tuple[int, int]]:
        """The pixels of the image that hold these points of the map."""
        pixels = (points.cpu() + 0.5) / torch.tensor(self.scale) - 0.5
        return [(int(r), int(c)) for r, c in pixels.round().tolist()]

    def value(self, pixel: tuple[int, int]) -> float:
        """What the inverse of the crop makes of a pixel; 0 outside the map."""
        parts = self._parts(pixel)
        if any(len(weights) == 0 for _, weights in parts):
            return 0.0
        (rows, of_rows), (columns, of_columns) = parts
        weights = [torch.tensor(w).to(self.map) for w in (of_rows, of_columns)]
        return float(weights[0] @ self.map[rows][:, columns] @ weights[1])

    def set(self, pixel: tuple[int, int], value: float, *, spare: Iterable[tuple[int, int]] = ()) -> None:
        """Give a pixel's part of the map this value, but for what belongs to the spared pixels, too."""
        kept = [(self._rows_columns(other), self.map[self._rows_columns(other)].clone()) for other in spare]
        self.map[self._rows_columns(pixel)] = value
        for place, before in kept:
            self.map[place] = before

    def _rows_columns(self, pixel: tuple[int, int]) -> tuple[Tensor, Tensor]:
        rows, columns = (torch.tensor(indices, dtype=torch.long) for indices, _ in self._parts(pixel))
        return rows[:, None], columns[None]

    def _parts(self, pixel: tuple[int, int]) -> list[tuple[list[int], list[float]]]:
        """Along both axes: which pixels of the map one of the image is made of, and their weights."""
        return [_part(*of) for of in zip(pixel, self.scale, self.map.shape, strict=True)]


def _part(pixel: int, scale: float, size: int) -> tuple[list[int], list[float]]:
    if not 0 <= pixel < round(size / scale):
        return [], []
    if scale >= 1:
        first, stop = math.floor(pixel * scale + 1e-4), math.ceil((pixel + 1) * scale - 1e-4)
        indices = list(range(max(first, 0), min(stop, size)))
        return indices, [1 / len(indices)] * len(indices)
    place = min(max((pixel + 0.5) * scale - 0.5, 0.0), size - 1.0)
    low = min(math.floor(place), max(size - 2, 0))
    return ([low, low + 1], [low + 1 - place, place - low]) if size > 1 else ([0], [1.0])
