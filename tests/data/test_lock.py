"""One writer at a time: held by another process, freed however it ends."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from monai_levelset.data import DataError, lock
from monai_levelset.data.lock import sole_writer

HOLDER = """
import sys
from monai_levelset.data.lock import sole_writer
with sole_writer("out", sys.argv[1], what="prepare"):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(file: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", HOLDER, str(file)]
    other = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    return other


@pytest.mark.parametrize("end", ["killed", "finished"])
def test_another_process_is_named_and_its_end_frees_the_folder(tmp_path: Path, end: str) -> None:
    file = tmp_path / "my out" / "lock"
    with hold(file) as other:
        with pytest.raises(DataError) as caught, sole_writer("my out", file, what="prepare"):
            pytest.fail("two writers")
        assert str(caught.value) == (
            f"another prepare (process {other.pid}) is writing to my out; wait for it or give another --out"
        )
        if end == "killed":
            other.send_signal(signal.SIGKILL)
        other.communicate()
    assert file.read_text() == str(other.pid)
    with sole_writer("my out", file, what="prepare"):
        pass


def test_an_error_frees_the_folder(tmp_path: Path) -> None:
    with pytest.raises(KeyError), sole_writer(tmp_path, tmp_path / "lock", what="prepare"):
        raise KeyError
    with sole_writer(tmp_path, tmp_path / "lock", what="prepare"):
        pass


def test_a_file_system_without_locks_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(file: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock, "_lock", none)
    done = []
    with sole_writer(tmp_path, tmp_path / "lock", what="prepare"):
        done.append(True)
    assert done
