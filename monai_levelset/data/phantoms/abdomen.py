"""The upper abdomen in portal-venous CT, shared by the tasks ``liver`` and ``lits``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monai_levelset.data.phantoms.appearance import paint
from monai_levelset.data.phantoms.shapes import Array, branches, ellipsoid, grid, smooth_field, tubes

SPACING = (2.2, 2.2, 5.0)
SHAPE = (160, 160, 28)
LOWEST_MM = -86.0
EDGE = 2.5


@dataclass
class Abdomen:
    """One patient: the picture in HU without noise, and the distance functions that labels and lesions need.

    Attributes:
        image: ``(x, y, z)`` float32, HU.
        liver: distance to the liver's surface, positive inside.
        vessels: distance to the walls of the hepatic vessels, positive inside.
        liver_hu: mean HU of the parenchyma.
        spleen: mask of the spleen.
    """

    image: Array
    liver: Array
    vessels: Array
    liver_hu: float
    spleen: Array


def draw_abdomen(rng: np.random.Generator) -> Abdomen:
    """Draw body wall, spine, organs and liver of one patient; 160x160x28 voxels of 2.2 x 2.2 x 5 mm."""
    coords = warped_grid(rng)
    image = np.full(SHAPE, -1000.0, np.float32)
    inner = draw_wall(rng, image, coords)
    liver_hu = float(rng.uniform(45, 125))
    draw_fat_and_bowel(rng, image, coords, inner, liver_hu)
    kidneys, stomach, spleen = draw_organs(rng, image, coords, inner, liver_hu)
    draw_spine(rng, image, coords)
    liver = liver_shape(rng, coords, inner)
    behind = ellipsoid(coords, (-44, 64, -40), (38, 34, 66))
    for organ, gap in ((kidneys, 2.0), (stomach, 1.0), (behind, 0.0)):
        liver = np.minimum(liver, -(organ + gap))
    draw_lungs(image, coords, np.minimum(inner - 4, -(np.maximum(liver, spleen) + 6)))
    vessels = liver_vessels(rng)
    paint_liver(rng, image, coords, liver, vessels, liver_hu)
    return Abdomen(image, liver, vessels, liver_hu, spleen > 0)


def warped_grid(rng: np.random.Generator) -> list[Array]:
    """Millimetre coordinates bent by smooth random fields, so that every shape in them becomes irregular."""
    size = rng.uniform(0.9, 1.08)
    x, y, z = grid(SHAPE, SPACING)
    z = z - z.min() + np.float32(LOWEST_MM)
    return [
        ((c + np.float32(5.0) * smooth_field(rng, SHAPE, SPACING, 48.0)) / size).astype(np.float32)
        for c in (x, y, z)
    ]


def draw_wall(rng: np.random.Generator, image: Array, coords: list[Array]) -> Array:
    """Skin, fat, muscle, ribs and the table; returns the distance function of the cavity inside."""
    x, y, z = coords
    table = grid(SHAPE, SPACING)
    body = ellipsoid((x, y), (0, 0), (rng.uniform(148, 165), rng.uniform(100, 116)))
    plate = 2.0 - np.abs(table[1] - 132 - np.float32(0.0015) * table[0] ** 2)
    paint(image, plate, -150.0, EDGE)
    fat, muscle = rng.uniform(8, 24), rng.uniform(9, 14)
    texture = smooth_field(rng, SHAPE, SPACING, 7.0)
    paint(image, body, 20.0, EDGE)
    paint(image, body - 3, -105 + 8 * texture, EDGE)
    wall = body - fat
    paint(image, wall, rng.uniform(48, 72) + 8 * texture, EDGE)
    ribs = np.cos(13 * np.arctan2(y, np.abs(x)) + z / np.float32(7))
    bone = np.minimum(3.8 - np.abs(wall - muscle * 0.6), 14 * (ribs - 0.45))
    paint(image, bone, 260 + 90 * np.clip(4 - bone, 0, 3), EDGE)
    return np.asarray(wall - muscle, np.float32)


def draw_fat_and_bowel(
    rng: np.random.Generator, image: Array, coords: list[Array], inner: Array, hu: float
) -> None:
    """Fill the cavity with fat and, low and in front, with bowel loops holding contrast, fluid or gas."""
    _, y, z = coords
    paint(image, inner, -95.0, EDGE)
    loops, content = (smooth_field(rng, SHAPE, SPACING, scale) for scale in (17.0, 26.0))
    region = np.minimum(np.minimum(inner - 3, 30 - y), 15 - z)
    paint(image, np.minimum(9 * (loops + 0.8), region), hu + rng.uniform(-25, 15), EDGE)
    filling = np.where(content > 1.1, -700.0, np.where(content < 0, hu, 30.0))
    paint(image, np.minimum(9 * (loops - 0.3), region - 3), filling, EDGE)


def draw_organs(
    rng: np.random.Generator, image: Array, coords: list[Array], inner: Array, hu: float
) -> tuple[Array, Array, Array]:
    """Heart, kidneys, stomach, pancreas and spleen; their HU overlap with the liver's (``hu``)."""
    x, y, z = coords
    place = rng.normal(0, 4, 12)
    texture = smooth_field(rng, SHAPE, SPACING, 6.0)
    heart = np.minimum(ellipsoid((x, y, z), (15, -38, 72), (55, 42, 32)), inner - 3)
    paint(image, heart, 135 + 6 * texture, EDGE)
    kidneys = np.maximum(
        ellipsoid((x, y, z), (-58 + place[0], 46, -42 + place[1]), (25, 27, 48), 0.4),
        ellipsoid((x, y, z), (60 + place[2], 46, -32 + place[3]), (25, 27, 48), -0.4),
    )
    paint(image, kidneys, rng.uniform(140, 190), EDGE)
    paint(image, kidneys - 8 - 2 * texture, rng.uniform(90, 130), EDGE)
    paint(image, kidneys - 15, 0.0, EDGE)
    pancreas = ellipsoid((x, y, z), (18, 2 + place[4], -22), (48, 12, 16), -0.25) + 2 * texture
    paint(image, np.minimum(pancreas, inner), hu + rng.uniform(-20, 15), EDGE)
    stomach = ellipsoid((x, y, z), (52 + place[5], -32, 8 + place[6]), (42, 34, 42), 0.5)
    stomach = np.minimum(stomach, inner - 2)
    paint(image, stomach, hu - 12, EDGE)
    fluid = rng.choice([15.0, hu - 15, hu])
    level = y - rng.uniform(-60, -35)
    paint(image, stomach - 4, np.where(level < 0, -850.0, fluid + 15 * texture), EDGE)
    spleen = ellipsoid((x, y, z), (98 + place[7], 22, 8 + place[8]), (27, 46, 40), -0.2)
    spleen = np.minimum(spleen, inner - 1)
    paint(image, spleen, hu + rng.uniform(-12, 25) + 5 * texture, EDGE)
    return kidneys, stomach, spleen


