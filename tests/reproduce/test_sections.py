"""Predictions come back on the whole image's grid, and the score is that of the whole image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from monai_levelset.evaluation import find_bundle
from monai_levelset.reproduce.sections import Section

BUNDLE = find_bundle("lv_mri_levelset_segmentation")
SIDE, WIDTH, HEIGHT = 120, 150, 130  # network input; images, wider than high
LEFT, TOP = (WIDTH - SIDE) // 2, (HEIGHT - SIDE) // 2


@pytest.fixture(scope="module")
def section(data: Path) -> Section:
    return Section.load(BUNDLE, data, "test")


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
    section = Section.load(BUNDLE, own_data, "validation")
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


def test_refinement_sees_every_map_once_in_order() -> None:
    section = Section([], [], [], None)  # type: ignore[arg-type]
    sizes: list[int] = []

    def refine(part: Tensor) -> Tensor:
        sizes.append(len(part))
        return part + 1

    maps = torch.arange(30.0).view(30, 1, 1, 1)
    result: Any = section.refined(maps, refine)
    torch.testing.assert_close(result, maps + 1)
    assert sizes == [12, 12, 6]
