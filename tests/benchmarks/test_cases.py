"""Every benchmark, those for a GPU too, runs at a tiny size on the CPU and agrees with its peers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
import torch

from benchmarks.__main__ import main, parse
from benchmarks.case import Case
from benchmarks.cases import all_cases, select
from benchmarks.clock import QUICK
from benchmarks.runner import run_case

EXACT = {"SciPy": 0.0, "MONAI": 0.0, "FastGeodis": 5.0}
CASES = all_cases()


def eager(case: Case) -> Case:
    """Without what takes seconds to compile."""
    return replace(case, ours={name: run for name, run in case.ours.items() if "compiled" not in name})


@pytest.mark.parametrize("case", [c for c in CASES if not c.plot], ids=lambda case: case.name)
def test_it_runs_and_agrees(case: Case) -> None:
    sizes = case.sizes[0].small()
    for row in run_case(eager(case), torch.device("cpu"), QUICK, sizes):
        assert row.ours > 0
        assert row.note or row.ratio > 0
        if row.difference is not None:
            assert row.difference <= EXACT.get(row.peer_name, 2e-3)


def test_names_and_sizes_identify_a_row_and_aims_name_contenders() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    for case in CASES:
        assert len(set(case.sizes)) == len(case.sizes)
        for aim in case.aims:
            assert aim.ours in case.ours
            assert aim.peer in case.peers
            assert any(aim.applies(aim.ours, aim.peer, sizes) for sizes in case.sizes)


def test_curves_go_from_64_to_1024_and_from_32_to_192() -> None:
    for case in CASES:
        if case.plot:
            sides = {(len(sizes.shape), sizes.shape[0]) for sizes in case.sizes}
            assert {(2, 64), (2, 1024), (3, 32), (3, 192)} <= sides


def test_selection_by_name_and_device() -> None:
    names = {case.name for case in select(["distance"], "cpu")}
    assert names == {"signed distance", "signed distance by size"}
    assert all("cuda" not in case.devices or "cpu" in case.devices for case in select(None, "cpu"))
    assert len(select(["bandwidth"], "cuda")) == 2
    assert not select(["bandwidth"], "cpu")


def test_the_command_writes_its_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with patch.dict(os.environ):
        assert main(["--quick", "--only", "signed distance", "--out", str(tmp_path)]) == 0
    assert "written:" in capsys.readouterr().out
    stored = json.loads((tmp_path / "latest.json").read_text())
    assert stored["quick"]
    assert {row["peer_name"] for row in stored["rows"]} == {"SciPy", "MONAI", "FastGeodis"}
    assert (tmp_path / "benchmark_signed_distance_by_size.png").exists()


@pytest.mark.slow
def test_the_whole_quick_run(tmp_path: Path, repo_root: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--quick", "--out", str(tmp_path)]
    subprocess.run(command, cwd=repo_root, check=True)
    content = json.loads((tmp_path / "latest.json").read_text())
    assert content["failures"] == []
    assert {row["name"] for row in content["rows"]} == {case.name for case in select(None, "cpu")}
    assert {row["threads"] for row in content["rows"]} == {1}
    assert len(list(tmp_path.glob("*.png"))) == 4


def test_what_fails_is_written_down_and_told_by_the_exit_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(inputs: object) -> None:
        raise NotImplementedError("not there yet")

    case = next(case for case in CASES if case.name == "signed distance")
    peer = case.peers["SciPy"]
    monkeypatch.setattr(
        "benchmarks.cases.all_cases",
        lambda: [replace(case, peers={"SciPy": replace(peer, run=broken)}), case],
    )
    with patch.dict(os.environ):
        assert main(["--quick", "--out", str(tmp_path)]) == 1
    assert "'SciPy' failed: not there yet" in capsys.readouterr().err
    stored = json.loads((tmp_path / "latest.json").read_text())
    assert len(stored["failures"]) == 1
    assert len(stored["rows"]) == 3


def test_wrong_arguments_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with patch.dict(os.environ):
        assert main(["--only", "nothing like it"]) == 2
        assert "no benchmark is called" in capsys.readouterr().out
        if not torch.cuda.is_available():
            assert main(["--device", "cuda"]) == 2
            assert "no GPU" in capsys.readouterr().out


def test_a_part_of_a_run_does_not_replace_the_published_one() -> None:
    published = parse([]).out
    assert published.name == "results"
    assert parse([]).figures.name == "figures"
    for options in (parse(["--quick"]), parse(["--only", "x"])):
        assert options.out.parent == published
        assert options.figures == options.out
