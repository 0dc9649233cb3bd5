"""What earlier runs finished, so that a run that was interrupted goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from monai_levelset.data.atomic import atomic_path
from monai_levelset.data.preparation.examine import Result, state
from monai_levelset.data.readers.base import Case

__all__ = ["Index", "case_key"]

_VERSION = 1  # raise it whenever checks, facts or converted files change
_COMPANIONS = (".raw", ".zraw", ".img", ".hdr")


def case_key(
    case: Case, *, reader: str, version: int, options: Mapping[str, str], labels: Iterable[str]
) -> str:
    """Hash of all that a case's result depends on: paths, sizes and times of its files, reader, options."""
    files = [
        [role, *_states(path)] for role, paths in (("i", case.image), ("l", case.label)) for path in paths
    ]
    what = [_VERSION, reader, version, sorted(options.items()), sorted(labels), case.id, files]
    return hashlib.sha256(
        json.dumps(what, ensure_ascii=False).encode("utf-8", "surrogateescape")
    ).hexdigest()[:24]


class Index:
    """Results of finished cases and the files they wrote, kept in `out/.prepare`.

    Args:
        out: the output folder.

    Each result is appended as one line when its case is done; a line that a killed process cut short is
    ignored.
    Converted files wait in `.prepare/KEY/` until all cases are good, and are then moved to `out/images` and
    `out/labels`.
    """

    def __init__(self, out: Path) -> None:
        self.out, self.staging = out, out / ".prepare"
        self._path = self.staging / "index.jsonl"
        self._results = {result.id: result for result in self._read()}

    def finished(self, case_id: str, key: str) -> Result | None:
        """The result of a case that was done before, if nothing it depends on has changed."""
        result = self._results.get(case_id)
        if (
            result is None
            or result.key != key
            or any(self._located(result, f) is None for f in result.states)
        ):
            return None
        return result

    def add(self, result: Result) -> None:
        """Remember a finished case."""
        self._results[result.id] = result
        with self._path.open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps(asdict(result)) + "\n")  # a line cut short before stays alone

    def clean(self) -> None:
        """Remove what a killed run left half-written."""
        self.staging.mkdir(parents=True, exist_ok=True)
        for path in self.staging.glob(".tmp-*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def file(self, result: Result, name: str) -> Path:
        """Where a file of a finished case lies now."""
        return (self._located(result, name) or self.out / name) if name in result.states else Path(name)

    def replaces(self, results: Iterable[Result]) -> bool:
        """Whether publishing these results overwrites a file of an earlier run."""
        return any(
            (self.out / name).exists() and self._located(r, name) != self.out / name
            for r in results
            for name in r.states
        )

    def publish(self, results: Iterable[Result]) -> None:
        """Move converted files to their final names, each whole."""
        for result in results:
            for name in result.states:
                found, target = self._located(result, name), self.out / name
                if found is not None and found != target:
                    target.parent.mkdir(exist_ok=True)
                    os.replace(found, target)
            if result.states:
                shutil.rmtree(self.staging / result.key, ignore_errors=True)

    def forget_others(self, results: Iterable[Result]) -> None:
        """Remove the results, and the converted files, of cases that are no longer in the source."""
        kept = {result.id: result for result in results}
        used = {name for result in kept.values() for name in result.states}
        for gone in self._results.values():
            for name in gone.states if gone.id not in kept else ():
                path = self.out / name
                if name not in used and path.is_file() and state(path) == gone.states[name]:
                    path.unlink()
        self._results = kept
        for folder in self.staging.iterdir():
            if folder.is_dir():
                shutil.rmtree(folder)
        with atomic_path(self._path) as temporary:
            temporary.write_text(
                "".join(json.dumps(asdict(r)) + "\n" for r in kept.values()), encoding="utf-8"
            )

    def _located(self, result: Result, name: str) -> Path | None:
        for path in (self.staging / result.key / name, self.out / name):
            if path.is_file() and state(path) == result.states[name]:
                return path
        return None

    def _read(self) -> list[Result]:
        if not self._path.is_file():
            return []
        results = []
        for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                results.append(Result(**json.loads(line)))
            except (ValueError, TypeError):
                continue
        return results


def _states(path: Path) -> list[Any]:
    if not path.exists():
        return [str(path), None]
    members = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else _with_companions(path)
    return [str(path.absolute()), *(state(member) for member in members)]


def _with_companions(path: Path) -> list[Path]:
    if path.suffix.lower() not in (".mhd", ".hdr", ".img"):
        return [path]
    return [
        path,
        *sorted(
            p
            for p in path.parent.iterdir()
            if p.stem == path.stem and p.suffix.lower() in _COMPANIONS and p != path
        ),
    ]
