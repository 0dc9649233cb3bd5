"""The reason of an error stands last, after what was printed before."""

from __future__ import annotations

import sys

import pytest

from monai_levelset.data import DataError, show_reason_last


def test_the_reason_follows_what_the_hook_of_before_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: told.append(str(error)))
    show_reason_last()
    show_reason_last()  # two workflows in one session
    wrapped = RuntimeError("Failed to instantiate component 'a'")
    wrapped.__cause__ = DataError("a.png: missing")
    sys.excepthook(RuntimeError, wrapped, None)
    assert told == ["Failed to instantiate component 'a'"]
    assert capsys.readouterr().err == "error: a.png: missing\n"


def test_ctrl_c_has_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "excepthook", lambda *arguments: pytest.fail("no traceback"))
    show_reason_last()
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert capsys.readouterr().err == "error: interrupted\n"
