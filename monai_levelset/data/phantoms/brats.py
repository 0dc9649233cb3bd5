"""Brain tumour: four MRI sequences of a skull-stripped head.

What makes it hard for a threshold: ventricles and sulci are as bright as oedema in T2, age-related
white-matter lesions and cortex are bright in FLAIR, tumours differ in brightness, and each sequence has its
own bias field.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from monai_levelset.data.phantoms.appearance import bias_field, paint, rician, to_int16
from monai_levelset.data.phantoms.case import PhantomCase, PhantomTask, lps_affine
from monai_levelset.data.phantoms.shapes import Array, ellipsoid, grid, smooth_field

SPACING = (2.0, 2.0, 2.5)
SHAPE = (80, 96, 52)
EDGE = 2.2
ORDER = (3, 0, 1, 2)  # FLAIR first, as in the files of the Medical Segmentation Decathlon
TISSUES = {  # T1, T1c, T2, FLAIR
    "white": (1.00, 1.00, 0.42, 0.48),
    "grey": (0.74, 0.78, 0.60, 0.66),
    "csf": (0.30, 0.30, 1.25, 0.14),
    "oedema": (0.74, 0.74, 0.88, 0.86),
    "enhancing": (0.80, 1.45, 0.74, 0.78),
    "core": (0.45, 0.48, 1.00, 0.56),
    "vessel": (0.85, 1.50, 0.30, 0.40),
}


@dataclass
class Tumour:
    """Distances, positive inside: all abnormal tissue, the solid part with its rim, the necrotic core."""

    complete: Array
    solid: Array
    core: Array


def draw_patient(rng: np.random.Generator) -> list[PhantomCase]:
    """Draw one head: 80x96x52 voxels of 2 x 2 x 2.5 mm, int16.

    The channels FLAIR, T1, T1c, T2 come last, as in the files of the Medical Segmentation Decathlon.

    Labels follow BRATS: 1 necrotic and non-enhancing core, 2 oedema, 4 enhancing; the complete tumour is
    label > 0. The background outside the brain is exactly 0 in all channels.

    Args:
        rng: the patient's random generator.

    Returns:
        One case; ``parts`` holds ``brain`` and ``csf`` (ventricles).
    """
    coords = [
        (c + np.float32(2.5) * smooth_field(rng, SHAPE, SPACING, 40.0)).astype(np.float32)
        for c in grid(SHAPE, SPACING)
    ]
    brain = brain_shape(rng, coords)
    tumour = draw_tumour(rng, brain)
    image = np.zeros((*SHAPE, 4), np.float32)
    ventricles = paint_brain(rng, image, coords, brain)
    paint_tumour(rng, image, tumour)
    image = acquire(rng, image, brain > 0)
    label = np.zeros(SHAPE, np.uint8)
    label[tumour.complete > 0] = 2
    label[tumour.solid > 0] = 4
    label[(tumour.core > 0) & ndimage.binary_erosion(tumour.solid > 0)] = 1
    parts = {"brain": brain > 0, "csf": (ventricles > 0) & (label == 0)}
    return [PhantomCase(to_int16(image[..., ORDER]), label, lps_affine(SHAPE, SPACING), parts)]


def brain_shape(rng: np.random.Generator, coords: list[Array]) -> Array:
    """Cerebrum, flat at the base."""
    radii = rng.uniform((62, 80, 52), (69, 88, 58))
    return np.minimum(ellipsoid(coords, (0, 0, -2), radii), coords[2] + np.float32(50))


def draw_tumour(rng: np.random.Generator, brain: Array) -> Tumour:
    """Place a tumour in a hemisphere: irregular solid part, necrotic core, fingered oedema around it."""
    radius = rng.uniform(9, 21)
    room = np.argwhere((brain > radius * 0.8 + 8) & (np.abs(grid(SHAPE, SPACING)[0]) > 12))
    where = (room[rng.integers(len(room))] - (np.array(SHAPE) - 1) / 2) * SPACING
    coords = grid(SHAPE, SPACING)
    rough = smooth_field(rng, SHAPE, SPACING, 10.0)
    fingers = smooth_field(rng, SHAPE, SPACING, 15.0)
    solid = ellipsoid(coords, where, radius * rng.uniform(0.8, 1.2, 3), rng.uniform(0, 3)) + 2.8 * rough
    halo = ellipsoid(coords, where, radius + rng.uniform(6, 15, 3), rng.uniform(0, 3)) + 6.5 * fingers
    solid = np.minimum(solid, brain - 4)
    complete = np.minimum(np.maximum(halo, solid + 1), brain - 3)
    core = solid - rng.uniform(3, 0.6 * radius) - 1.2 * smooth_field(rng, SHAPE, SPACING, 8.0)
    return Tumour(complete, solid, np.minimum(core, solid - 1.5))


def paint_brain(rng: np.random.Generator, image: Array, coords: list[Array], brain: Array) -> Array:
    """Paint sulci, cortex, white matter, deep nuclei and ventricles; returns the ventricles' distance."""
    x, y, z = coords
    side = np.abs(x)
    folds = smooth_field(rng, SHAPE, SPACING, 8.5)
    fissure = side - 1.2 + 10 * np.clip(1 - np.hypot(y, z - 8) / 36, 0, 1)
    put(image, brain, "csf")
    ridges = 6 * np.abs(folds)
    cortex = np.minimum(brain - 1.5, np.maximum(ridges - 0.9, brain - 14))
    put(image, np.minimum(cortex, fissure), "grey")
    white = np.minimum(brain - 4.5, np.maximum(ridges - 3.6, brain - 17))
    put(image, np.minimum(white, fissure - 3), "white")
    for place, radii in (((25, 2, -6), (9, 18, 11)), ((12, 14, -4), (9, 13, 10))):
        put(image, ellipsoid((side, y, z), place, radii), "grey")
    size = rng.uniform(0.7, 1.4)
    front = ellipsoid((side, y, z), (7, -10, 8), (4.5 * size, 24, 8 * size), -0.2)
    rear = ellipsoid((side, y, z), (17, 24, 2), (5 * size, 17, 8 * size), 0.45)
    ventricles = np.maximum(front, rear)
    white_spots = np.minimum(brain - 15, np.maximum(3 * (folds - rng.uniform(1.3, 2.2)), ventricles + 3.5))
    image += np.clip(0.5 + white_spots / EDGE, 0, 1)[..., None] * np.array(
        (-0.15, -0.15, 0.25, 0.3), np.float32
    )
    put(image, ventricles, "csf")
    put(image, np.minimum(1.8 - np.hypot(side, z - 44), brain), "vessel")
    return ventricles


