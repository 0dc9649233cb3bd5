"""Natural images: regions of colour and texture under uneven light, for segmentation without labels.

What makes it hard for a threshold: neighbouring regions share their mean colour and differ in texture,
textures contain bright and dark parts, and the illumination changes smoothly over the picture (bias field).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from monai_levelset.data.phantoms.appearance import bias_field, paint
from monai_levelset.data.phantoms.case import PhantomCase, PhantomTask
from monai_levelset.data.phantoms.shapes import Array, ellipsoid, grid, rotate, smooth_field

SHAPE = (160, 240)
PIXEL = (1.0, 1.0)
MOST_REGIONS = 6


def draw_patient(rng: np.random.Generator) -> list[PhantomCase]:
    """Draw one 160x240 RGB picture; label 1..K are its K regions (3 to 6), every pixel belongs to one.

    Args:
        rng: the picture's random generator.

    Returns:
        One case; ``parts`` is empty.
    """
    label = draw_regions(rng, int(rng.integers(3, 6)))
    image = np.zeros((*SHAPE, 3), np.float32)
    palette = rng.uniform(0.25, 0.75, (3, 3)).astype(np.float32)
    for value in range(1, int(label.max()) + 1):
        colour = palette[value % 3] + rng.normal(0, 0.03, 3).astype(np.float32)
        soft = ndimage.gaussian_filter((label == value).astype(np.float32), 0.7)[..., None]
        image += soft * draw_texture(rng, colour)
    image *= bias_field(rng, SHAPE, PIXEL, strength=0.35, scale=110.0)[..., None]
    image += rng.standard_normal(image.shape).astype(np.float32) * np.float32(0.02)
    return [PhantomCase(np.clip(np.rint(image * 255), 0, 255).astype(np.uint8), label)]


def draw_regions(rng: np.random.Generator, count: int) -> Array:
    """Region ids 1..K: a wavy partition of the plane with an object in front; slivers are merged away."""
    scale = rng.uniform(60, 100)
    label = np.argmax([smooth_field(rng, SHAPE, PIXEL, scale) for _ in range(count)], axis=0) + 1
    rows, cols = grid(SHAPE, PIXEL)
    where, size = rng.uniform((-35, -65), (35, 65)), rng.uniform(24, 42, 2)
    thing = ellipsoid((rows, cols), where, size, rng.uniform(0, 3)) + 4 * smooth_field(
        rng, SHAPE, PIXEL, 22.0
    )
    label[thing > 0] = count + 1
    return merge_slivers(label)


def merge_slivers(label: Array, smallest: float = 0.03) -> Array:
    """Keep a region's largest piece if it covers ``smallest`` of the picture; others join the nearest."""
    kept = np.zeros(label.shape, np.uint8)
    for value in np.unique(label):
        pieces, _ = ndimage.label(label == value)
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        if sizes.max() >= smallest * label.size:
            kept[pieces == sizes.argmax()] = kept.max() + 1
    nearest = ndimage.distance_transform_edt(kept == 0, return_distances=False, return_indices=True)
    return np.asarray(kept[tuple(nearest)], np.uint8)


def draw_texture(rng: np.random.Generator, colour: Array) -> Array:
    """One of four textures around a mean colour: smooth, grain, stripes or spots."""
    rows, cols = grid(SHAPE, PIXEL)
    kind = rng.choice(["smooth", "grain", "stripes", "spots"])
    pattern = 0.25 * smooth_field(rng, SHAPE, PIXEL, 30.0)
    if kind == "grain":
        pattern = pattern + smooth_field(rng, SHAPE, PIXEL, rng.uniform(1.5, 5))
    elif kind == "stripes":
        along, _ = rotate(rows, cols, rng.uniform(0, 3.2))
        bend = rng.uniform(0.5, 2) * smooth_field(rng, SHAPE, PIXEL, 40.0)
        pattern = pattern + np.sin(along * np.float32(6.28 / rng.uniform(5, 14)) + bend) * np.float32(1.3)
    elif kind == "spots":
        spots = np.zeros(SHAPE, np.float32)
        paint(spots, smooth_field(rng, SHAPE, PIXEL, rng.uniform(4, 8)) - 0.5, 2.4, 0.5)
        pattern = pattern + spots - spots.mean()
    tint = rng.uniform(0.08, 0.16) * (1 + rng.normal(0, 0.25, 3)).astype(np.float32)
    return np.asarray(colour + pattern[..., None] * tint, np.float32)


TASK = PhantomTask(
    name="natural",
    description="Pictures of textured regions under uneven light; labels are region ids for evaluation only",
    modality="RGB photograph",
    labels={str(k): f"region {k}" for k in range(1, MOST_REGIONS + 1)},
    draw_patient=draw_patient,
    suffix=".png",
)
