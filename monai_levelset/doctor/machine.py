"""The machine: GPUs, processor, memory and disk."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path

import torch

from monai_levelset.data.free_memory import free_memory
from monai_levelset.doctor.report import Finding, readable_size
from monai_levelset.levelset.precision import mixed_precision

__all__ = ["cpu_count", "machine_findings"]

LITTLE_DISK = 5 * 2**30
LITTLE_MEMORY = 4 * 2**30
LITTLE_SHARED_MEMORY = 2**30
_SECTION = "environment"
_CGROUP = Path("/sys/fs/cgroup")


def machine_findings(folder: str | Path = ".") -> list[Finding]:
    """What this machine offers.

    Args:
        folder: where results will be written.

    Returns:
        Findings about GPUs, mixed precision, threads, memory, shared memory and disk.
    """
    findings = [*gpu_findings(), precision_finding(), threads_finding(), memory_finding()]
    return [*findings, *shared_memory_findings(), disk_finding(folder)]


def gpu_findings() -> list[Finding]:
    """Each GPU that torch can use, tried; or why there is none."""
    if torch.cuda.is_available():
        return [_gpu(index) for index in range(torch.cuda.device_count())]
    if torch.version.cuda:
        fix = "install or update the NVIDIA driver if there is a GPU; `nvidia-smi` must list it"
        message = f"no GPU: CPU is used; this torch is built for CUDA {torch.version.cuda}"
        return [Finding(_SECTION, "gpu", "warning" if _has_driver() else "ok", message, fix * _has_driver())]
    if _has_driver():
        fix = "install a torch that is built for CUDA, see https://pytorch.org/get-started"
        return [Finding(_SECTION, "gpu", "warning", "there is a GPU, but this torch is built for CPUs", fix)]
    return [Finding(_SECTION, "gpu", "ok", "no GPU: CPU is used")]


def precision_finding() -> Finding:
    """Whether mixed precision (`--amp`) is of use on the processor."""
    with mixed_precision("cpu"):
        fast = torch.is_autocast_enabled("cpu")
    text = "bfloat16 is fast on this CPU" if fast else "not fast on this CPU: --amp does nothing there"
    return Finding(_SECTION, "mixed precision", "ok", text)


def threads_finding(load: float | None = None) -> Finding:
    """Whether the threads that torch uses find processors that are free.

    Args:
        load: processors that are busy now; default: the system's average over a minute.
    """
    threads, cpus, given = torch.get_num_threads(), cpu_count(), os.environ.get("OMP_NUM_THREADS")
    load = _load() if load is None else load
    said = f"OMP_NUM_THREADS={given}" if given else "OMP_NUM_THREADS is not set"
    message = f"{threads} of torch on {_cpus(cpus)}, {min(load, cpus):.1f} of them busy; {said}"
    if threads > 1 and (threads > cpus or threads + load > cpus + 1):
        fix = "OMP_NUM_THREADS=1: threads that wait for a busy CPU make level sets slower, not faster"
        return Finding(_SECTION, "threads", "warning", message, fix)
    return Finding(_SECTION, "threads", "ok", message)


def memory_finding() -> Finding:
    """How much memory is free for data, caches and networks."""
    free = free_memory()
    if free is None:
        return Finding(_SECTION, "memory", "ok", "the system does not say how much is free")
    if free < LITTLE_MEMORY:
        fix = "close other programs, or train with a smaller --batch_size"
        return Finding(_SECTION, "memory", "warning", f"{readable_size(free)} free", fix)
    return Finding(_SECTION, "memory", "ok", f"{readable_size(free)} free")


def shared_memory_findings(folder: str | Path = "/dev/shm") -> list[Finding]:
    """Whether data loaders with worker processes have room; nothing where the system has no such folder.

    Args:
        folder: where shared memory is mounted.
    """
    if not Path(folder).is_dir():
        return []
    size = shutil.disk_usage(folder).total
    message = f"{readable_size(size)} in {folder}"
    if size >= LITTLE_SHARED_MEMORY:
        return [Finding(_SECTION, "shared memory", "ok", message)]
    fix = "keep --num_workers 0, or give the container more (docker run --shm-size=8g): workers die without"
    return [Finding(_SECTION, "shared memory", "warning", message, fix)]


def disk_finding(folder: str | Path) -> Finding:
    """Whether results can be written into a folder.

    Args:
        folder: usually the working directory.
    """
    path = Path(folder).resolve()
    if not os.access(path, os.W_OK):
        fix = "work in another folder, or give other output folders (--out, --output_dir)"
        return Finding(_SECTION, "disk", "warning", f"{path} cannot be written", fix)
    free = shutil.disk_usage(path).free
    message = f"{readable_size(free)} free in {path}"
    if free < LITTLE_DISK:
        fix = "make room, or work on another disk: slices, checkpoints and results need some GiB"
        return Finding(_SECTION, "disk", "warning", message, fix)
    return Finding(_SECTION, "disk", "ok", message)


def cpu_count() -> int:
    """Processors that this process may use.

    Example:
        >>> cpu_count() >= 1
        True
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _container_cpus()
    return count if math.isinf(quota) else max(1, min(count, math.ceil(quota)))


def _gpu(index: int) -> Finding:
    check = f"gpu {index}"
    try:
        free, total = torch.cuda.mem_get_info(index)
        torch.ones(2, device=f"cuda:{index}").sum().item()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        fix = "use another torch or driver for it, or hide it by CUDA_VISIBLE_DEVICES"
        return Finding(_SECTION, check, "problem", f"torch cannot compute on it: {reason}", fix)
    name, amount = torch.cuda.get_device_name(index), f"{readable_size(free)} of {readable_size(total)} free"
    message = f"{name}, {amount}, CUDA {torch.version.cuda or 'none, ROCm'}"
    if free < total / 2:
        fix = "another process uses it; wait, or choose another by CUDA_VISIBLE_DEVICES"
        return Finding(_SECTION, check, "warning", message, fix)
    return Finding(_SECTION, check, "ok", message)


def _cpus(count: int) -> str:
    return "1 CPU" if count == 1 else f"{count} CPUs"


def _has_driver() -> bool:
    return shutil.which("nvidia-smi") is not None


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def _container_cpus() -> float:
    quota = _words(_CGROUP / "cpu.max")
    return int(quota[0]) / int(quota[1]) if len(quota) == 2 and quota[0].isdigit() else math.inf


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").split()
    except OSError:
        return []
