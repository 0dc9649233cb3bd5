from __future__ import annotations

import base64
from html.parser import HTMLParser
from pathlib import Path

from monai_levelset.metrics import summarize
from monai_levelset.report import html_report

ROWS = [
    {"id": "a", "dice": 0.123456789, "hd95": 3.5, "missed": 0},
    {"id": "<b>&", "dice": 0.0, "hd95": 99.0, "missed": 1},
]


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str]] = []
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, key, value or "") for key, value in attrs]
        if tag not in ("meta", "img"):
            self.open.append(tag)
        if tag == "tr" and "tbody" in self.open:
            self.rows.append([])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "td":
            self.rows[-1].append(data)


def test_a_row_per_case_and_well_formed() -> None:
    page = Page(html_report(summarize(ROWS)))
    assert page.open == []
    cases = [row for row in page.rows if row[0] in ("a", "<b>&")]
    assert cases == [["a", "0.1235", "3.5000", "0"], ["<b>&", "0.0000", "99.0000", "1"]]
    assert [value for _, key, value in page.attributes if key == "data-value"] == [
        "0.123456789",
        "3.5",
        "0.0",
        "99.0",
    ]


def test_nothing_comes_from_elsewhere(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"\x89PNG")
    text = html_report(
        summarize(ROWS) | {"command": "run <this>", "versions": {"monai": "1"}}, picture=picture
    )
    sources = [value for _, key, value in Page(text).attributes if key in ("src", "href", "srcset", "action")]
    assert sources == ["data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()]
    assert "http" not in text
    assert "@import" not in text
    assert "url(" not in text
    assert "run &lt;this&gt;" in text
    assert "width=device-width" in text


def test_headings_sort_and_carry_the_unit() -> None:
    text = html_report(summarize(ROWS) | {"unit": "pixels"})
    assert text.count('<button type="button">') == len(ROWS[0])
    assert "HD95 (pixels)" in text
    assert "HD95 (mm)" in html_report(summarize(ROWS))


def test_missed_cases_are_marked_and_extra_predictions_named() -> None:
    text = html_report(summarize(ROWS) | {"extra": ["z<"]})
    assert text.count('<tr class="missed">') == 1
    assert "not scored: z&lt;" in text


def test_the_volume_difference_always_carries_its_sign_and_is_explained() -> None:
    rows = [{"id": "a", "rvd": 0.25, "hd": 3.0}, {"id": "b", "rvd": -0.5, "hd": 1.0}]
    text = html_report(summarize(rows))
    cells = [row[1:] for row in Page(text).rows if row[0] in ("a", "b")]
    assert cells == [["+0.2500", "3.0000"], ["-0.5000", "1.0000"]]
    assert ["RVD", "-0.1250", "0.5303"] in Page(text).rows
    assert "HD (mm)" in text
    assert "is signed" in text
    assert "is signed" not in html_report(summarize(ROWS))
