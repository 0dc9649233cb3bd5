from __future__ import annotations

import json
from pathlib import Path

import pytest

from monai_levelset.report import atomic_path, write_json, write_text


def test_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    write_text(target, "old")

    def fail() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        fail()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_nothing_is_seen_under_the_name_before_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.txt"
    with atomic_path(target) as temporary:
        temporary.write_text("whole")
        assert temporary.parent == target.parent
        assert not target.exists()
    assert target.read_text() == "whole"


def test_json_refuses_nan_and_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "summary.json"
    write_json(target, {"dice": 0.5, "name": "Säge"})
    with pytest.raises(ValueError, match="JSON"):
        write_json(target, {"dice": float("nan")})
    assert json.loads(target.read_text(encoding="utf-8")) == {"dice": 0.5, "name": "Säge"}
    assert list(tmp_path.iterdir()) == [target]