def paint_tumour(rng: np.random.Generator, image: Array, tumour: Tumour) -> None:
    """Paint oedema (fading outwards), enhancing rim and core, each with a brightness of this patient."""
    texture = smooth_field(rng, SHAPE, SPACING, 6.0)[..., None]
    for distance, tissue, edge in ((tumour.complete, "oedema", 7.0), (tumour.solid, "enhancing", EDGE)):
        put(image, distance, tissue, 1 + 0.06 * texture, edge, rng.uniform(0.84, 1.06, 4))
    put(image, tumour.core, "core", 1 + 0.08 * texture, EDGE, rng.uniform(0.8, 1.2, 4))


def put(
    image: Array,
    distance: Array,
    tissue: str,
    texture: Array | float = 1.0,
    edge: float = EDGE,
    gain: Array | float = 1.0,
) -> None:
    """Paint one tissue into all four channels."""
    paint(
        image, distance[..., None], np.asarray(TISSUES[tissue], np.float32) * np.float32(gain) * texture, edge
    )


def acquire(rng: np.random.Generator, image: Array, brain: Array) -> Array:
    """Bias field, noise and gain of each sequence; strip the skull."""
    texture = 1 + 0.03 * smooth_field(rng, SHAPE, SPACING, 5.0)
    channels = []
    for channel in range(4):
        field = bias_field(rng, SHAPE, SPACING, strength=0.25, scale=60.0) * texture
        signal = rician(rng, image[..., channel] * field, rng.uniform(0.02, 0.05))
        channels.append(np.maximum(signal * rng.uniform(200, 900), 1) * brain)
    return np.stack(channels, axis=-1)


TASK = PhantomTask(
    name="brats",
    description="Skull-stripped four-sequence MRI phantoms with a brain tumour; complete tumour = label > 0",
    modality="MRI (channels FLAIR, T1, T1c, T2)",
    labels={
        "0": "background",
        "1": "necrotic and non-enhancing core",
        "2": "oedema",
        "4": "enhancing tumour",
    },
    draw_patient=draw_patient,
)
