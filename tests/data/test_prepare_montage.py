"""The montage shows labels where they are, in every kind of image."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from monai_levelset.data.preparation import montage
from monai_levelset.report.drawing import PALETTE


def colours(picture: Path) -> set[str]:
    with Image.open(picture) as image:
        values = np.asarray(image.convert("RGB")).reshape(-1, 3)
    found, counts = np.unique(values, axis=0, return_counts=True)
    return {f"#{r:02x}{g:02x}{b:02x}" for (r, g, b), n in zip(found, counts, strict=True) if n > 20}


def write_volume(folder: Path, values: np.ndarray, name: str, spacing: tuple[float, ...]) -> Path:
    nib.save(nib.Nifti1Image(values, np.diag([*spacing, 1.0])), folder / name)
    return folder / name


@pytest.mark.parametrize("axis", [0, 2])
def test_the_slice_with_most_label_across_the_thick_axis(tmp_path: Path, axis: int) -> None:
    values = np.zeros((20, 20, 20), np.float32)
    label = np.zeros(values.shape, np.uint8)
    inside = [slice(4, 14)] * 3
    inside[axis] = slice(7, 8)
    label[tuple(inside)] = 2
    values[tuple(inside)] = 5
    spacing = [1.0, 1.0, 1.0]
    spacing[axis] = 6.0
    image = write_volume(tmp_path, values, "image.nii.gz", tuple(spacing))
    mask = write_volume(tmp_path, label, "label.nii.gz", tuple(spacing))
    panel = montage._panel("case", image, mask)
    assert panel.image.max() == 5  # the one slice with the object
    assert {colour: int(m.sum()) for colour, m in panel.contours.items()} == {PALETTE[1]: 100}
    assert panel.aspect == 1.0


def test_picture_with_two_structures_and_one_without_label(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (40, 60, 3), np.uint8)).save(tmp_path / "a.png")
    label = np.zeros((40, 60), np.uint8)
    label[10:30, 10:40] = 1
    label[15:25, 20:30] = 2
    Image.fromarray(label).save(tmp_path / "l.png")
    cases = [("a", tmp_path / "a.png", tmp_path / "l.png"), ("b", tmp_path / "a.png", None)]
    names = {"0": "background", "1": "rim", "2": "cup"}
    out = montage.draw_montage(tmp_path / "m.png", cases, names)
    assert set(PALETTE[:2]) <= colours(out)
    panel = montage._panel(*cases[1])
    assert panel.image.shape == (40, 60, 3)
    assert (panel.contours, panel.note) == ({}, "no label")


def test_many_structures_become_their_boundaries(tmp_path: Path) -> None:
    label = np.repeat(np.arange(20, dtype=np.uint8), 2)[:, None].repeat(10, 1)
    panel = montage._structures(label)
    assert list(panel) == [PALETTE[0]]
    assert panel[PALETTE[0]].sum() == 19 * 10


def test_a_volume_with_channels(tmp_path: Path) -> None:
    values = np.zeros((8, 8, 4, 3), np.float32)
    values[..., 0] = np.arange(4)
    image = write_volume(tmp_path, values, "image.nii.gz", (1.0, 1.0, 3.0))
    panel = montage._panel("case", image, None)
    assert panel.image.shape == (8, 8)
    assert panel.image.max() == 2  # the middle slice of the first channel
