"""Shared bundles, unpacked, and an environment that lacks monai-levelset."""

from __future__ import annotations

import functools
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from monai_levelset.export import export_bundle

from .bare import bare_site


@pytest.fixture(autouse=True)
def _same_excepthook(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle's `initialize` replaces the hook: put it back."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All installed packages but this one."""
    return bare_site(tmp_path_factory.mktemp("bare") / "site-packages")


@pytest.fixture(scope="session")
def zipped(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Name of a bundle -> its zip."""
    folder = tmp_path_factory.mktemp("zips")
    return functools.cache(lambda name: export_bundle(name, folder / f"{name}.zip"))


@pytest.fixture(scope="session")
def shared(zipped: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Name of a bundle -> the folder that comes out of its zip."""
    folder = tmp_path_factory.mktemp("shared")

    @functools.cache
    def unpack(name: str) -> Path:
        with zipfile.ZipFile(zipped(name)) as archive:
            archive.extractall(folder)
        return folder / name

    return unpack
