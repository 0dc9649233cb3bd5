"""Fundus: colour photographs of the retina, both eyes of each patient.

What makes it hard for a threshold: reflexes at the border, exudates and atrophy beside the disc are as
bright as the disc, vessels cross disc and cup, light and haze differ over the picture, and cup and rim
differ by little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from monai_levelset.data.phantoms.appearance import paint
from monai_levelset.data.phantoms.case import PhantomCase, PhantomTask
from monai_levelset.data.phantoms.shapes import Array, branches, ellipsoid, grid, rotate, smooth_field, tubes

SHAPE = (256, 256)
PIXEL = (1.0, 1.0)


@dataclass
class Eye:
    """Places in pixels from the image centre (row, column) and distance functions, positive inside."""

    centre: Array
    side: int
    disc: Array
    cup: Array


def draw_patient(rng: np.random.Generator) -> list[PhantomCase]:
    """Draw right and left eye of a patient with common pigment: two 256x256 RGB pictures.

    Labels: 1 neuroretinal rim, 2 cup; the disc is 1 and 2 together.

    Args:
        rng: the patient's random generator.

    Returns:
        Two cases; ``parts`` holds ``field_of_view`` and ``vessels``.
    """
    pigment = rng.uniform((0.50, 0.22, 0.06), (0.82, 0.42, 0.17)).astype(np.float32)
    return [draw_eye(rng, pigment, side) for side in (-1, 1)]


def draw_eye(rng: np.random.Generator, pigment: Array, side: int) -> PhantomCase:
    """Draw one eye; ``side`` -1 has the disc on the left half of the picture, 1 on the right."""
    eye = place_disc(rng, side)
    image = retina(rng, pigment, eye)
    paint_spots(rng, image, eye)
    vessels = draw_vessels(rng, eye)
    paint_disc(rng, image, eye)
    dark = np.array((0.52, 0.22, 0.25), np.float32) * rng.uniform(0.85, 1.1)
    strength = np.clip(0.5 + vessels / 1.4, 0, 1)[..., None] * np.float32(rng.uniform(0.6, 0.85))
    image *= 1 - strength * (1 - dark / dark.max())
    image *= 1 - 0.3 * strength
    image, view = photograph(rng, image)
    label = (eye.disc > 0).astype(np.uint8) + (np.minimum(eye.cup, eye.disc) > 0)
    parts = {"field_of_view": view > 0, "vessels": vessels > 0}
    return PhantomCase(image, label.astype(np.uint8), None, parts)


def place_disc(rng: np.random.Generator, side: int) -> Eye:
    """Disc, slightly oval, and cup, off its centre towards the temple, cup to disc ratio .35 to .75."""
    rows, cols = grid(SHAPE, PIXEL)
    centre = np.array((rng.uniform(-18, 18), side * rng.uniform(15, 62)))
    radius = rng.uniform(17, 25)
    wobble = 0.7 * smooth_field(rng, SHAPE, PIXEL, 22.0)
    disc = (
        ellipsoid((rows, cols), centre, (radius * rng.uniform(1.0, 1.15), radius), rng.uniform(-0.3, 0.3))
        + wobble
    )
    ratio = rng.uniform(0.35, 0.75)
    shift = (rng.normal(0, 0.06) * radius, -side * rng.uniform(0, 0.14) * radius)
    cup = (
        ellipsoid((rows, cols), centre + shift, (ratio * radius * rng.uniform(0.95, 1.15), ratio * radius))
        + wobble
    )
    return Eye(centre, side, disc, np.minimum(cup, disc - 1))


def retina(rng: np.random.Generator, pigment: Array, eye: Eye) -> Array:
    """Pigmented background with choroidal stripes, the dark macula and the nerve fibres' pale sheen."""
    rows, cols = grid(SHAPE, PIXEL)
    turned = rotate(rows, cols, rng.uniform(-0.7, 0.7))
    stripes = ndimage.gaussian_filter1d(
        smooth_field(rng, SHAPE, PIXEL, 4.0), 5, axis=int(abs(turned[0][0, 0]) > 200)
    )
    coarse, fine = smooth_field(rng, SHAPE, PIXEL, 45.0), smooth_field(rng, SHAPE, PIXEL, 3.0)
    tone = 1 + 0.07 * coarse + rng.uniform(0.03, 0.12) * stripes / stripes.std() * 0.8 + 0.02 * fine
    fovea = np.hypot(rows - eye.centre[0] - 6, cols - eye.centre[1] + eye.side * 92)
    tone = tone - 0.28 * np.exp(-((fovea / 22) ** 2))
    image = tone[..., None] * pigment
    sheen = np.exp(-np.maximum(-eye.disc, 0) / 18)[..., None]
    return np.asarray(image + sheen * np.array((0.10, 0.09, 0.03), np.float32), np.float32)


