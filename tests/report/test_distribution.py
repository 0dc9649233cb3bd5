"""The spread of a metric as a picture."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from monai_levelset.report.distribution import distribution_svg


def elements(picture: str, tag: str) -> list[ET.Element]:
    return list(ET.fromstring(picture).iter(tag))


def test_dots_lie_where_the_values_are() -> None:
    picture = distribution_svg({"a": 0.0, "b": 1.0, "c": 0.25}, "Dice", bounds=(0, 1))
    places = {dot[0].text: float(dot.attrib["cx"]) for dot in elements(picture, "circle")}
    assert places == {"a: 0": 20.0, "c: 0.25": 170.0, "b: 1": 620.0}
    box = elements(picture, "rect")[0].attrib  # quartiles .125 and .625
    assert (float(box["x"]), float(box["width"])) == (95.0, 300.0)


def test_values_beyond_the_ends_widen_the_axis() -> None:
    labels = [
        text.text for text in elements(distribution_svg({"a": 4.0, "b": 8.0}, "x", bounds=(0, 0)), "text")
    ]
    assert labels == ["0", "2", "4", "6", "8"]
    assert len(elements(distribution_svg({"a": 3.0}, "x", bounds=(3, 3)), "circle")) == 1


def test_what_it_shows_is_told_in_words() -> None:
    picture = distribution_svg({"<1>": 1.0, "2": 2.0, "3": 3.0}, "HD & more", bounds=(0, 0))
    root = ET.fromstring(picture)
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == (
        "HD & more of 3 cases: median 2.000, quartiles 1.500 and 2.500, from 1.000 to 3.000"
    )


def test_no_value() -> None:
    with pytest.raises(ValueError, match="no value to draw"):
        distribution_svg({}, "Dice", bounds=(0, 1))