def draw_spine(rng: np.random.Generator, image: Array, coords: list[Array]) -> None:
    """Back muscles, vertebra with its canal and processes, aorta and inferior vena cava."""
    x, y, z = coords
    side = np.abs(x)
    texture = smooth_field(rng, SHAPE, SPACING, 5.0)
    paint(image, ellipsoid((side, y), (31, 76), (24, 17)), 54 + 8 * texture, EDGE)
    paint(image, ellipsoid((side, y), (33, 48), (13, 15)), 54 + 8 * texture, EDGE)
    disc = np.cos(2 * np.pi * z / np.float32(33)) > 0.75
    body = ellipsoid((x, y), (0, 53), (23, 18))
    marrow = np.where(disc, 85.0, 175.0) + 30 * texture
    rim = np.where(disc, 85.0, 420.0)
    paint(image, body, rim, EDGE)
    paint(image, body - 3, marrow, EDGE)
    arch = np.maximum(ellipsoid((x, y), (0, 77), (17, 13)), ellipsoid((side, y), (24, 72), (17, 5), 0.25))
    spine = ellipsoid((x, y), (0, 93), (4, 14))
    paint(image, np.maximum(arch, spine), 320 + 60 * texture, EDGE)
    paint(image, ellipsoid((x, y), (0, 76), (9, 8)), 30.0, EDGE)
    blood = rng.uniform(125, 170)
    paint(image, ellipsoid((x, y), (10, 26), (11, 11)), blood, EDGE)
    paint(image, ellipsoid((x, y), (-22, 24), (13, 10), 0.3), blood - 10, EDGE)


