"""Prostate: axial T2-weighted MRI of the pelvis.

What makes it hard for a threshold: the gland is a mixture of a bright peripheral zone, nodules of every
brightness and a dark stroma; bladder, seminal vesicles, veins and fat are as bright, muscles and rectum as
dark; coils shade the picture.
"""

from __future__ import annotations

import numpy as np

from monai_levelset.data.phantoms.appearance import bias_field, paint, rician, to_int16
from monai_levelset.data.phantoms.case import PhantomCase, PhantomTask, lps_affine
from monai_levelset.data.phantoms.shapes import Array, ellipsoid, grid, smooth_field

SPACING = (1.25, 1.25, 3.6)
SHAPE = (128, 128, 22)
EDGE = 1.6


def draw_patient(rng: np.random.Generator) -> list[PhantomCase]:
    """Draw one T2 volume: 128x128x22 voxels of 1.25 x 1.25 x 3.6 mm, int16; label 1 is the whole gland.

    Args:
        rng: the patient's random generator.

    Returns:
        One case; ``parts`` holds ``peripheral_zone``, ``transition_zone``, ``bladder`` and ``rectum``.
    """
    coords = bent_grid(rng)
    size = rng.uniform((21, 16, 19), (29, 23, 26))
    offset = rng.uniform((-5, -6, -9), (5, 6, 1))
    gland = ellipsoid(coords, offset, size) + 1.3 * smooth_field(rng, SHAPE, SPACING, 16.0)
    image = draw_pelvis(rng, coords)
    bladder, rectum = draw_neighbours(rng, image, coords, offset, size, gland)
    zone = draw_gland(rng, image, coords, offset, size, gland)
    image *= shading(rng, offset[1] + size[1])
    image = rician(rng, image, rng.uniform(0.025, 0.06)) * rng.uniform(250, 700)
    label = gland > 0
    parts = {"transition_zone": label & (zone > 0), "peripheral_zone": label & (zone <= 0)}
    parts |= {"bladder": (bladder > 0) & ~label, "rectum": (rectum > 0) & ~label}
    return [PhantomCase(to_int16(image), label.astype(np.uint8), lps_affine(SHAPE, SPACING), parts)]


def bent_grid(rng: np.random.Generator) -> list[Array]:
    """Millimetre coordinates bent by smooth random fields."""
    return [
        (c + np.float32(2.0) * smooth_field(rng, SHAPE, SPACING, 34.0)).astype(np.float32)
        for c in grid(SHAPE, SPACING)
    ]


def draw_pelvis(rng: np.random.Generator, coords: list[Array]) -> Array:
    """Fat with strands, pubic bone in front, obturator and levator muscles, ischium and gluteal muscles."""
    x, y, z = coords
    side = np.abs(x)
    strands = smooth_field(rng, SHAPE, SPACING, 5.0)
    fat = rng.uniform(0.6, 0.85)
    image = np.asarray(fat + 0.07 * strands, np.float32)
    muscle = rng.uniform(0.16, 0.24) + 0.035 * strands
    paint(image, ellipsoid((side, y), (66, -6), (17, 42), 0.15), muscle, EDGE)
    paint(image, ellipsoid((side, y, z), (84, 4, 10), (19, 30, 60)), 0.12, EDGE)
    paint(image, ellipsoid((side, y, z), (84, 4, 10), (16, 27, 57)), 0.45 + 0.05 * strands, EDGE)
    gluteal = np.minimum(ellipsoid((side, y), (52, 76), (50, 24), -0.35), side - 4)
    paint(image, gluteal, muscle + 0.3 * (strands > 1.2), EDGE)
    paint(image, ellipsoid((x, y), (0, 68 - 0.25 * z), (9, 5)), 0.4, EDGE)
    sling = 3.5 - np.abs(ellipsoid((x, y), (0, 20), (40 + 0.25 * z, 41)))
    paint(image, np.minimum(np.minimum(sling, 12 - z), y + 18), muscle, EDGE)
    paint(image, ellipsoid((side, y, z), (17, -55, -14), (21, 15, 26), 0.5), 0.12, EDGE)
    paint(image, ellipsoid((side, y, z), (17, -55, -14), (18, 12, 23), 0.5), 0.5 + 0.05 * strands, EDGE)
    return image


