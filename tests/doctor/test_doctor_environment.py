"""The environment: versions outside their range, broken packages, a machine short of something."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from monai_levelset.doctor import machine, packages
from monai_levelset.doctor.environment import environment_findings

GIB = 2**30


def installed(monkeypatch: pytest.MonkeyPatch, **versions: str | None) -> None:
    """Pretend that packages have these versions; None: absent."""
    real = metadata.version

    def version(name: str) -> str:
        found = versions[name] if name in versions else real(name)
        if found is None:
            raise metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(metadata, "version", version)


@pytest.mark.slow
def test_this_environment_has_no_problem() -> None:
    found = environment_findings()
    assert [finding for finding in found if finding.state == "problem"] == []
    assert {"python", "packages", "import", "threads", "memory", "disk", "mixed precision"} <= {
        finding.check for finding in found
    }


@pytest.mark.parametrize(
    ("name", "version", "wanted"),
    [
        ("monai", "1.5.0", ">=1.6.1"),
        ("torch", "2.9.1+cu128", ">=2.10"),
        ("pydicom", "3.0.0", "!=3.0.0"),
        ("pydicom", "3.0.1", "!=3.0.1"),
        ("pydicom", "2.4.4", ">=2.4.5"),
        ("numpy", "1.25.0", ">=1.26"),
    ],
)
def test_a_version_outside_its_range(
    monkeypatch: pytest.MonkeyPatch, name: str, version: str, wanted: str
) -> None:
    installed(monkeypatch, **{name: version})
    (found,) = [finding for finding in packages.package_findings() if finding.state != "ok"]
    assert (found.check, found.state) == (name, "problem")
    assert found.message.startswith(f"{version} is installed, but ")
    assert wanted in found.message
    assert found.fix.startswith(f"pip install --upgrade '{name}")


@pytest.mark.parametrize("version", ["2.4.5", "3.0.2"])
def test_the_versions_of_monai_label_and_of_today_are_admitted(
    monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    installed(monkeypatch, pydicom=version, numpy="1.26.4", jsonschema="3.2.0")
    assert [finding.state for finding in packages.package_findings()] == ["ok"]


def test_the_lowest_versions_hold_without_an_installed_package(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, **{"monai-levelset": None, "torch": "2.9"})
    found = {finding.check: finding.state for finding in packages.package_findings()}
    assert found == {"monai-levelset": "warning", "packages": "ok", "torch": "problem"}


def test_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, nibabel=None)
    (found,) = [finding for finding in packages.package_findings() if finding.state != "ok"]
    assert (found.check, found.state, found.message) == ("nibabel", "problem", "is not installed")


def test_another_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages.platform, "python_version", lambda: "3.9.18")
    found = packages.python_finding()
    assert found.state == "problem"
    assert found.message.startswith("3.9.18, but ")


def test_an_optional_package_may_be_absent_but_not_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, highdicom=None)
    found = packages.optional_findings()[0]
    assert (found.check, found.state) == ("highdicom", "ok")
    assert found.message.startswith("not installed; only for DICOM-SEG")
    installed(monkeypatch, highdicom="0.28")
    monkeypatch.setitem(sys.modules, "highdicom", None)
    found = packages.optional_findings()[0]
    assert found.state == "warning"
    assert "cannot be imported" in found.message


def test_a_module_that_cannot_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "without_library.py").write_text("raise ImportError('libGL.so.1: cannot open')")
    monkeypatch.syspath_prepend(tmp_path)
    (found,) = packages.import_findings(["json", "without_library"])
    assert found.state == "problem"
    assert found.message == "without_library cannot be imported: libGL.so.1: cannot open"


def states(found: Sequence[object]) -> list[str]:
    return [finding.state for finding in found]  # type: ignore[attr-defined]


def test_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine, "_has_driver", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    (found,) = machine.gpu_findings()
    assert (found.state, found.message) == ("ok", "no GPU: CPU is used")


@pytest.mark.parametrize(("built", "told"), [(None, "built for CPUs"), ("12.8", "built for CUDA 12.8")])
def test_a_gpu_that_torch_cannot_use(monkeypatch: pytest.MonkeyPatch, built: str | None, told: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine, "_has_driver", lambda: True)
    monkeypatch.setattr(torch.version, "cuda", built)
    (found,) = machine.gpu_findings()
    assert found.state == "warning"
    assert told in found.message
    assert found.fix


@pytest.mark.parametrize(("free", "state"), [(70, "ok"), (10, "warning")])
def test_a_gpu_with_its_memory(monkeypatch: pytest.MonkeyPatch, free: int, state: str) -> None:
    ones = torch.ones
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (free * GIB, 80 * GIB))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "Card")
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch, "ones", lambda n, device: ones(n))
    (found,) = machine.gpu_findings()
    assert (found.state, found.message) == (state, f"Card, {free}.0 GiB of 80.0 GiB free, CUDA 12.8")


def test_a_gpu_that_does_not_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(index: int) -> None:
        raise RuntimeError("CUDA error: no kernel image is available\nmore")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", fail)
    (found,) = machine.gpu_findings()
    assert found.state == "problem"
    assert found.message == "torch cannot compute on it: CUDA error: no kernel image is available"


@pytest.mark.parametrize(
    ("threads", "cpus", "load", "state"),
    [
        (1, 2, 9.0, "ok"),
        (2, 2, 0.5, "ok"),
        (2, 2, 1.5, "warning"),
        (4, 2, 0.0, "warning"),
        (8, 16, 8.0, "ok"),
    ],
)
def test_threads_that_find_no_free_cpu(
    monkeypatch: pytest.MonkeyPatch, threads: int, cpus: int, load: float, state: str
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(machine, "cpu_count", lambda: cpus)
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
    found = machine.threads_finding(load)
    assert found.state == state
    assert f"OMP_NUM_THREADS={threads}" in found.message
    assert ("OMP_NUM_THREADS=1" in found.fix) == (state == "warning")


@pytest.mark.parametrize(("fast", "told"), [(True, "is fast"), (False, "not fast")])
def test_mixed_precision(monkeypatch: pytest.MonkeyPatch, fast: bool, told: str) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: fast)
    assert told in machine.precision_finding().message


@pytest.mark.parametrize(("free", "state"), [(3 * GIB, "warning"), (5 * GIB, "ok"), (None, "ok")])
def test_little_memory(monkeypatch: pytest.MonkeyPatch, free: int | None, state: str) -> None:
    monkeypatch.setattr(machine, "free_memory", lambda: free)
    assert machine.memory_finding().state == state


def test_the_limit_of_a_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    count = machine.cpu_count()  # without a limit
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert machine.cpu_count() == 1
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert machine.cpu_count() == count


def test_little_disk_and_shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=64 * 2**20, free=2**20))
    assert machine.disk_finding(tmp_path).state == "warning"
    (found,) = machine.shared_memory_findings(tmp_path)
    assert found.state == "warning"
    assert found.message == f"64 MiB in {tmp_path}"
    assert "--num_workers 0" in found.fix
    assert machine.shared_memory_findings(tmp_path / "absent") == []


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.os, "access", lambda path, mode: False)
    assert machine.disk_finding(tmp_path).message == f"{tmp_path} cannot be written"
