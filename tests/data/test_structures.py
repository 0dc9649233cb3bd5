"""One training item for each structure of an image."""

from __future__ import annotations

import pytest

from monai_levelset.data import structure_items

ITEMS = [{"id": "a", "image": "a.png", "patient": "p"}, {"id": "b", "image": "b.png", "patient": "q"}]


def test_each_structure_of_each_image_becomes_an_item() -> None:
    items = structure_items(ITEMS, {"disc": (1, 2), "cup": (2,)})
    assert [item["id"] for item in items] == ["a-disc", "a-cup", "b-disc", "b-cup"]
    assert [item["values"] for item in items] == [[1, 2], [2]] * 2
    assert {item["patient"] for item in items} == {"p", "q"}
    assert "structure" not in ITEMS[0]


def test_a_single_structure_keeps_the_names() -> None:
    assert [item["id"] for item in structure_items(ITEMS, {"prostate": [1]})] == ["a", "b"]


def test_no_structure_is_refused() -> None:
    with pytest.raises(ValueError, match="`structures` is empty"):
        structure_items(ITEMS, {})
