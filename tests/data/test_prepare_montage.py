"""The montage shows labels where they are, in every kind of image."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from monai_levelset.data.preparation import montage
from monai_levelset.report.drawing import PALETTE


def colours_of_lines(picture: Path) -> set[str]:
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
    panel = montage._panel("case", image, mask, {2: PALETTE[1]})
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
    assert set(PALETTE[:2]) <= colours_of_lines(out)
    panel = montage._panel(*cases[1], {})
    assert panel.image.shape == (40, 60, 3)
    assert (panel.contours, panel.note) == ({}, "no label")


def test_many_structures_become_their_boundaries(tmp_path: Path) -> None:
    label = np.repeat(np.arange(20, dtype=np.uint8), 2)[:, None].repeat(10, 1)
    panel = montage._structures(label, {})
    assert list(panel) == [PALETTE[0]]
    assert panel[PALETTE[0]].sum() == 19 * 10


def test_a_volume_with_channels(tmp_path: Path) -> None:
    values = np.zeros((8, 8, 4, 3), np.float32)
    values[..., 0] = np.arange(4)
    image = write_volume(tmp_path, values, "image.nii.gz", (1.0, 1.0, 3.0))
    panel = montage._panel("case", image, None, {})
    assert panel.image.shape == (8, 8)
    assert panel.image.max() == 2  # the middle slice of the first channel


def test_colours_are_those_of_the_legend_whatever_the_values(tmp_path: Path) -> None:
    """BraTS labels 1, 2 and 4."""
    label = np.zeros((30, 30), np.uint8)
    label[5:10, 5:25], label[12:17, 5:25], label[20:25, 5:25] = 1, 2, 4
    colours = {1: "#111111", 2: "#222222", 4: "#333333"}
    drawn = montage._structures(label, colours)
    assert {colour: label[mask].tolist() for colour, mask in drawn.items()} == {
        colour: [value] * 100 for value, colour in colours.items()
    }
    assert set(montage._structures(np.minimum(label, 2), colours)) == {"#111111", "#222222"}
    binary = np.where(label > 0, 255, 0).astype(np.uint8)
    assert {c: int(m.sum()) for c, m in montage._structures(binary, {1: "#111111"}).items()} == {
        "#111111": 300
    }
    image = write_volume(tmp_path, label[..., None].astype(np.float32), "image.nii.gz", (1.0, 1.0, 5.0))
    mask = write_volume(tmp_path, label[..., None], "label.nii.gz", (1.0, 1.0, 5.0))
    names = {"0": "background", "1": "core", "2": "oedema", "4": "enhancing"}
    out = montage.draw_montage(tmp_path / "m.png", [("a", image, mask)], names, "MRI")
    assert set(PALETTE[:3]) <= colours_of_lines(out)
    assert PALETTE[3] not in colours_of_lines(out)


def test_photographs_have_no_orange_lines(tmp_path: Path) -> None:
    Image.fromarray(np.full((40, 60, 3), (200, 90, 20), np.uint8)).save(tmp_path / "a.png")
    label = np.zeros((40, 60), np.uint8)
    label[10:30, 10:40], label[15:25, 20:30] = 1, 2
    Image.fromarray(label).save(tmp_path / "l.png")
    cases = [("a", tmp_path / "a.png", tmp_path / "l.png")]
    out = montage.draw_montage(tmp_path / "m.png", cases, {"0": "b", "1": "rim", "2": "cup"}, "RGB")
    assert colours_of_lines(out) & set(PALETTE[:-1]) == {PALETTE[0], PALETTE[2]}


@pytest.mark.parametrize(("modality", "darkest", "brightest"), [("CT", -160, 240), ("MRI", -3024, 1500)])
def test_hounsfield_units_are_shown_in_a_soft_tissue_window(
    tmp_path: Path, modality: str, darkest: float, brightest: float
) -> None:
    values = np.zeros((8, 8, 4), np.int16)
    values[0], values[1] = -3024, 1500
    image = write_volume(tmp_path, values, "image.nii.gz", (1.0, 1.0, 3.0))
    panel = montage._panel("case", image, None, {}, modality)
    assert (panel.image.min(), panel.image.max()) == (darkest, brightest)


def test_eight_bits_of_ct_stay(tmp_path: Path) -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(values).save(tmp_path / "a.png")
    panel = montage._panel("case", tmp_path / "a.png", None, {}, "CT")
    np.testing.assert_array_equal(panel.image, values)
