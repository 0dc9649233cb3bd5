"""Predictions come back on the whole image's grid, and the score is that of the whole image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from monai_levelset.reproduce.parts import find_parts
from monai_levelset.reproduce.sections import Section
from monai_levelset.reproduce.targets import find_target
from monai_levelset.transforms import LevelSetRefinement

LEFT_VENTRICLE = find_target("tang2017-lv")
SIDE, WIDTH, HEIGHT = 120, 150, 130  # network input; images, wider than high
LEFT, TOP = (WIDTH - SIDE) // 2, (HEIGHT - SIDE) // 2


@pytest.fixture(scope="module")
def section(data: Path) -> Section:
    return Section.load(LEFT_VENTRICLE, data, "test")


def test_the_crop_is_the_centre_with_axes_x_y(section: Section, data: Path) -> None:
    assert [item["patient"] for item in section.items] == ["SC-N-06", "SC-N-06", "SC-N-07", "SC-N-07"]
    for item, image, label in zip(section.items, section.images, section.labels, strict=True):
        stored = np.asarray(Image.open(data / "images" / f"{item['id']}.png"), dtype=float).T
        assert image.shape == (1, SIDE, SIDE)
        centre = stored[LEFT : LEFT + SIDE, TOP : TOP + SIDE]
        assert np.corrcoef(np.asarray(image[0]).ravel(), centre.ravel())[0, 1] > 0.999
        truth = np.asarray(Image.open(data / "endocardium" / f"{item['id']}.png")).T > 127
        np.testing.assert_array_equal(label, truth)


def test_masks_are_pasted_back_where_they_were_cut(section: Section) -> None:
    masks = torch.zeros(4, 1, SIDE, SIDE)
    masks[0, 0, 0, 0] = masks[0, 0, 119, 10] = 1
    masks[1] = 1
    whole = section.whole(masks)
    assert [mask.shape for mask in whole] == [(WIDTH, HEIGHT)] * 4
    assert np.argwhere(whole[0]).tolist() == [[LEFT, TOP], [LEFT + 119, TOP + 10]]
    expected = np.zeros((WIDTH, HEIGHT), bool)
    expected[LEFT : LEFT + SIDE, TOP : TOP + SIDE] = True
    np.testing.assert_array_equal(whole[1], expected)
    assert not whole[2].any()


def test_an_image_smaller_than_the_crop_gets_its_part_of_the_mask(own_data: Path) -> None:
    for folder in ("images", "endocardium"):
        path = own_data / folder / "SC-N-05-IM-0001-0008.png"
        Image.open(path).crop((30, 30, 130, 120)).save(path)  # 100 wide, 90 high
    section = Section.load(LEFT_VENTRICLE, own_data, "validation")
    masks = torch.zeros(2, 1, SIDE, SIDE)
    masks[0, 0, 10, 15] = 1  # 10 columns and 15 rows of padding on each side
    masks[0, 0, 5, 60] = 1  # in the padding
    (small, _) = section.whole(masks)
    assert small.shape == (100, 90)
    assert np.argwhere(small).tolist() == [[0, 0]]


def test_scores_are_those_of_whole_images(section: Section) -> None:
    masks = [label.copy() for label in section.labels]
    masks[1] = np.zeros_like(masks[1])
    masks[2] = np.roll(masks[2], 9, axis=0)
    shared = (masks[2] & section.labels[2]).sum()
    shifted = 2 * shared / (masks[2].sum() + section.labels[2].sum())
    result = section.score(masks)
    assert [case["dice"] for case in result["cases"]] == pytest.approx([1, 0, shifted, 1])
    assert result["mean"]["dice"] == pytest.approx((1 + 0 + shifted + 1) / 4)
    assert result["mean"]["iou"] == pytest.approx((1 + 0 + shifted / (2 - shifted) + 1) / 4)
    assert result["missed"] == 1
    patients = result["patients"]
    assert [p["dice"] for p in patients["cases"]] == pytest.approx([0.5, (shifted + 1) / 2])


class Brightness(nn.Module):
    """Log odds that are ten times the pixel's value."""

    def forward(self, image: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(image), 10 * image], 1)


def test_probabilities_are_those_of_the_foreground(section: Section) -> None:
    maps = section.probabilities(Brightness())
    images = torch.stack([torch.as_tensor(np.asarray(image)) for image in section.images])
    assert type(maps) is Tensor
    torch.testing.assert_close(maps, torch.sigmoid(10 * images))


def test_refinement_sees_every_map_once_in_order_with_its_image() -> None:
    images = list(torch.arange(30.0).view(30, 1, 1, 1) ** 2)
    section = Section([], images, [], None)  # type: ignore[arg-type]
    sizes: list[int] = []

    def refine(part: Tensor, image: Tensor) -> Tensor:
        torch.testing.assert_close(image, part**2)
        sizes.append(len(part))
        return part + 1

    maps = torch.arange(30.0).view(30, 1, 1, 1)
    torch.testing.assert_close(section.refined(maps, refine), maps + 1)
    assert sizes == [12, 12, 6]


def test_edges_of_the_preprocessed_image_hold_the_contour(section: Section) -> None:
    """The image's edge is where b is small, so the curvature's pull is weak there and only there."""
    maps = torch.full((4, 1, SIDE, SIDE), 0.1)
    maps[..., 40:80, 40:80] = 0.9
    settings: dict[str, Any] = {"region_weight": 0.02, "curvature_weight": 0.8, "steps": 20}
    free = LevelSetRefinement(**settings)
    held = LevelSetRefinement(**settings, edge_contrast=0.5)
    got = section.refined(maps, held)
    for i in range(4):
        torch.testing.assert_close(got[i : i + 1], held(maps[i : i + 1], section.batch()[i : i + 1]))
    assert (got != section.refined(maps, free)).any()


def test_resampled_maps_are_interpolated_before_the_threshold(liver_data: Callable[..., Path]) -> None:
    """Half planes at 2.667 pixels per network pixel come back with an edge between the image's pixels.

    The network's second axis is the picture's x.
    """
    liver = find_target("tang2017-liver")
    data = find_parts(liver, liver_data("train", "val", "test"), liver_data("test").parent).folder
    section = Section.load(liver, data, "test")
    shape = tuple(section.images[0].shape[1:])
    assert [image.shape for image in section.images] == [(1, *shape)] * 2
    assert {label.shape for label in section.labels} == {(48, 48)}
    centre = (torch.arange(shape[1]) + 0.5 - shape[1] / 2) / 4
    maps = torch.sigmoid(centre.expand(1, *shape)).repeat(2, 1, 1, 1)
    (first, _) = section.whole(maps)
    assert first.shape == (48, 48)
    np.testing.assert_array_equal(first, np.broadcast_to((np.arange(48) >= 24)[:, None], (48, 48)))
