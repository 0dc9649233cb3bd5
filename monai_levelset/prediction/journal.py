"""What became of each case, kept on disk so that a run can be cut short and many processes share it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_levelset.prediction.cases import PredictionCase
from monai_levelset.report.atomic import write_json

__all__ = ["Journal"]


class Journal:
    """Records of finished cases, one small file each in a hidden folder beside the results.

    Args:
        folder: of the results.
        made_how: what the results depend on beside the image: weights, configuration, options. Results made
            otherwise do not count as finished.
    """

    def __init__(self, folder: str | Path, made_how: Mapping[str, Any]) -> None:
        self.folder = Path(folder) / ".cases"
        self.made_how = dict(made_how)

    def finished(self, case: PredictionCase) -> dict[str, Any] | None:
        """The record of a case that is done, from the same image in the same way, and whose files exist."""
        record = self.read(case)
        if record is None or record["status"] != "done" or record["key"] != self._key(case):
            return None
        files = [self.folder.parent / name for name in record["files"]]
        return record if all(path.is_file() for path in files) else None

    def read(self, case: PredictionCase) -> dict[str, Any] | None:
        """The record of a case, whatever became of it; None where there is none that can be read."""
        try:
            record: dict[str, Any] = json.loads(self._path(case).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return record

    def write(self, case: PredictionCase, record: Mapping[str, Any]) -> None:
        """Keep what became of a case: `status`, `files` and what else is to be reported."""
        write_json(self._path(case), {**record, "key": self._key(case)})

    def forget(self, case: PredictionCase) -> None:
        """Remove the record of a case and the files of before, which must not pass for new ones."""
        for name in (self.read(case) or {}).get("files", []):
            (self.folder.parent / Path(name).name).unlink(missing_ok=True)
        self._path(case).unlink(missing_ok=True)

    def _path(self, case: PredictionCase) -> Path:
        return self.folder / f"{case.name}.json"

    def _key(self, case: PredictionCase) -> str:
        files = [file for path in case.paths for file in _files(path)]
        stamps = [[str(f.absolute()), f.stat().st_size, f.stat().st_mtime_ns] for f in files if f.is_file()]
        text = json.dumps([stamps, case.item, self.made_how], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


def _files(path: Path) -> list[Path]:
    return sorted(path.iterdir()) if path.is_dir() else [path]
