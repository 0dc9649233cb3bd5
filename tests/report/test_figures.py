"""The pictures are drawn for real and their pixels are looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from monai_levelset.report import (
    ModelRow,
    Panel,
    choose_cases,
    convergence_figure,
    middle_panel,
    model_figure,
    overlay_figure,
    save_figure,
    training_curves,
)
from monai_levelset.report.drawing import INITIAL, PREDICTION, TRUTH, draw_panel, zoom

SIDE = 40
Y, X = np.mgrid[:SIDE, :SIDE]


def disc(row: float, column: float, radius: float) -> np.ndarray:
    return np.hypot(Y - row, X - column) < radius


def canvas(panel: Panel, tmp_path: Path, window: tuple[slice, slice] | None = None) -> np.ndarray:
    """The panel alone, 10 dots per pixel: pixel (r, c) has its centre at dot (10 r + 5, 10 c + 5)."""
    figure = Figure(figsize=(4, 4))
    draw_panel(figure.add_axes((0, 0, 1, 1)), panel, window)
    return picture(figure, tmp_path, dpi=100)


def picture(figure: Figure, tmp_path: Path, dpi: int = 100) -> np.ndarray:
    with Image.open(save_figure(figure, tmp_path / "figure.png", dpi=dpi)) as image:
        return np.asarray(image.convert("RGB")).astype(float) / 255


def dots(image: np.ndarray, colour: str) -> np.ndarray:
    """Rows and columns of the dots of this colour."""
    return np.argwhere(np.abs(image - to_rgb(colour)).max(axis=-1) < 0.3)


def test_contours_lie_on_the_mask_boundaries(tmp_path: Path) -> None:
    truth, prediction = disc(15, 14, 8), disc(24, 25, 10)
    image = canvas(Panel(np.full((SIDE, SIDE), 0.0), {TRUTH: truth, PREDICTION: prediction}), tmp_path)
    for colour, (row, column, radius) in {TRUTH: (15, 14, 8), PREDICTION: (24, 25, 10)}.items():
        found = (dots(image, colour) - 4.5) / 10
        distance = np.hypot(found[:, 0] - row, found[:, 1] - column)
        assert len(found) > 100
        assert np.abs(distance - radius).max() < 1.3
        angles = np.degrees(np.arctan2(found[:, 0] - row, found[:, 1] - column))
        assert len(np.unique(np.round(angles / 30))) >= 10


def test_square_boundary_runs_between_the_pixels(tmp_path: Path) -> None:
    mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
    mask[10:20, 5:30] = 1
    found = (dots(canvas(Panel(None, {TRUTH: mask}), tmp_path), TRUTH) - 4.5) / 10
    assert found.min(axis=0) == pytest.approx([9.5, 4.5], abs=0.2)
    assert found.max(axis=0) == pytest.approx([19.5, 29.5], abs=0.2)


def test_every_structure_of_a_label_map_has_its_contour(tmp_path: Path) -> None:
    labels = disc(19.5, 19.5, 15).astype(int) + disc(19.5, 19.5, 5)
    found = (dots(canvas(Panel(None, {TRUTH: labels}), tmp_path), TRUTH) - 4.5) / 10
    radii = np.hypot(*(found - 19.5).T)
    assert ((radii > 13.5) & (radii < 16)).sum() > 100
    assert ((radii > 4) & (radii < 6)).sum() > 40
    assert not ((radii > 6.5) & (radii < 13)).any()


def test_level_set_is_drawn_at_its_zero_contour(tmp_path: Path) -> None:
    phi = 12.25 - np.hypot(Y - 19.5, X - 19.5)
    found = (dots(canvas(Panel(None, {INITIAL: phi}), tmp_path), INITIAL) - 4.5) / 10
    assert np.abs(np.hypot(*(found - 19.5).T) - 12.25).max() < 0.25


def test_image_is_under_the_contours_and_the_window_crops(tmp_path: Path) -> None:
    image = np.zeros((SIDE, SIDE))
    image[:, 20:] = 1
    drawn = canvas(Panel(image, {TRUTH: disc(0, 0, 0)}), tmp_path)
    assert drawn[200, 100] == pytest.approx([0, 0, 0], abs=0.02)
    assert drawn[200, 300] == pytest.approx([1, 1, 1], abs=0.02)
    cropped = canvas(Panel(image, {TRUTH: disc(0, 0, 0)}), tmp_path, (slice(0, 20), slice(10, 30)))
    assert cropped[200, 150] == pytest.approx([0, 0, 0], abs=0.02)
    assert cropped[200, 250] == pytest.approx([1, 1, 1], abs=0.02)


def test_full_and_empty_masks_draw_without_a_warning(tmp_path: Path) -> None:
    full, empty = np.ones((SIDE, SIDE), dtype=bool), np.zeros((SIDE, SIDE), dtype=bool)
    image = canvas(Panel(None, {TRUTH: full, PREDICTION: empty}), tmp_path)
    assert len(dots(image, PREDICTION)) == 0
    assert {int(v) // 10 for v in dots(image, TRUTH)[:, 0]} >= {0, 39}


def test_zoom_is_square_and_stays_inside() -> None:
    rows, columns = zoom([disc(2, 38, 3), np.zeros((SIDE, SIDE), dtype=bool)], margin=0.5, least=12)
    assert (rows, columns) == (slice(0, 12), slice(28, 40))
    assert zoom([np.zeros((5, 7))]) == (slice(0, 5), slice(0, 7))


def test_middle_panel_takes_the_slice_with_the_largest_truth() -> None:
    truth = np.zeros((6, 5, 4), dtype=int)
    truth[1:3, 1:3, 1] = 1
    truth[1:5, 1:4, 2] = 1
    image = np.arange(truth.size, dtype=float).reshape(truth.shape)
    panel = middle_panel(image, truth, np.zeros_like(truth), spacing=(1.0, 2.0, 8.0))
    np.testing.assert_array_equal(panel.image, image[:, :, 2].T)
    np.testing.assert_array_equal(panel.contours[TRUTH], truth[:, :, 2].T)
    assert panel.aspect == 2.0
    only = middle_panel(None, np.zeros_like(truth), truth)
    np.testing.assert_array_equal(only.contours[PREDICTION], truth[:, :, 2].T)


def test_patient_stands_upright_whatever_the_storage_order() -> None:
    """A voxel to the patient's left and front is shown at the right and top."""
    for sign_x, sign_y in ((1, 1), (-1, 1), (1, -1), (-1, -1)):
        label = np.zeros((4, 4), dtype=int)
        label[0 if sign_x > 0 else 3, 3 if sign_y > 0 else 0] = 1
        panel = middle_panel(None, label, label, affine=np.diag([sign_x, sign_y, 1, 1]))
        assert np.argwhere(panel.contours[TRUTH]).tolist() == [[0, 3]]


