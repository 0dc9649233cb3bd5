"""The command line: options become typed arguments, mistakes become short messages and exit codes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest

from monai_levelset import __version__, cli

REAL_COMMANDS = dict(cli.COMMANDS)
CALLS: list[dict[str, Any]] = []


def command(
    source: str | Path,
    *,
    out: Path | None = None,
    cases: int = 3,
    spacing: Sequence[float] | None = None,
    by: Literal["patient", "image"] = "patient",
) -> dict[str, Any]:
    """Do something with a folder.

    Args:
        source: where the data is.
        out: where the result goes.
        cases: how many.
        spacing: voxel size.
        by: the unit.
    """
    CALLS.append({"source": source, "out": out, "cases": cases, "spacing": spacing, "by": by})
    return {"printed": "never"}


def failing(kind: str) -> None:
    """Fail as asked."""
    raise {
        "value": ValueError("a.png: is empty; export it again"),
        "missing": FileNotFoundError("x.nii.gz does not exist; check --images"),
        "permission": PermissionError(13, "Permission denied", "out.csv"),
        "interrupt": KeyboardInterrupt(),
        "bug": KeyError("oops"),
    }[kind]


@pytest.fixture(autouse=True)
def commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the real commands by the two above."""
    CALLS.clear()
    monkeypatch.delenv("MONAI_LEVELSET_DEBUG", raising=False)
    monkeypatch.setitem(sys.modules, "fake_commands", SimpleNamespace(command=command, failing=failing))
    monkeypatch.setattr(
        cli,
        "COMMANDS",
        {
            "work": ("fake_commands:command", "work on a folder"),
            "fail": ("fake_commands:failing", "fail as asked"),
            "absent": ("monai_levelset_absent:command", "never imported unless asked for"),
        },
    )


def test_options_become_typed_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["work", "images", "--out", "o", "--cases", "5", "--spacing", "1.5,2", "--by=image"]) == 0
    assert CALLS == [{"source": "images", "out": "o", "cases": 5, "spacing": (1.5, 2), "by": "image"}]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["007", "1e3", "2024-01-01", "None", "[1]", "0x10", "a,b", "a b", "x=1"])
def test_names_that_look_like_python_stay_names(name: str) -> None:
    assert cli.main(["work", name, "--out", name]) == 0
    assert CALLS[0]["source"] == name
    assert CALLS[0]["out"] == name


@pytest.mark.parametrize(
    "words",
    [
        ["work"],  # the required argument is missing
        ["work", "images", "--case", "5"],  # misspelt
        ["work", "images", "left-over"],
        ["unknown"],
        [],
    ],
)
def test_a_wrong_command_line_is_refused_before_anything_runs(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    assert CALLS == []
    shown = capsys.readouterr().err
    assert "Traceback" not in shown
    assert "group" not in shown  # Fire's own attributes are no subcommands


def test_an_option_without_its_value_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["work", "images", "--out"]) == 1
    assert CALLS == []
    assert capsys.readouterr().err == "error: --out needs a value\n"


@pytest.mark.parametrize(
    ("kind", "code", "message"),
    [
        ("value", 1, "error: a.png: is empty; export it again\n"),
        ("missing", 1, "error: x.nii.gz does not exist; check --images\n"),
        ("permission", 1, "error: [Errno 13] Permission denied: 'out.csv'\n"),
        ("interrupt", 130, "error: interrupted\n"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(
    kind: str, code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["fail", kind]) == code
    assert capsys.readouterr() == ("", message)


def test_debug_shows_where_a_mistake_was_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONAI_LEVELSET_DEBUG", "1")
    with pytest.raises(ValueError, match="is empty"):
        cli.main(["fail", "value"])


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(KeyError):
        cli.main(["fail", "bug"])


def test_help_of_a_command_shows_its_docstring(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["work", "--help"]) == 0
    shown = "".join(capsys.readouterr())
    for text in ("Do something with a folder.", "where the data is", "--cases", "monai-levelset work"):
        assert text in shown
    assert CALLS == []


def test_overview_lists_every_command_without_importing_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    for name, (_, summary) in cli.COMMANDS.items():
        assert name in shown
        assert summary in shown


def _process(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "monai_levelset.cli", *words], capture_output=True, text=True, check=False
    )


def test_version_as_a_process_names_what_matters() -> None:
    done = _process("--version")
    assert done.returncode == 0
    assert done.stdout.startswith(f"monai-levelset {__version__} (monai ")
    assert f"Python {sys.version.split()[0]}" in done.stdout


def test_exit_code_of_a_process() -> None:
    done = _process("fhantom")
    assert done.returncode == 2
    assert done.stderr.startswith("error: unknown command 'fhantom'; choose from phantom, ")


def test_the_overview_needs_no_heavy_import() -> None:
    program = "import sys; from monai_levelset.cli import main; main(['-h']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize("name", REAL_COMMANDS)
def test_every_command_exists_and_is_explained(name: str) -> None:
    module, function = REAL_COMMANDS[name][0].split(":")
    assert len(getattr(import_module(module), function).__doc__) > 100
