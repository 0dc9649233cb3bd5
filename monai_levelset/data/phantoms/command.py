"""The command ``monai-levelset phantom TASK OUT --cases N --seed S``."""

from __future__ import annotations

import json
import time

from monai_levelset.data.phantoms.generate import SECTIONS, generate_phantoms


def phantom(task: str, out: str, cases: int = 12, seed: int = 0) -> None:
    """Generate a phantom data set and print a short summary.

    Args:
        task: ``liver``, ``lv``, ``prostate``, ``lits``, ``brats``, ``fundus`` or ``natural``.
        out: folder for ``images``, ``labels`` and ``datalist.json``; new, empty or an earlier output.
        cases: number of images.
        seed: seed of pictures and split.

    Raises:
        ValueError: for an unknown task or a bad number.
        FileExistsError: if ``out`` holds foreign files.
    """
    start = time.perf_counter()
    path = generate_phantoms(str(task), str(out), cases=int(cases), seed=int(seed))
    content = json.loads(path.read_text(encoding="utf-8"))
    counts = ", ".join(f"{len(content[name])} {name}" for name in SECTIONS)
    print(f"{task} phantoms, seed {seed}: {counts} ({time.perf_counter() - start:.1f} s)")
    print(f"labels: {', '.join(f'{k} {v}' for k, v in content['labels'].items())}")
    print(f"data list: {path}")
