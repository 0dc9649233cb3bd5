"""What the picture of the whole system shows, read from its panels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgba
from matplotlib.quiver import Quiver

from monai_levelset.levelset import deep_level_set
from monai_levelset.networks import DeepLevelSetNetwork
from monai_levelset.report import DeepLevelSetCase, click_figure, save_figure
from monai_levelset.report.click_figure import _columns
from monai_levelset.report.drawing import INITIAL, PREDICTION, TRUTH

SIDE = 40
Y, X = np.mgrid[:SIDE, :SIDE]
RADIUS = np.hypot(Y - 19.0, X - 21.0)
POINTS = np.array([[7.0, 21.0], [31.0, 21.0], [19.0, 9.0], [19.0, 33.0]])
STEPS = ["φ₁", "φ₂", "φ₃, the result"]
ALL = [
    "image, clicks and truth",
    "heat map of the clicks",
    "confidence map",
    "φ₀, signed distance",
    "motion of the contour, −V",
    "modulation g",
    "probability P of the object",
    *STEPS,
]


def made(**changes: Any) -> DeepLevelSetCase:
    """Circles that shrink onto the truth of radius 12."""
    maps = dict.fromkeys(("heatmap", "confidence", "modulation", "probability"), np.full((SIDE, SIDE), 0.5))
    case = DeepLevelSetCase(
        np.zeros((SIDE, SIDE)),
        RADIUS < 12,
        POINTS,
        np.stack([r - RADIUS for r in (17.0, 15.0, 13.0, 12.0)]),
        maps,
        np.stack([np.ones((SIDE, SIDE)), np.zeros((SIDE, SIDE))]),
    )
    return replace(case, **changes)


def titles(case: DeepLevelSetCase) -> list[str]:
    return [axes.get_title() for axes in click_figure(case).axes]


def panel(case: DeepLevelSetCase, title: str) -> Axes:
    return next(axes for axes in click_figure(case).axes if axes.get_title() == title)


def radii(axes: Axes, colour: str) -> np.ndarray:
    """Distance of the contour of this colour from the circles' centre."""
    lines = [c for c in axes.collections if len(c.get_edgecolor()) and _is(c.get_edgecolor()[0], colour)]
    vertices = np.concatenate([path.vertices for line in lines for path in line.get_paths()])
    return np.hypot(vertices[:, 1] - 19, vertices[:, 0] - 21)


def _is(found: Any, colour: str) -> bool:
    return to_hex(found) == to_hex(colour)


def test_every_map_and_step_has_its_panel_in_order() -> None:
    assert titles(made()) == ALL


def test_maps_that_are_not_there_have_no_panel() -> None:
    assert titles(made(maps={})) == [ALL[0], ALL[3], ALL[4], *STEPS]
    assert titles(made(maps={}, motion=None)) == [ALL[0], ALL[3], *STEPS]
    assert titles(made(maps={"own": np.eye(SIDE)}, motion=None)) == [ALL[0], ALL[3], "own", *STEPS]
    mask = made(maps={}, motion=None, phis=made().phis[:1])
    assert titles(mask) == [ALL[0], "logit of the mask", "mask, the result"]
    assert titles(replace(mask, motion=made().motion))[-1] == "φ₀, the result"


@pytest.mark.parametrize(("panels", "columns"), [(3, 3), (6, 6), (8, 4), (10, 5), (11, 6), (12, 6), (13, 5)])
def test_places_stay_empty_only_where_they_must(panels: int, columns: int) -> None:
    assert _columns(panels) == columns


def test_contours_lie_where_phi_crosses_zero() -> None:
    for title, radius in zip(STEPS, (15, 13, 12), strict=True):
        axes = panel(made(), title)
        np.testing.assert_allclose(radii(axes, PREDICTION), radius, atol=0.03)
        np.testing.assert_allclose(radii(axes, INITIAL), 17, atol=0.03)
        np.testing.assert_allclose(radii(axes, TRUTH), 12, atol=0.8)
    start = panel(made(), ALL[3])
    np.testing.assert_allclose(radii(start, INITIAL), 17, atol=0.03)
    low, high = start.images[0].get_clim()
    assert high == -low == pytest.approx(np.abs(made().phis[0]).max())


