"""Result tables as Markdown, CSV and plain text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_levelset.report.atomic import write_text

Models = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Row -> metric -> ``{"mean": …, "sd": …}``, ``sd`` None if there is one run; further keys are not shown."""
Paper = Mapping[str, Mapping[str, float]]
"""Row -> metric -> the number printed in the paper; a missing one is left blank."""


def markdown_table(
    models: Models, metrics: Sequence[str], *, paper: Paper | None = None, digits: int = 3
) -> str:
    """A row per model, a "mean ± sd" column per metric, each beside the paper's number.

    Args:
        models: the results.
        metrics: the columns, in order.
        paper: the paper's numbers; without it there are no paper columns.
        digits: after the decimal point.

    Returns:
        A Markdown table ending in a line break.

    Raises:
        KeyError: if a model lacks a metric.

    Example:
        >>> models = {"FCN": {"dice": {"mean": 0.7, "sd": 0.01}}}
        >>> print(markdown_table(models, ["dice"], paper={"FCN": {"dice": 0.754}}))
        | model | dice | dice (paper) |
        | --- | --- | --- |
        | FCN | 0.700 ± 0.010 | 0.754 |
        <BLANKLINE>
    """
    header = ["model"]
    for metric in metrics:
        header += [metric] + ([f"{metric} (paper)"] if paper is not None else [])
    lines = [header, ["---"] * len(header)]
    for name, scores in models.items():
        row = [name.replace("|", "\\|")]
        for metric in metrics:
            row.append(_mean_sd(scores[metric], digits))
            row += [_printed(paper, name, metric, digits)] if paper is not None else []
        lines.append(row)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _mean_sd(score: Mapping[str, Any], digits: int) -> str:
    mean, sd = f"{score['mean']:.{digits}f}", score["sd"]
    return mean if sd is None else f"{mean} ± {sd:.{digits}f}"


def _printed(paper: Paper, name: str, metric: str, digits: int) -> str:
    value = paper.get(name, {}).get(metric)
    return "" if value is None else f"{value:.{digits}f}"


def csv_table(models: Models, metrics: Sequence[str], *, paper: Paper | None = None) -> str:
    """The same as CSV with full precision: ``model``, ``<metric>_mean``, ``<metric>_sd``, ``<metric>_paper``.

    Args:
        models: the results.
        metrics: the metrics, in order.
        paper: the paper's numbers.

    Returns:
        CSV text.

    Raises:
        KeyError: if a model lacks a metric.
    """
    rows = []
    for name, scores in models.items():
        row: dict[str, Any] = {"model": name}
        for metric in metrics:
            row |= {f"{metric}_mean": scores[metric]["mean"], f"{metric}_sd": scores[metric]["sd"]}
            row |= {f"{metric}_paper": paper.get(name, {}).get(metric, "")} if paper is not None else {}
        rows.append(row)
    return _csv(rows)


def cases_csv(cases: Sequence[Mapping[str, Any]]) -> str:
    """One line per case with exactly the numbers of ``summary.json``.

    Args:
        cases: ``summary["cases"]``.

    Returns:
        CSV text.
    """
    return _csv(cases)


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_tables(
    out: str | Path, models: Models, metrics: Sequence[str], *, paper: Paper | None = None, digits: int = 3
) -> tuple[Path, Path]:
    """Write ``table.md`` and ``table.csv`` into a folder.

    Args:
        out: the folder.
        models: the results.
        metrics: the metrics, in order.
        paper: the paper's numbers.
        digits: after the decimal point, in Markdown.

    Returns:
        Both paths.
    """
    markdown, table = Path(out) / "table.md", Path(out) / "table.csv"
    write_text(markdown, markdown_table(models, metrics, paper=paper, digits=digits))
    write_text(table, csv_table(models, metrics, paper=paper))
    return markdown, table


def text_table(summary: Mapping[str, Any], *, digits: int = 3) -> str:
    """The metrics of an evaluation for the terminal.

    Args:
        summary: with ``mean``, ``sd``, ``n`` and ``missed``.
        digits: after the decimal point.

    Returns:
        Text without a final line break.

    Example:
        >>> print(text_table({"mean": {"dice": 0.5}, "sd": {"dice": 0.1}, "n": 3, "missed": 1}))
        metric   mean     sd
        dice    0.500  0.100
        3 cases, 1 missed
    """
    body = [
        [key, f"{mean:.{digits}f}", f"{summary['sd'][key]:.{digits}f}"]
        for key, mean in summary["mean"].items()
    ]
    table = [["metric", "mean", "sd"], *body]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [_line(row, widths) for row in table]
    cases = "case" if summary["n"] == 1 else "cases"
    return "\n".join([*lines, f"{summary['n']} {cases}, {summary['missed']} missed"])


def _line(row: Iterable[str], widths: Sequence[int]) -> str:
    name, *numbers = [
        cell.ljust(w) if i == 0 else cell.rjust(w)
        for i, (cell, w) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join([name, *numbers]).rstrip()