def draw_lungs(image: Array, coords: list[Array], free: Array) -> None:
    """Air above the diaphragm, lower at the back and the sides; the heart stays."""
    x, y, z = coords
    heart = ellipsoid((x, y, z), (15, -38, 72), (58, 45, 35))
    middle = ellipsoid((x, y), (0, 45), (42, 38))
    height = z - 34 + np.float32(0.25) * y + np.float32(0.12) * np.abs(x)
    lung = np.minimum.reduce(np.broadcast_arrays(free, height, -heart, -middle))
    paint(image, lung, -840.0, 2 * EDGE)


def liver_shape(rng: np.random.Generator, coords: list[Array], inner: Array) -> Array:
    """Right and left lobe with the fissure between them and an irregular surface."""
    x, y, z = coords
    move = rng.normal(0, 5, 6)
    right = ellipsoid((x, y, z), (-72, move[0], -8 + move[1]), (68, 80 + move[2], 64), 0.1)
    left = ellipsoid((x, y, z), (-5 + move[3], -42, 14 + move[4]), (74, 36, 38), -0.12)
    fissure = ellipsoid((x, y, z), (-22 + move[5], -52, -14), (4.5, 34, 26), 0.25)
    hilum = ellipsoid((x, y, z), (-25, 16, -16), (22, 14, 14), 0.3)
    caval = ellipsoid((x, y), (-22, 24), (15, 12), 0.3)
    liver = np.maximum(right, left) + 3.0 * smooth_field(rng, SHAPE, SPACING, 24.0)
    for hole in (fissure, hilum, caval):
        liver = np.minimum(liver, -hole)
    return np.asarray(np.minimum(liver, inner - 1), np.float32)


def liver_vessels(rng: np.random.Generator) -> Array:
    """Portal tree from the hilum and hepatic veins from the vena cava at the dome."""
    portal = branches(rng, (-25, 12, -14), (-1, -0.4, 0.2), length=34, radius=4.8, generations=5, step=1.5)
    left = branches(rng, (-28, 8, -10), (0.7, -1.3, 0.6), length=26, radius=3.6, generations=4, step=1.5)
    veins = branches(rng, (-24, 12, 36), (-1, -0.7, -0.7), length=40, radius=4.2, generations=4, step=1.5)
    points, radii = (np.concatenate(parts) for parts in zip(portal, left, veins, strict=True))
    points[:, 2] -= LOWEST_MM + (SHAPE[2] - 1) * SPACING[2] / 2
    return tubes(SHAPE, SPACING, points, np.maximum(radii, 1.3))


def paint_liver(
    rng: np.random.Generator, image: Array, coords: list[Array], liver: Array, vessels: Array, hu: float
) -> None:
    """Paint parenchyma with patchy fat, its vessels, and the gallbladder beside it."""
    patchy = 5 * smooth_field(rng, SHAPE, SPACING, 40.0) + 4 * smooth_field(rng, SHAPE, SPACING, 8.0)
    paint(image, liver, hu + patchy, EDGE)
    paint(image, np.minimum(liver, vessels), hu + rng.uniform(20, 60), EDGE)
    x, y, z = coords
    bladder = ellipsoid((x, y, z), (-48, -32, -36), (15, 21, 17), 0.5)
    paint(image, np.minimum(bladder, -liver), 12.0, EDGE)
