"""Data for the tests of the fundus bundle: a small photograph, clicks, and what follows from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .common import ROOT, Array

FUNDUS_BUNDLE = ROOT / "bundles" / "fundus_levelset_deepgrow"
SIZE = (70, 60)
DISC = [[12, 30], [48, 30], [30, 12], [30, 48]]
CUP = [[22, 32], [38, 32], [30, 24], [30, 40]]


def photo() -> Array:
    """Colours `(x, y, 3)` of 8 bits."""
    x, y = np.ogrid[: SIZE[0], : SIZE[1]]
    disc = (x - 30) ** 2 + (y - 30) ** 2 <= 18**2
    colours = [120 + 80 * disc + y, 60 + 90 * disc + 0 * y, 30 + 40 * disc + x]
    return np.stack([np.broadcast_to(c, SIZE) for c in colours], -1).astype(np.uint8)


def confident(clicks: ArrayLike, level: float) -> Array:
    """Where the confidence map of four clicks is above a level, computed from its definition.

    On the picture's own pixels: the crop of clicks that are as wide as high changes nothing but the scale.
    """
    place = np.stack(np.meshgrid(*(np.arange(n) for n in SIZE), indexing="ij"), -1).astype(float)
    top, bottom, left, right = np.asarray(clicks, float)
    first, second = _distance(place, top, bottom), _distance(place, left, right)
    nearest, both = np.minimum(first, second), np.hypot(first, second)
    return np.asarray(1 / (1 + nearest + both) > level)


def _distance(place: Array, start: Array, end: Array) -> Array:
    """To a segment, in half lengths of it."""
    along = end - start
    share = ((place - start) @ along / (along @ along)).clip(0, 1)
    nearest = start + share[..., None] * along
    return np.linalg.norm(place - nearest, axis=-1) / (np.linalg.norm(along) / 2)
