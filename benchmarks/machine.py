"""What the numbers depend on: processor, system, versions. Nothing that names the machine."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ["monai-levelset", "torch", "monai", "numpy", "scipy", "scikit-image", "SimpleITK"]
OPTIONAL = ["opencv-python-headless", "FastGeodis"]


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Processor, cores, memory, system, and the accelerator that was used."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.machine()}",
        "accelerator": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
    }


def versions() -> dict[str, str | None]:
    """Version of Python and of every library that took part; None if not installed."""
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES + OPTIONAL}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _memory_gib() -> int | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (ValueError, OSError, AttributeError):
        return None
