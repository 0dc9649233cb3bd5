"""The animation is read back and its pixels are looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from monai_levelset.report import DeepLevelSetCase, evolution_animation
from monai_levelset.report.drawing import INITIAL, PREDICTION, TRUTH

SIDE = 64
Y, X = np.mgrid[:SIDE, :SIDE]
RADIUS = np.hypot(Y - 30.0, X - 33.0)
SCALE = 7  # 448 / 64


def made(radii: tuple[float, ...] = (26.0, 22.0, 15.0), *, truth: float = 10.0) -> DeepLevelSetCase:
    image = np.full((SIDE, SIDE), 0.2)
    image[RADIUS < 12] = 0.4
    return DeepLevelSetCase(
        image, truth > RADIUS, np.full((4, 2), np.nan), np.stack([r - RADIUS for r in radii])
    )


def frames(path: Path) -> tuple[list[np.ndarray], list[int]]:
    """RGB in [0, 1] of every frame and its duration in ms."""
    pictures, durations = [], []
    with Image.open(path) as gif:
        for index in range(gif.n_frames):
            gif.seek(index)
            durations.append(gif.info["duration"])
            pictures.append(np.asarray(gif.convert("RGB")).astype(float) / 255)
    return pictures, durations


def radii(picture: np.ndarray, colour: str) -> np.ndarray:
    """Distance of the dots of this colour from the circles' centre, in pixels of the case."""
    dots = np.argwhere(np.abs(picture - to_rgb(colour)).max(axis=-1) < 0.25)
    return np.hypot(*((dots - (SCALE - 1) / 2) / SCALE - (30, 33)).T)


def test_frames_sizes_and_times(tmp_path: Path) -> None:
    path = evolution_animation(made(), tmp_path / "new" / "a.gif", frames_per_step=4)
    pictures, durations = frames(path)
    assert len(pictures) == 2 * 4 + 1
    assert {picture.shape for picture in pictures} == {(SCALE * SIDE, SCALE * SIDE, 3)}
    assert set(durations[1:-1]) == {90}
    assert min(durations[0], durations[-1]) > 500
    with Image.open(path) as gif:
        assert gif.info["loop"] == 0


def test_the_red_contour_glides_from_the_start_to_the_result(tmp_path: Path) -> None:
    pictures, _ = frames(evolution_animation(made(), tmp_path / "a.gif", frames_per_step=2))
    for picture, radius in zip(pictures, (26, 24, 22, 18.5, 15), strict=True):
        found = radii(picture, PREDICTION)
        assert len(found) > 300
        assert np.median(found) == pytest.approx(radius, abs=0.15)
        assert (np.abs(found - radius) < 0.5).mean() > 0.9
    last = pictures[-1]
    assert np.abs(radii(last, PREDICTION) - 15).max() < 0.5
    assert np.median(radii(last, INITIAL)) == pytest.approx(26, abs=0.15)
    assert np.median(radii(last, TRUTH)) == pytest.approx(10, abs=0.4)
    assert len(radii(pictures[0], INITIAL)) > 300  # seen beside the contour that has not moved yet


def test_the_image_lies_under_the_contours_and_does_not_flicker(tmp_path: Path) -> None:
    pictures, _ = frames(evolution_animation(made(), tmp_path / "a.gif", frames_per_step=2))
    centre = np.array([picture[30 * SCALE, 33 * SCALE] for picture in pictures])
    corner = np.array([picture[5, 5] for picture in pictures])
    assert np.ptp(centre, axis=0).max() == np.ptp(corner, axis=0).max() == 0
    assert centre[0].mean() > corner[0].mean() + 0.3


def test_small_for_a_noisy_colour_image(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:256, :256]
    r = np.hypot(y - 128, x - 128)
    image = np.clip(np.stack([0.6 + x / 900, 0.3 + y / 900, 0.2 + 0 * x], -1), 0, 1)
    image += 0.03 * generator.standard_normal(image.shape)
    phis = np.stack([radius - r for radius in (90.0, 82.0, 76.0, 71.0, 68.0, 66.0)])
    case = DeepLevelSetCase(np.clip(image, 0, 1), r < 66, np.full((4, 2), np.nan), phis)
    path = evolution_animation(case, tmp_path / "a.gif")
    assert path.stat().st_size < 1.5e6
    with Image.open(path) as gif:
        assert (gif.n_frames, gif.size) == (31, (512, 512))


def test_level_sets_that_vanish_are_drawn(tmp_path: Path) -> None:
    case = made((20.0, -1.0))
    pictures, _ = frames(evolution_animation(case, tmp_path / "a.gif", frames_per_step=1))
    assert len(radii(pictures[0], PREDICTION)) > 300
    assert len(radii(pictures[-1], PREDICTION)) == 0


def test_nothing_to_show(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no evolution to animate"):
        evolution_animation(made((5.0,)), tmp_path / "a.gif")
    with pytest.raises(ValueError, match="`frames_per_step` must be at least 1, got 0"):
        evolution_animation(made(), tmp_path / "a.gif", frames_per_step=0)
    assert not list(tmp_path.iterdir())


def test_writing_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(self: Image.Image, path: Path, **_: object) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", half)
    with pytest.raises(OSError, match="disk full"):
        evolution_animation(made(), tmp_path / "a.gif", frames_per_step=1)
    assert not list(tmp_path.iterdir())
