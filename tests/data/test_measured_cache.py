"""How large a cache will be is said before it is filled, and a cache that is too large is refused."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_levelset.data import measured_cache
from monai_levelset.data.errors import DataError
from monai_levelset.data.free_memory import free_memory
from monai_levelset.data.measured_cache import MeasuredCacheDataset

ITEMS = [{"image": torch.full((1, 100, 50), float(k))} for k in range(6)]  # 20 kB each


def cache(**changes: Any) -> MeasuredCacheDataset:
    return MeasuredCacheDataset(ITEMS, lambda item: item, progress=False, **changes)


def test_the_size_is_said_before_the_cache_is_filled(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(measured_cache, "free_memory", lambda: 17 * 10**9)
    caplog.set_level(logging.INFO)
    cached = cache()
    assert caplog.messages == ["Caching 6 items, about 0.12 MB of 17 GB free."]
    assert [float(item["image"].mean()) for item in cached] == [0, 1, 2, 3, 4, 5]


def test_the_part_that_is_cached_counts(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(measured_cache, "free_memory", lambda: None)
    caplog.set_level(logging.INFO)
    assert len(cache(cache_rate=0.5)) == 6
    assert caplog.messages == ["Caching 3 items, about 0.06 MB."]
    caplog.clear()
    assert len(cache(cache_num=0)) == 6
    assert caplog.messages == []


def test_a_cache_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured_cache, "free_memory", lambda: 119_999)
    with pytest.raises(DataError, match=r"caching 6 items takes about 0\.12 MB of memory, 0\.12 MB are free"):
        cache()
    monkeypatch.setattr(measured_cache, "free_memory", lambda: 120_000)
    assert len(cache()) == 6


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


MEMINFO = {"proc/meminfo": "MemTotal:  9000 kB\nMemAvailable:    1000 kB\nHugePages_Total:  0\n"}


def group(limit: str, used: int, files: int) -> dict[str, str]:
    values = {"max": limit, "current": str(used), "stat": f"anon 5\ninactive_file {files}"}
    return {f"sys/fs/cgroup/memory.{name}": f"{value}\n" for name, value in values.items()}


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, None),
        (MEMINFO, 1_024_000),
        ({**MEMINFO, **group("max", 10, 0)}, 1_024_000),
        ({**MEMINFO, **group("800000", 500_000, 100_000)}, 400_000),
        ({**MEMINFO, **group("9000000", 500_000, 0)}, 1_024_000),
        (group("100", 500, 0), 0),
    ],
)
def test_free_memory_is_the_least_that_is_allowed(
    files: dict[str, str], free: int | None, tmp_path: Path
) -> None:
    assert free_memory(write(tmp_path, files)) == free
