"""Classes of size, by hand."""

from __future__ import annotations

import numpy as np

from monai_levelset.reproduce.sizes import by_size, size_names


def part(pixels: int) -> np.ndarray:
    """A 20 x 50 truth of so many pixels, thousandths of the image."""
    return (np.arange(1000) < pixels).reshape(20, 50)


def test_an_object_exactly_at_a_limit_is_between_the_limits() -> None:
    labels = [part(n) for n in (0, 19, 20, 21, 60, 61, 1000)]
    assert by_size(labels, (0.02, 0.06)) == {"< 2 %": [0, 1], "2-6 %": [2, 3, 4], "> 6 %": [5, 6]}


def test_the_part_is_that_of_each_image() -> None:
    wide = np.zeros((40, 50), bool)
    wide[0, :50] = True  # 50 of 2000
    assert by_size([part(50), wide], (0.03,)) == {"< 3 %": [1], "> 3 %": [0]}


def test_classes_without_image_are_left_out() -> None:
    assert by_size([part(500)], (0.02, 0.06)) == {"> 6 %": [0]}


def test_names() -> None:
    assert size_names((0.005, 0.02, 0.06)) == ["< 0.5 %", "0.5-2 %", "2-6 %", "> 6 %"]
