"""Cost against size: one picture per benchmark, 2D beside 3D."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from monai_levelset.report.drawing import PALETTE

Point = tuple[int, float]


def curves(rows: Sequence[dict[str, Any]], name: str, dims: int) -> dict[str, list[Point]]:
    """Side length and cost of each contender, ours first.

    Args:
        rows: of `latest.json`.
        name: of the benchmark.
        dims: 2 or 3.

    Returns:
        Label -> points sorted by size; empty without rows of so many dimensions.
    """
    chosen = [
        row for row in rows if row["plot"] and row["name"] == name and len(row["sizes"]["shape"]) == dims
    ]
    found: dict[str, dict[int, float]] = {}
    for role, cost in (("variant", "ours"), ("peer_name", "peer")):
        for row in chosen:
            if row[cost] is not None:
                label = f"ours, {row[role]}" if cost == "ours" else row[role]
                found.setdefault(label, {})[min(row["sizes"]["shape"])] = row[cost]
    return {label: sorted(points.items()) for label, points in found.items()}


def draw(rows: Sequence[dict[str, Any]], folder: Path) -> Iterator[Path]:
    """Write `benchmark_NAME.png` for every benchmark that has a curve.

    Args:
        rows: of `latest.json`.
        folder: made if it is missing.

    Yields:
        The files.
    """
    for name in dict.fromkeys(row["name"] for row in rows if row["plot"]):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"benchmark_{name.replace(' ', '_').replace('-', '_').lower()}.png"
        unit = next(row["unit"] for row in rows if row["plot"] and row["name"] == name)
        _figure(name, unit, {dims: curves(rows, name, dims) for dims in (2, 3)}).savefig(path, dpi=110)
        yield path


def _figure(name: str, unit: str, panels: dict[int, dict[str, list[Point]]]) -> Any:
    from matplotlib.figure import Figure

    shown = {dims: lines for dims, lines in panels.items() if lines}
    labels = list(dict.fromkeys(label for lines in shown.values() for label in lines))
    colours = dict(zip(labels, PALETTE, strict=False))
    figure = Figure(figsize=(4.6 * len(shown), 3.9), layout="constrained")
    for axes, (dims, lines) in zip(
        figure.subplots(1, len(shown), squeeze=False)[0], shown.items(), strict=True
    ):
        for label, points in lines.items():
            style = "o-" if label.startswith("ours") else "s--"
            axes.plot(*zip(*points, strict=True), style, color=colours[label], label=label, markersize=4)
        _scale(axes, dims, sorted({side for points in lines.values() for side, _ in points}))
        axes.set(title=f"{dims}D", xlabel="image size", ylabel=f"ns per {unit}")
    handles = {line.get_label(): line for axes in figure.axes for line in axes.get_lines()}
    figure.legend(
        [handles[label] for label in labels], labels, loc="outside lower center", ncols=3, fontsize=8
    )
    figure.suptitle(name)
    return figure


def _scale(axes: Any, dims: int, sides: list[int]) -> None:
    """Logarithmic axes with plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log", base=2)
    axes.set_xticks(sides, [f"{n}{'²' if dims == 2 else '³'}" for n in sides], minor=False)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3)