def draw_neighbours(
    rng: np.random.Generator, image: Array, coords: list[Array], offset: Array, size: Array, gland: Array
) -> tuple[Array, Array]:
    """Bladder, seminal vesicles, rectum and veins; returns bladder and rectum."""
    x, y, z = coords
    veins = smooth_field(rng, SHAPE, SPACING, 4.5)
    plexus = gland + 5 + 1.5 * veins
    paint(image, plexus, 0.55 + 0.25 * veins, EDGE)
    height = offset[2] + size[2]
    radii = rng.uniform((26, 20, 22), (42, 32, 30))
    bladder = ellipsoid(coords, (offset[0], offset[1] - 8, height + radii[2] - 5), radii)
    paint(image, bladder + rng.uniform(2, 4), 0.22, EDGE)
    paint(image, bladder, rng.uniform(1.0, 1.35), EDGE)
    vesicle = ellipsoid((np.abs(x - offset[0]), y, z), (17, offset[1] + 15, height + 2), (19, 8, 9), -0.3)
    paint(image, np.minimum(vesicle, -bladder - 3), 0.65 + 0.35 * veins, EDGE)
    back = offset[1] + size[1]
    width = rng.uniform(11, 19)
    rectum = ellipsoid((x, y), (offset[0] + rng.normal(0, 3), back + width + 2), (width * 1.2, width))
    paint(image, rectum, 0.28 + 0.05 * veins, EDGE)
    content = rng.choice([0.03, 0.4, 0.9])
    paint(image, rectum - 4, content + 0.3 * content * veins, EDGE)
    return bladder, rectum


def draw_gland(
    rng: np.random.Generator, image: Array, coords: list[Array], offset: Array, size: Array, gland: Array
) -> Array:
    """Capsule, peripheral zone, nodular transition zone, stroma, urethra; returns the transition zone."""
    nodules = smooth_field(rng, SHAPE, SPACING, rng.uniform(7, 11))
    fine = smooth_field(rng, SHAPE, SPACING, 3.0)
    share = rng.uniform(0.62, 0.8)
    centre = offset + np.array((0, -0.26, 0.15)) * size
    zone = ellipsoid(coords, centre, share * size * np.array((1.05, 0.95, 1.05))) + 0.8 * nodules
    peripheral = rng.uniform(0.6, 0.95) + 0.10 * nodules + 0.08 * fine
    inside = 0.42 + 0.16 * nodules + 0.06 * fine - 0.16 * (np.abs(nodules - 0.4) < 0.2)
    paint(image, gland, 0.18, EDGE)
    paint(image, gland - 1.2, peripheral, EDGE)
    lesion = ellipsoid(
        coords, offset + rng.uniform((-0.7, 0.3, -0.4), (0.7, 0.75, 0.4)) * size, rng.uniform(3, 8, 3)
    )
    paint(image, np.minimum(lesion, gland - 1), 0.27 + 0.04 * fine, EDGE)
    paint(image, np.minimum(zone, gland - 1.2) + 1.5, 0.2, EDGE)
    paint(image, np.minimum(zone, gland - 1.2), inside, EDGE)
    stroma = ellipsoid(coords, offset + np.array((0, -0.85, 0)) * size, size * np.array((0.55, 0.3, 0.8)))
    paint(image, np.minimum(stroma, gland), 0.2 + 0.03 * fine, EDGE)
    paint(image, ellipsoid(coords[:2], centre[:2], (3, 3)) + np.minimum(gland, 0), 0.75, EDGE)
    return zone


def shading(rng: np.random.Generator, back: float) -> Array:
    """Smooth random field; in two of five patients also the bright flare of an endorectal coil."""
    field = bias_field(rng, SHAPE, SPACING, strength=0.2, scale=60.0)
    if rng.random() < 0.4:
        x, y, _ = grid(SHAPE, SPACING)
        field = field * (0.7 + 1.1 * np.exp(-np.hypot(x, y - np.float32(back + 12)) / np.float32(22)))
    return np.asarray(field, np.float32)


TASK = PhantomTask(
    name="prostate",
    description="Axial T2-weighted MRI phantoms of the pelvis with the prostate gland",
    modality="MRI",
    labels={"0": "background", "1": "prostate"},
    draw_patient=draw_patient,
)