def test_the_dice_of_every_step_stands_in_its_corner() -> None:
    case = made()
    notes = [panel(case, title).texts[0].get_text() for title in STEPS]
    truth = case.truth
    dice = [2 * (truth & (phi > 0)).sum() / (truth.sum() + (phi > 0).sum()) for phi in case.phis[1:]]
    assert notes == [f"Dice {value:.3f}" for value in dice]
    assert notes[-1] == "Dice 1.000"


def test_clicks_are_drawn_where_they_are_and_missing_ones_are_told() -> None:
    (dots,) = panel(made(), ALL[0]).collections[-1:]
    assert np.asarray(dots.get_offsets()).tolist() == POINTS[:, ::-1].tolist()
    some = POINTS.copy()
    some[1], some[3, 0] = np.nan, np.nan
    axes = panel(made(points=some), "image, 2 of 4 clicks and truth")
    assert np.asarray(axes.collections[-1].get_offsets()).tolist() == [[21, 7], [9, 19]]
    assert titles(made(points=np.full((4, 2), np.nan)))[0] == "image, 0 of 4 clicks and truth"


@pytest.mark.parametrize("field", [(1.0, 0.0), (0.0, -1.5), (-0.5, 0.5)])
def test_arrows_point_where_the_level_set_moves(field: tuple[float, float]) -> None:
    motion = np.broadcast_to(np.array(field)[:, None, None], (2, SIDE, SIDE))
    (arrows,) = [c for c in panel(made(motion=motion), ALL[4]).collections if isinstance(c, Quiver)]
    assert np.allclose(arrows.U, -field[1])
    assert np.allclose(arrows.V, -field[0])
    assert (arrows.angles, arrows.scale_units) == ("xy", "xy")
    assert arrows.scale == pytest.approx(np.hypot(*field) / 3)  # as long as the 3 pixels between them
    phi = torch.from_numpy(10 - RADIUS)[None, None]
    moved = deep_level_set(phi, torch.from_numpy(motion.copy())[None], torch.zeros_like(phi), steps=2, dt=1.0)
    centre = np.argwhere(moved.phi[0, 0].numpy() > 0).mean(axis=0)
    np.testing.assert_allclose(centre - (19, 21), -2 * np.array(field), atol=0.3)


def test_arrows_far_longer_than_the_others_are_cut() -> None:
    motion = made().motion
    assert motion is not None
    motion[:, 1, 1] = 1000
    (arrows,) = [c for c in panel(made(motion=motion), ALL[4]).collections if isinstance(c, Quiver)]
    assert np.hypot(arrows.U, arrows.V).max() == pytest.approx(1)


def test_constant_maps_and_level_sets_without_a_contour_are_drawn(tmp_path: Path) -> None:
    zero = np.zeros((SIDE, SIDE))
    case = made(
        maps=dict.fromkeys(made().maps, zero),
        motion=np.zeros((2, SIDE, SIDE)),
        phis=np.zeros((3, SIDE, SIDE)),
        truth=zero,
        image=np.zeros((SIDE, SIDE, 3)),
    )
    assert save_figure(click_figure(case), tmp_path / "a.png", dpi=50).stat().st_size > 1000


def test_panels_are_not_torn_apart_by_the_scale(tmp_path: Path) -> None:
    """All panels are equally large: scales of colours lie within them."""
    figure = click_figure(made())
    save_figure(figure, tmp_path / "a.png", dpi=50)
    sizes = [axes.get_window_extent().size for axes in figure.axes]
    np.testing.assert_allclose(sizes, np.broadcast_to(sizes[0], (len(sizes), 2)), rtol=0.02)


def test_start_is_yellow_truth_blue_result_red_in_the_legend() -> None:
    (legend,) = click_figure(made()).legends
    lines = zip(legend.get_texts(), legend.get_lines(), strict=True)
    colours = {text.get_text(): to_rgba(line.get_color()) for text, line in lines}
    assert colours == {
        "start": to_rgba(INITIAL),
        "ground truth": to_rgba(TRUTH),
        "result": to_rgba(PREDICTION),
    }


