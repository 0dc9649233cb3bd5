"""Liver lesions: the abdomen of the ``liver`` task with one to six lesions.

What makes it hard for a threshold: lesions are darker or brighter than the liver by little, some are
necrotic inside a bright rim, and every HU they have occurs in bowel, muscle, vessels and gallbladder.
"""

from __future__ import annotations

import numpy as np

from monai_levelset.data.phantoms.abdomen import EDGE, SHAPE, SPACING, Abdomen, draw_abdomen
from monai_levelset.data.phantoms.appearance import ct_noise, paint, to_int16
from monai_levelset.data.phantoms.case import PhantomCase, PhantomTask, lps_affine
from monai_levelset.data.phantoms.shapes import Array, ellipsoid, grid, smooth_field


def draw_patient(rng: np.random.Generator) -> list[PhantomCase]:
    """Draw one CT volume with lesions: 160x160x28 voxels of 2.2 x 2.2 x 5 mm, int16 HU.

    Labels as in LiTS: 1 liver, 2 lesion. Every lesion voxel lies inside the liver.

    Args:
        rng: the patient's random generator.

    Returns:
        One case; ``parts`` holds ``liver`` (lesions included) and ``vessels``.
    """
    abdomen = draw_abdomen(rng)
    lesions = add_lesions(rng, abdomen, int(rng.integers(1, 7)))
    image = abdomen.image + ct_noise(rng, SHAPE, rng.uniform(9, 16))
    liver = abdomen.liver > 0
    label = liver.astype(np.uint8) + lesions.astype(np.uint8)
    parts = {"liver": liver, "vessels": liver & (abdomen.vessels > 0) & ~lesions}
    return [PhantomCase(to_int16(np.maximum(image, -1024)), label, lps_affine(SHAPE, SPACING), parts)]


def add_lesions(rng: np.random.Generator, abdomen: Abdomen, count: int) -> Array:
    """Paint lesions of 6 to 24 mm radius; returns their mask, which lies inside the liver."""
    mask = np.zeros(SHAPE, bool)
    coords = grid(SHAPE, SPACING)
    rough = smooth_field(rng, SHAPE, SPACING, 9.0)
    for radius in 6.0 * 4.0 ** rng.random(count):
        room = np.argwhere(abdomen.liver > min(0.7 * radius, 0.8 * float(abdomen.liver.max())))
        where = (room[rng.integers(len(room))] - (np.array(SHAPE) - 1) / 2) * SPACING
        radii = radius * rng.uniform(0.8, 1.2, 3)
        lesion = np.minimum(
            ellipsoid(coords, where, radii, rng.uniform(0, 3)) + 1.2 * rough, abdomen.liver - 1
        )
        paint_lesion(rng, abdomen, lesion, rough, radius)
        mask |= lesion > 0
    return mask


def paint_lesion(
    rng: np.random.Generator, abdomen: Abdomen, lesion: Array, rough: Array, radius: float
) -> None:
    """Mostly hypodense, some hyperdense; larger ones often with a necrotic core in a brighter rim."""
    contrast = rng.uniform(25, 55) if rng.random() < 0.2 else -rng.uniform(22, 60)
    paint(abdomen.image, lesion, abdomen.liver_hu + contrast + 5 * rough, 1.5 * EDGE)
    if radius > 11 and rng.random() < 0.6:
        core = lesion - 0.4 * radius + 1.5 * rough
        paint(abdomen.image, core, rng.uniform(10, 35) + 4 * rough, 1.5 * EDGE)


TASK = PhantomTask(
    name="lits",
    description="Portal-venous CT phantoms of the upper abdomen (HU) with liver lesions",
    modality="CT",
    labels={"0": "background", "1": "liver", "2": "lesion"},
    draw_patient=draw_patient,
)
