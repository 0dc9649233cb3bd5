"""`monai-levelset doctor`: lines, exit code and JSON."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from monai_levelset.cli import main
from monai_levelset.data.phantoms import generate_phantoms
from monai_levelset.doctor import Finding, ProblemsFound, command, doctor

NAME = "lv_mri_levelset_segmentation"
SOURCE = Path(__file__).resolve().parents[2] / "bundles" / NAME


@pytest.fixture(autouse=True)
def _same_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine says is tested elsewhere."""
    finding = Finding("environment", "python", "warning", "a version", "another version")
    monkeypatch.setattr(command, "environment_findings", lambda: [finding])


def test_warnings_alone_are_a_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generate_phantoms("lv", tmp_path / "data", cases=3, seed=0)
    out = tmp_path / "report" / "doctor.json"
    words = ["doctor", "--bundle", NAME, "--data", str(tmp_path / "data"), "--out", str(out)]
    assert main(words) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[:3] == [
        "environment",
        "  warning  python  a version",
        "                   fix: another version",
    ]
    assert f"bundle {NAME}" in shown
    assert f"data {tmp_path / 'data'}" in shown
    lines = [line for line in shown if re.match("  (ok|warning|problem) ", line)]
    report = json.loads(out.read_text())
    assert len(lines) == len(report["findings"])
    assert shown[-1] == f"{len(lines) - 1} ok, 1 warning, 0 problems"
    assert report["counts"] == {"ok": len(lines) - 1, "warning": 1, "problem": 0}
    assert report["command"] == f"monai-levelset {' '.join(words)}"
    assert set(report["versions"]) >= {"python", "monai", "torch"}
    assert report["findings"][0] == {
        "section": "environment",
        "check": "python",
        "state": "warning",
        "message": "a version",
        "fix": "another version",
    }


def test_a_problem_ends_with_1_after_everything_was_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, out = tmp_path / "my_bundle", tmp_path / "doctor.json"
    shutil.copytree(SOURCE, bundle)
    (bundle / "LICENSE").unlink()
    (tmp_path / "data").mkdir()
    words = ["doctor", "--bundle", str(bundle), "--data", str(tmp_path / "data"), "--out", str(out)]
    assert main(words) == 1
    shown = capsys.readouterr()
    assert "  problem  files        missing: LICENSE" in shown.out
    assert "the data folder is empty" in shown.out
    assert shown.out.splitlines()[-1].endswith("1 warning, 2 problems")
    assert shown.err == "error: 2 problems, the first: files of bundle my_bundle, see above\n"
    assert json.loads(out.read_text())["counts"]["problem"] == 2


def test_an_unknown_bundle_is_a_problem_with_the_known_names(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ProblemsFound, match="1 problem: folder of bundles"):
        doctor(bundle="absent")
    assert NAME in capsys.readouterr().out


def test_a_place_without_bundles_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "bundle_roots", lambda bundle: [])
    assert doctor()["counts"] == {"ok": 0, "warning": 2, "problem": 0}
    assert "there is no bundles/ folder here" in capsys.readouterr().out