@pytest.mark.parametrize(
    ("options", "channels", "expected"),
    [
        ({}, 5, ALL[:7]),
        ({"probability": False}, 4, [ALL[0], ALL[1], *ALL[3:6]]),
        ({"probability": False, "evolution": False}, 4, [ALL[0], ALL[1], "logit of the mask"]),
        ({"evolution": False}, 3, [ALL[0], "logit of the mask", ALL[6]]),
    ],
)
def test_figure_of_a_network(options: dict[str, Any], channels: int, expected: list[str]) -> None:
    torch.manual_seed(0)
    network = DeepLevelSetNetwork(channels, "resnet18", width=0.125, skip_channels=8, steps=2, **options)
    network.train()
    x = torch.rand(channels, 24, 32)
    case = DeepLevelSetCase.from_network(network, x, torch.ones(1, 24, 32), torch.from_numpy(POINTS))
    results = ["mask, the result"] if options.get("evolution") is False else ["φ₁", "φ₂, the result"]
    assert titles(case) == expected + results
    assert network.training
    maps = network.eval().maps(x[None])
    np.testing.assert_allclose(case.phis[-1], maps.phi[0, 0].detach().numpy(), atol=1e-5)
    for name, channel in zip(("heatmap", "confidence"), x[3:], strict=False):
        np.testing.assert_array_equal(case.maps[name], channel.numpy())
    np.testing.assert_array_equal(case.image, np.moveaxis(x[:3].numpy(), 0, -1))


def test_image_of_a_network_input() -> None:
    network = DeepLevelSetNetwork(3, "resnet18", width=0.125, skip_channels=8, steps=1)
    x = torch.rand(3, 24, 24)
    truth = torch.ones(24, 24)
    grey = DeepLevelSetCase.from_network(network, x, truth, POINTS, image_channels=1)
    np.testing.assert_array_equal(grey.image, x[0].numpy())
    np.testing.assert_array_equal(grey.maps["confidence"], x[2].numpy())
    normalised = DeepLevelSetCase.from_network(network, (x - 0.45) / 0.22, truth, POINTS).image
    assert (normalised.min(), normalised.max()) == (0, 1)
    np.testing.assert_allclose(normalised, np.moveaxis(x.numpy(), 0, -1), atol=0.03)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"truth": np.zeros((2, 2, 2))}, "`truth` must be a mask"),
        ({"image": np.zeros((SIDE, SIDE, 4))}, "`image` must be .* for a colour image"),
        ({"points": np.zeros((2, 4))}, r"`points` must have shape \(4, 2\), got \(2, 4\)"),
        ({"phis": np.zeros((SIDE, SIDE))}, r"`phis` must be \(T \+ 1"),
        ({"phis": np.zeros((0, SIDE, SIDE))}, r"`phis` must be \(T \+ 1"),
        ({"phis": np.zeros((3, SIDE, 2))}, r"`phis` must have shape \(3, 40, 40\)"),
        ({"phis": np.full((3, SIDE, SIDE), np.nan)}, "`phis` must be finite"),
        ({"maps": {"heatmap": np.zeros((1, SIDE, SIDE))}}, r"`maps\['heatmap'\]` must have shape \(40, 40\)"),
        ({"motion": np.zeros((SIDE, SIDE))}, r"`motion` must have shape \(2, 40, 40\)"),
    ],
)
def test_shapes_that_do_not_fit(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made(**changes)


def test_network_inputs_that_do_not_fit() -> None:
    network = DeepLevelSetNetwork(3, "resnet18", width=0.125, skip_channels=8)
    with pytest.raises(ValueError, match=r"`x` must be one input \(C, H, W\)"):
        DeepLevelSetCase.from_network(network, torch.zeros(1, 3, 9, 9), torch.zeros(9, 9), POINTS)
    for count in (0, 4):
        with pytest.raises(ValueError, match="`image_channels` must be from 1 to the 3"):
            DeepLevelSetCase.from_network(
                network, torch.zeros(3, 9, 9), torch.zeros(9, 9), POINTS, image_channels=count
            )
    with pytest.raises(ValueError, match="`channels` names 2 maps, but `x` has 3 channels after"):
        DeepLevelSetCase.from_network(network, torch.zeros(6, 9, 9), torch.zeros(9, 9), POINTS)
