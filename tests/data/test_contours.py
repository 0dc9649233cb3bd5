from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_levelset.data import DataError
from monai_levelset.data.contours import contour_to_mask, read_contour


def test_triangle_by_hand() -> None:
    # corners (x, y) = (1, 1), (5, 1), (1, 4): pixel centres on the border belong to it
    mask = contour_to_mask(np.array([[1.0, 1.0], [5.0, 1.0], [1.0, 4.0]]), (6, 7))
    expected = [
        "0000000",
        "0111110",
        "0111000",
        "0110000",
        "0100000",
        "0000000",
    ]
    assert ["".join(map(str, row)) for row in mask] == expected


@given(st.floats(2, 9), st.floats(12, 20), st.floats(1, 8))
def test_disk_holds_the_pixels_whose_centre_is_inside(x: float, y: float, radius: float) -> None:
    angles = np.linspace(0, 2 * np.pi, 2000, endpoint=False)
    points = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], 1)
    rows, columns = np.mgrid[:30, :14]
    distance = np.hypot(columns - x, rows - y)
    mask = contour_to_mask(points, (30, 14))
    sure = np.abs(distance - radius) > 1e-3
    np.testing.assert_array_equal(mask[sure], (distance < radius)[sure])


def test_reading_keeps_decimals_and_skips_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "c.txt"
    path.write_text("120.50 137.00 \r\n121.25 137.00\r\n121.25 140.5\r\n\r\n")
    np.testing.assert_array_equal(read_contour(path), [[120.5, 137], [121.25, 137], [121.25, 140.5]])


@pytest.mark.parametrize(
    "text",
    ["", "1 2\n3 4\n", "1 2\n3\n5 6\n", "a b\nc d\ne f\n", "1 2 3\n4 5 6\n7 8 9\n", "1 2\n3 nan\n5 6\n"],
)
def test_bad_contours_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.txt").write_text(text)
    with pytest.raises(DataError, match=r"c\.txt"):
        read_contour(tmp_path / "c.txt")
    with pytest.raises(DataError, match=r"gone\.txt: the contour file does not exist"):
        read_contour(tmp_path / "gone.txt")