def test_choose_cases() -> None:
    groups = choose_cases({str(i): i / 10 for i in range(10)}, count=2)
    assert groups == {"best": ["9", "8"], "median": ["5", "4"], "worst": ["1", "0"]}


def test_overlay_figure_wraps_and_labels(tmp_path: Path) -> None:
    panel = Panel(
        np.zeros((SIDE, SIDE)), {TRUTH: disc(20, 20, 8), PREDICTION: disc(22, 20, 8)}, "case", "0.87"
    )
    figure = overlay_figure({"all": [panel] * 5}, columns=4)
    assert len(figure.axes) == 6  # 3 + 2, not 4 + 1
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert texts.count("0.87") == 5
    assert "all" in texts
    image = picture(figure, tmp_path)
    assert len(dots(image, TRUTH)) > 200
    assert len(dots(image, PREDICTION)) > 200
    with pytest.raises(ValueError, match="no panel"):
        overlay_figure({})


def test_model_figure_shows_every_model_with_its_dice() -> None:
    truth = disc(20, 20, 8)
    row = ModelRow(
        "case 7", np.zeros((SIDE, SIDE)), truth, {"FCN": np.zeros_like(truth), "FCN-levelset": truth}
    )
    figure = model_figure([row, row])
    assert [axes.get_title() for axes in figure.axes] == ["FCN", "FCN-levelset", "", ""]
    notes = [axes.texts[0].get_text() for axes in figure.axes]
    assert notes == ["0.000", "1.000", "0.000", "1.000"]
    other = ModelRow("case 8", row.image, truth, {"FCN": truth})
    with pytest.raises(ValueError, match="same models"):
        model_figure([row, other])


def test_convergence_figure_plots_the_dice_of_every_iteration(tmp_path: Path) -> None:
    truth = disc(20, 20, 8)
    phis = [radius - np.hypot(Y - 20.0, X - 20.0) for radius in (16, 12, 8)]
    figure = convergence_figure(np.zeros((SIDE, SIDE)), truth, {"circle": phis, "map": phis[1:]}, crop=False)
    lines = figure.axes[-1].get_lines()
    expected = [2 * (truth & (phi > 0)).sum() / (truth.sum() + (phi > 0).sum()) for phi in phis]
    np.testing.assert_allclose(lines[0].get_ydata(), expected)
    np.testing.assert_allclose(lines[1].get_ydata(), expected[1:])
    image = picture(figure, tmp_path, dpi=200)
    assert len(dots(image, INITIAL)) > len(dots(image, PREDICTION)) > 100
    with pytest.raises(ValueError, match="'bad' holds a level set of shape"):
        convergence_figure(np.zeros((SIDE, SIDE)), truth, {"bad": [np.zeros((3, 3))]})
    with pytest.raises(ValueError, match="'none' holds no level set"):
        convergence_figure(np.zeros((SIDE, SIDE)), truth, {"none": []})


def test_training_curves_split_losses_from_scores(tmp_path: Path) -> None:
    file = tmp_path / "history.csv"
    file.write_text(
        "epoch,loss,supervised loss,val dice\n1,2.0,1.5,\n2,1.0,0.5,0.6\n3,0.9,0.4,0.5\n", encoding="utf-8"
    )
    losses, scores = training_curves(file).axes
    assert [line.get_label() for line in losses.get_lines()] == ["loss", "supervised loss"]
    curve, best = scores.get_lines()
    assert (list(curve.get_xdata()), list(curve.get_ydata())) == ([2, 3], [0.6, 0.5])
    assert (list(best.get_xdata()), list(best.get_ydata())) == ([2], [0.6])


@pytest.mark.parametrize("text", ["epoch,loss\n", "epoch,loss\n1,abc\n"])
def test_history_that_cannot_be_drawn(tmp_path: Path, text: str) -> None:
    file = tmp_path / "history.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"history\.csv"):
        training_curves(file)
    with pytest.raises(ValueError, match="one length"):
        training_curves({"loss": [1.0], "dice": [0.1, 0.2]})


def test_saving_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(self: Figure, path: Path, **_: object) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", half)
    with pytest.raises(OSError, match="disk full"):
        save_figure(Figure(), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_the_same_picture_has_the_same_bytes(tmp_path: Path) -> None:
    panel = Panel(np.zeros((SIDE, SIDE)), {TRUTH: disc(20, 20, 8)})
    first, second = (
        save_figure(overlay_figure({"": [panel]}), tmp_path / name) for name in ("1.png", "2.png")
    )
    assert first.read_bytes() == second.read_bytes()
