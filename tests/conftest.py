"""What all tests share: one thread, reproducible Hypothesis, matplotlib without a screen, the real data."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
import torch
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]

# One thread per process: sums are then the same on every machine, and pytest-xdist's workers share the cores.
torch.set_num_threads(1)

# HYPOTHESIS_PROFILE=explore looks for new counter-examples; otherwise the same examples are run every time.
settings.register_profile(
    "default", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("explore", deadline=None, derandomize=False, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """Root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Root of the real data; the test is skipped where there is none."""
    root = Path(os.environ.get("MONAI_LEVELSET_DATA", ROOT / "../shared/data")).resolve()
    if not root.is_dir():
        pytest.skip("no real data: set MONAI_LEVELSET_DATA to its folder")
    return root
