"""Left ventricle: short-axis cine MRI, one volume per patient.

What makes it hard for a threshold: the right ventricle, the aorta and the atrium hold the same blood, fat
and stomach are as bright, the papillary muscles inside the label are as dark as the myocardium, and a
surface coil shades everything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from monai_levelset.data.phantoms.appearance import bias_field, paint, rician, to_int16
from monai_levelset.data.phantoms.case import PhantomCase, PhantomTask, lps_affine
from monai_levelset.data.phantoms.shapes import Array, ellipsoid, grid, rotate, smooth_field

SPACING = (1.4, 1.4, 8.0)
MATRIX = (160, 160)
EDGE = 1.8


@dataclass
class Heart:
    """Distance functions of one heart, each ``(x, y, z)`` in millimetres, positive inside."""

    pool: Array
    epicardium: Array
    papillary: Array
    right: Array
    right_wall: Array
    aorta: Array
    atrium: Array


def draw_patient(rng: np.random.Generator) -> list[PhantomCase]:
    """Draw one short-axis volume: 8 to 10 slices of 160x160, 1.4 x 1.4 x 8 mm, int16.

    Slice 0 is the most basal one. Label 1 is the left-ventricular cavity inside the endocardium, papillary
    muscles and trabeculae included, as in the Sunnybrook contours.

    Args:
        rng: the patient's random generator.

    Returns:
        One case; ``parts`` holds ``papillary``, ``pool`` (blood without papillary muscles),
        ``right_ventricle`` and ``myocardium``.
    """
    shape = (*MATRIX, int(rng.integers(8, 11)))
    heart = draw_heart(rng, shape)
    image = draw_thorax(rng, shape)
    paint_heart(rng, image, heart)
    image *= coil_shading(rng, shape)
    image = rician(rng, image, rng.uniform(0.02, 0.05)) * rng.uniform(250, 900)
    label = heart.pool > 0
    papillary = label & (heart.papillary > 0)
    parts = {
        "papillary": papillary,
        "pool": label & ~papillary,
        "right_ventricle": (heart.right > 0) & (heart.epicardium < 0),
        "myocardium": (heart.epicardium > 0) & ~label,
    }
    affine = lps_affine(shape, SPACING, short_axis_tilt(rng))
    return [PhantomCase(to_int16(image), label.astype(np.uint8), affine, parts)]


def short_axis_tilt(rng: np.random.Generator) -> Array | None:
    """Rotation of the short-axis planes against the body: oblique for about half of the patients."""
    if rng.random() < 0.5:
        return None
    degrees = rng.uniform((30, -45, -10), (50, -20, 10))
    return np.asarray(Rotation.from_euler("xyz", degrees, degrees=True).as_matrix())


def draw_heart(rng: np.random.Generator, shape: tuple[int, int, int]) -> Heart:
    """Place the tapering cavity, its wall, two papillary muscles and the crescent beside it."""
    x, y, _ = grid(shape, SPACING)
    t = np.linspace(0, 1, shape[2], dtype=np.float32)[None, None]
    centre = rng.uniform((-2, -18), (28, 12))
    drift = rng.uniform((2, 2), (12, 10))
    u, v = x - centre[0] - drift[0] * t, y - centre[1] - drift[1] * t
    radius = rng.uniform(19, 30) * np.sqrt(1 - (rng.uniform(0.86, 0.95) * t) ** 2)
    pool = wobbly_disc(rng, u, v, radius)
    wall = rng.uniform(7, 12) * (1 - 0.25 * t)
    epicardium = pool + wall
    septum = rng.uniform(np.pi - 0.2, np.pi + 0.6)
    right, right_wall = crescent(rng, u, v, radius + wall, septum, t)
    aorta = ellipsoid((x, y), centre + rng.uniform((10, 48), (30, 62)), (rng.uniform(9, 13),) * 2)
    side = rng.uniform(np.pi / 2 + 0.1, np.pi - 0.3)
    away = radius + wall + 12
    atrium = ellipsoid((u, v), (away * np.cos(side), away * np.sin(side)), (16, 13), side) - 50 * t
    return Heart(pool, epicardium, papillary_muscles(rng, u, v, radius, t), right, right_wall, aorta, atrium)


def wobbly_disc(rng: np.random.Generator, u: Array, v: Array, radius: Array) -> Array:
    """Disc with an elliptic and a slightly irregular outline."""
    theta, wobble = np.arctan2(v, u), np.zeros((), np.float32)
    for order, size in ((2, 0.06), (3, 0.035), (4, 0.02), (5, 0.015)):
        wobble = wobble + np.float32(rng.normal(0, size)) * np.cos(
            order * theta + np.float32(rng.uniform(0, 6.3))
        )
    return (radius * (1 + wobble) - np.hypot(u, v)).astype(np.float32)


def papillary_muscles(rng: np.random.Generator, u: Array, v: Array, radius: Array, t: Array) -> Array:
    """Anterolateral and posteromedial muscle: dark islands near the wall of the mid-ventricular slices."""
    present = np.where((t > 0.15) & (t < 0.85), 1.0, 1e-3)
    muscles = []
    for angle in (rng.uniform(-0.9, -0.3), rng.uniform(1.6, 2.3)):
        away = radius * rng.uniform(0.56, 0.72)
        size = radius * rng.uniform(0.15, 0.25) * present
        place = (away * np.cos(angle), away * np.sin(angle))
        muscles.append(ellipsoid((u, v), place, (size * rng.uniform(1.0, 1.5), size), angle))
    return np.maximum(*muscles)


def crescent(
    rng: np.random.Generator, u: Array, v: Array, epicardium: Array, septum: float, t: Array
) -> tuple[Array, Array]:
    """Right ventricle, an ellipse behind the septum shrinking to the apex; alone and with its wall."""
    shrink = np.sqrt(np.clip(1.05 - t, 0.02, 1))
    away = epicardium * rng.uniform(0.75, 0.95)
    long, short = rng.uniform(32, 42) * shrink, rng.uniform(22, 30) * shrink
    place = (away * np.cos(septum), away * np.sin(septum))
    bent = septum + np.pi / 2 + rng.uniform(-0.25, 0.25)
    right = ellipsoid((u, v), place, (long, short), bent)
    return right, right + 3.0


def draw_thorax(rng: np.random.Generator, shape: tuple[int, int, int]) -> Array:
    """Everything around the heart: air, chest wall, lungs, liver, stomach, spleen and vertebra."""
    x, y, _ = grid(shape, SPACING)
    t = np.linspace(0, 1, shape[2], dtype=np.float32)[None, None]
    texture = smooth_field(rng, shape, SPACING, 9.0)
    ripple = 4 * smooth_field(rng, shape, SPACING, 45.0)
    image = np.full(shape, 0.02, np.float32)
    tilt = rng.uniform(-0.35, 0.1)
    place, size = rng.uniform((5, 15), (25, 35)), rng.uniform((105, 88), (150, 122))
    body = ellipsoid((x, y), place, size, tilt) + ripple * 0.3
    fat, muscle = rng.uniform(6, 18), rng.uniform(5, 10)
    paint(image, body, rng.uniform(0.95, 1.5) + 0.06 * texture, EDGE)
    paint(image, body - fat, 0.3 + 0.05 * texture, EDGE)
    paint(image, body - fat - muscle, 0.08 + 0.05 * np.maximum(texture, 0), EDGE)
    inner = body - fat - muscle - 2
    dome = ripple + rng.uniform(-8, 8) - 14 * t
    liver = ellipsoid((x, y), (rng.uniform(-75, -50), rng.uniform(60, 75)), (72, 48), -0.25) - dome
    stomach = (
        ellipsoid((x, y), rng.uniform((40, 62), (65, 80)), rng.uniform((20, 14), (36, 26)), 0.4) + ripple
    )
    spleen = ellipsoid((x, y), rng.uniform((72, 15), (88, 45)), (16, 32), 0.2) + ripple - 10 * (1 - t)
    gut = smooth_field(rng, shape, SPACING, 13.0)
    belly = np.minimum(y - rng.uniform(50, 66) - dome, inner)
    paint(image, belly, 0.75 + 0.3 * gut, EDGE)
    vessels = 0.3 * (smooth_field(rng, shape, SPACING, 8.0) > 1.5)
    paint(image, np.minimum(liver, inner), rng.uniform(0.3, 0.5) + 0.03 * texture + vessels, EDGE)
    paint(image, np.minimum(spleen, inner), rng.uniform(0.35, 0.6) + 0.03 * texture, EDGE)
    paint(image, np.minimum(stomach, inner), rng.choice([0.15, 0.9, 1.1]) + 0.12 * texture, EDGE)
    return image


def paint_heart(rng: np.random.Generator, image: Array, heart: Heart) -> None:
    """Paint fat, walls, blood and papillary muscles; both ventricles get the same blood."""
    shape = image.shape
    swirl = smooth_field(rng, shape, SPACING, 14.0)
    rough = smooth_field(rng, shape, SPACING, 4.0)
    blood = rng.uniform(0.85, 1.05) * (1 + 0.06 * swirl + 0.03 * rough)
    muscle = rng.uniform(0.22, 0.38) * (1 + 0.10 * swirl + 0.06 * rough)
    outline = np.maximum.reduce([heart.epicardium, heart.right_wall, heart.atrium + 2])
    fat = outline + 3 + 3.5 * smooth_field(rng, shape, SPACING, 22.0)
    paint(image, fat, rng.uniform(0.7, 1.2) + 0.1 * rough, EDGE)
    paint(image, outline, muscle, EDGE)
    paint(image, heart.aorta + 2, muscle, EDGE)
    for vessel in (heart.aorta, heart.atrium, heart.right):
        paint(image, vessel, blood * rng.uniform(0.95, 1.05), EDGE)
    trabeculae = np.minimum(heart.right, 1.8 * rough - 1.2)
    paint(image, trabeculae, muscle, 2 * EDGE)
    paint(image, heart.epicardium, muscle, EDGE)
    paint(image, heart.pool, blood, EDGE)
    rim = np.minimum(np.minimum(heart.pool, 4 - heart.pool), 1.6 * rough - 1.4)
    paint(image, rim, muscle, 2 * EDGE)
    paint(image, np.minimum(heart.papillary, heart.pool), muscle * 1.1, EDGE)


def coil_shading(rng: np.random.Generator, shape: tuple[int, int, int]) -> Array:
    """Surface coil on the chest (bright in front, dark behind) times a smooth random field."""
    x, y, _ = grid(shape, SPACING)
    along, _ = rotate(x, y, rng.uniform(0.9, 1.9))
    return np.exp(-along * rng.uniform(0.004, 0.010)) * bias_field(
        rng, shape, SPACING, strength=0.12, scale=90.0
    )


TASK = PhantomTask(
    name="lv",
    description="Short-axis cine MRI phantoms with the left-ventricular cavity (papillary muscles included)",
    modality="MRI",
    labels={"0": "background", "1": "left ventricle endocardium"},
    draw_patient=draw_patient,
)
