"""`latest.json` for programs and `latest.md` for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from .case import Sizes
from .machine import describe_machine, versions
from .row import Row

SCHEMA = 1
HEADER = [
    "benchmark",
    "input",
    "ours",
    "ns",
    "peer",
    "ns",
    "times as fast",
    "bytes",
    "peer's bytes",
    "memory",
    "difference",
    "aim",
    "met",
]


def document(
    rows: Sequence[Row], device: torch.device, quick: bool, failures: Sequence[str]
) -> dict[str, Any]:
    """The content of `latest.json`.

    Args:
        rows: what was measured.
        device: where.
        quick: on tiny inputs.
        failures: what could not be measured, and why.

    Returns:
        The content.
    """
    return {
        "schema": SCHEMA,
        "quick": quick,
        "machine": describe_machine(device),
        "versions": versions(),
        "failures": list(failures),
        "rows": [asdict(row) for row in rows],
    }


def markdown(content: dict[str, Any]) -> str:
    """The content of `latest.md`: what was measured where, then a table, then the curves' points."""
    rows = content["rows"]
    parts = ["# Benchmarks\n", _preamble(content), _table([row for row in rows if not row["plot"]])]
    if any(row["plot"] for row in rows):
        parts += ["## Cost against size\n", _table([row for row in rows if row["plot"]])]
    return "\n".join(parts)


def write(content: dict[str, Any], folder: Path) -> list[Path]:
    """Write both files.

    Args:
        content: see `document`.
        folder: made if it is missing.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"latest.json": json.dumps(content, indent=1) + "\n", "latest.md": markdown(content)}
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


QUICK = "A **quick** run on tiny inputs: it shows that everything runs, not how fast.\n"
LEGEND = """\
Costs are nanoseconds per pixel, voxel, pixel-iteration or pixel-step: the lowest of several rounds in which
ours and the peers took turns; on the CPU they are processor time. Bytes are the peak above the inputs, per
pixel (per pixel-step for the deep level set), and `memory` is our peak by the peer's; empty where a library's
memory cannot be seen. `difference` says how far the results are apart, where they are the same quantity.
"""


def _preamble(content: dict[str, Any]) -> str:
    machine = content["machine"]
    processor = machine["accelerator"] or machine["processor"]
    devices = sorted({f"{row['device']}, {row['threads']} thread(s)" for row in content["rows"]})
    where = f"Measured on {processor} ({machine['system']}, {machine['cores']} cores), {'; '.join(devices)}."
    libraries = ", ".join(f"{name} {version}" for name, version in content["versions"].items() if version)
    failures = [f"**Failed:** {failure}\n" for failure in content["failures"]]
    lines = [QUICK] * content["quick"] + failures + [f"{where}\n", f"Libraries: {libraries}.\n", LEGEND]
    return "\n".join(lines)


def _table(rows: Sequence[dict[str, Any]]) -> str:
    lines = [_line(HEADER), _line(["---"] * len(HEADER)), *(_line(_cells(row)) for row in rows)]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        f"{row['name']} (per {row['unit']})",
        _sizes(row["sizes"]),
        row["variant"],
        _number(row["ours"]),
        f"{row['peer_name']} ({row['note']})" if row["note"] else row["peer_name"],
        _number(row["peer"]),
        _number(row["ratio"]),
        _number(row["bytes_per_pixel"]),
        _number(row["peer_bytes_per_pixel"]),
        _number(row["memory_ratio"]),
        _number(row["difference"]),
        row["aim"] or "",
        {True: "yes", False: "no", None: ""}[row["met"]],
    ]


def _sizes(sizes: dict[str, Any]) -> str:
    return str(Sizes(**{**sizes, "shape": tuple(sizes["shape"])}))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
