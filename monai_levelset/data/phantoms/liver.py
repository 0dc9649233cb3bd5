"""Liver: portal-venous CT of the upper abdomen in HU.

What makes it hard for a threshold: spleen, stomach contents, pancreas, kidneys, blood and muscle share the
liver's HU and touch it, its enhancement varies between patients, and vessels and the fissure cut it.
"""

from __future__ import annotations

import numpy as np

from monai_levelset.data.phantoms.abdomen import SHAPE, SPACING, draw_abdomen
from monai_levelset.data.phantoms.appearance import ct_noise, to_int16
from monai_levelset.data.phantoms.case import PhantomCase, PhantomTask, lps_affine


def draw_patient(rng: np.random.Generator) -> list[PhantomCase]:
    """Draw one CT volume: 160x160x28 voxels of 2.2 x 2.2 x 5 mm, int16 HU.

    Label 1 is the liver with its vessels.

    Args:
        rng: the patient's random generator.

    Returns:
        One case; ``parts`` holds ``vessels`` (inside the liver) and ``spleen``.
    """
    abdomen = draw_abdomen(rng)
    image = abdomen.image + ct_noise(rng, SHAPE, rng.uniform(10, 20))
    label = abdomen.liver > 0
    parts = {"vessels": label & (abdomen.vessels > 0), "spleen": abdomen.spleen}
    affine = lps_affine(SHAPE, SPACING)
    return [PhantomCase(to_int16(np.maximum(image, -1024)), label.astype(np.uint8), affine, parts)]


TASK = PhantomTask(
    name="liver",
    description="Portal-venous CT phantoms of the upper abdomen (HU) with the liver",
    modality="CT",
    labels={"0": "background", "1": "liver"},
    draw_patient=draw_patient,
)