def paint_spots(rng: np.random.Generator, image: Array, eye: Eye) -> None:
    """Atrophy crescent beside the disc, and in half of the eyes yellow exudates elsewhere."""
    rows, cols = grid(SHAPE, PIXEL)
    pale = image * 0.75 + np.array((0.22, 0.14, 0.05), np.float32) * rng.uniform(0.3, 1)
    temple = -eye.side * (cols - eye.centre[1]) / 25
    ring = eye.disc + rng.uniform(0, 6) * (1 + temple) + 2 * smooth_field(rng, SHAPE, PIXEL, 20.0)
    paint(image, ring[..., None], pale, 5.0)
    if rng.random() < 0.5:
        where = rng.uniform(-75, 75, 2)
        patch = ellipsoid((rows, cols), where, rng.uniform(16, 34, 2), rng.uniform(0, 3))
        dots = np.minimum(3 * (smooth_field(rng, SHAPE, PIXEL, 4.5) - 0.4), patch * 0.3)
        dots = np.minimum(dots, -eye.disc - 8)
        paint(image, dots[..., None], np.array((0.95, 0.82, 0.42), np.float32), 2.0)


def draw_vessels(rng: np.random.Generator, eye: Eye) -> Array:
    """Arcades that leave the disc up and down and bend around the macula, arteries and veins."""
    trees = []
    for up in (-1, 1):
        for sideways, length, radius in (
            (-eye.side, 60, 2.1),
            (-eye.side * 0.5, 62, 1.7),
            (eye.side, 48, 1.6),
        ):
            start = eye.centre + rng.normal(0, 2.5, 2)
            heading = (up * rng.uniform(0.9, 1.3), sideways * rng.uniform(0.5, 0.9))
            trees.append(
                branches(
                    rng,
                    start,
                    heading,
                    length=length,
                    radius=radius,
                    generations=3,
                    wander=0.035,
                    spread=0.45,
                )
            )
    points, radii = (np.concatenate(parts) for parts in zip(*trees, strict=True))
    return tubes(SHAPE, PIXEL, points, np.maximum(radii, 0.6))


def paint_disc(rng: np.random.Generator, image: Array, eye: Eye) -> None:
    """Paint rim and cup; the cup is only a little paler, with a soft border."""
    around = image.mean((0, 1))
    rim = around * 0.6 + np.array((0.56, 0.48, 0.24), np.float32) * rng.uniform(0.85, 1.2)
    cup = rim + np.array((0.16, 0.28, 0.28), np.float32) * rng.uniform(0.6, 1.3)
    grain = 1 + 0.05 * smooth_field(rng, SHAPE, PIXEL, 6.0)[..., None]
    paint(image, eye.disc[..., None], rim * grain, 4.0)
    paint(image, eye.cup[..., None], cup * grain, 5.0)


def photograph(rng: np.random.Generator, image: Array) -> tuple[Array, Array]:
    """Uneven light, haze, reflex, blur, noise and aperture; returns 8-bit RGB and the aperture."""
    rows, cols = grid(SHAPE, PIXEL)
    view = (rng.uniform(118, 126) - np.hypot(rows, cols)).astype(np.float32)
    view = np.minimum(view, 118 - np.abs(rows))
    across, _ = rotate(rows, cols, rng.uniform(0, 6.3))
    light = 1 + 0.22 * smooth_field(rng, SHAPE, PIXEL, 90.0) + across * np.float32(rng.uniform(0, 0.0025))
    image = image * np.clip(light * (0.62 + 0.38 * np.clip(view / 70, 0, 1)), 0.2, 2)[..., None]
    angle = rng.uniform(0, 6.3)
    place = (rng.uniform(95, 135) * np.cos(angle), rng.uniform(95, 135) * np.sin(angle))
    reflex = ellipsoid((rows, cols), place, rng.uniform(14, 48, 2), rng.uniform(0, 3))
    soft = rng.uniform(14, 40)
    paint(image, reflex[..., None], np.array((0.92, 0.76, 0.38), np.float32) * rng.uniform(0.7, 1.1), soft)
    haze = rng.uniform(0, 0.28) * np.clip(0.6 + 0.4 * smooth_field(rng, SHAPE, PIXEL, 70.0), 0, 1)[..., None]
    image = image * (1 - haze) + haze * np.array((0.55, 0.50, 0.42), np.float32)
    image = ndimage.gaussian_filter(image, (rng.uniform(0.4, 1.0),) * 2 + (0,))
    image = image + rng.standard_normal(image.shape).astype(np.float32) * np.float32(rng.uniform(0.008, 0.02))
    image = image * np.clip(0.5 + view / 2, 0, 1)[..., None]
    return np.clip(np.rint(image * 255), 0, 255).astype(np.uint8), view


TASK = PhantomTask(
    name="fundus",
    description="Colour fundus photograph phantoms, two eyes per patient; disc = rim and cup",
    modality="colour fundus photography",
    labels={"0": "background", "1": "neuroretinal rim", "2": "optic cup"},
    draw_patient=draw_patient,
    suffix=".png",
    images_per_patient=2,
)
