from __future__ import annotations

import csv
from pathlib import Path

import pytest

from monai_levelset.report import cases_csv, csv_table, markdown_table, write_tables

MODELS = {
    "pre-trained FCN": {
        "dice": {"mean": 0.75449, "sd": 0.01, "seeds": [0.7, 0.8]},
        "iou": {"mean": 0.6, "sd": 0.2},
    },
    "a|b": {"dice": {"mean": 1.0, "sd": 0.0}, "iou": {"mean": 1.0, "sd": 0.0}},
}
PAPER = {"pre-trained FCN": {"dice": 0.754}}


def test_markdown_rounds_and_leaves_unknown_paper_numbers_blank() -> None:
    assert markdown_table(MODELS, ["dice", "iou"], paper=PAPER).splitlines() == [
        "| model | dice | dice (paper) | iou | iou (paper) |",
        "| --- | --- | --- | --- | --- |",
        "| pre-trained FCN | 0.754 ± 0.010 | 0.754 | 0.600 ± 0.200 |  |",
        "| a\\|b | 1.000 ± 0.000 |  | 1.000 ± 0.000 |  |",
    ]


def test_without_a_paper_there_is_no_paper_column() -> None:
    assert "paper" not in markdown_table(MODELS, ["dice"])
    assert "paper" not in csv_table(MODELS, ["dice"])


def test_csv_keeps_full_precision() -> None:
    first, second = csv.DictReader(csv_table(MODELS, ["dice"], paper=PAPER).splitlines())
    assert float(first["dice_mean"]) == 0.75449
    assert (first["dice_paper"], second["dice_paper"]) == ("0.754", "")


def test_a_missing_metric_is_an_error() -> None:
    with pytest.raises(KeyError, match="hd95"):
        markdown_table(MODELS, ["hd95"])


def test_write_tables(tmp_path: Path) -> None:
    markdown, table = write_tables(tmp_path / "out", MODELS, ["dice"], paper=PAPER, digits=2)
    assert "0.75 ± 0.01" in markdown.read_text(encoding="utf-8")
    assert table.read_text(encoding="utf-8") == csv_table(MODELS, ["dice"], paper=PAPER)


def test_cases_csv_quotes_names() -> None:
    assert next(csv.DictReader(cases_csv([{"id": "a, b", "dice": 0.1}]).splitlines()))["id"] == "a, b"
