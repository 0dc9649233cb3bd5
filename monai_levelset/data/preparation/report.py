"""What `prepare` says about a data set: `report.json`, `report.md` and the lines on the screen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from monai_levelset.data.preparation.examine import Result
from monai_levelset.data.readers.base import SourceListing

__all__ = ["build_report", "report_markdown", "summary_text", "with_sections"]

Report = dict[str, Any]
_UNITS = {"ml": "ml", "cm2": "cm²", "pixels": "pixels"}


def build_report(
    dataset: SourceListing,
    results: Sequence[Result],
    *,
    settings: Mapping[str, Any],
    notes: Sequence[str] = (),
) -> Report:
    """Numbers of a data set, without its sections; add these by `with_sections`.

    Args:
        dataset: what the reader found.
        results: what was found in each case, in the data set's order.
        settings: name, source and options.
        notes: lines that the user should read.

    Returns:
        A dictionary that JSON can hold.
    """
    cases: list[dict[str, Any]] = [
        {
            "id": case.id,
            "patient": case.patient,
            **{k: result.facts.get(k) for k in ("shape", "spacing", "intensity", "label", "annotators")},
        }
        for case, result in zip(dataset.cases, results, strict=True)
    ]
    return {
        **settings,
        "name": dataset.name,
        "description": dataset.description,
        "modality": dataset.modality,
        "labels": dict(dataset.labels),
        "channels": list(dataset.channels),
        "patients": len({case.patient for case in dataset.cases}),
        "size": _axes([case["shape"] for case in cases]),
        "spacing": _axes([case["spacing"] for case in cases if case["spacing"]]),
        "intensity": _intensity(cases, dataset.channels),
        "label_amount": _amounts(cases, dataset.labels),
        "skipped": list(dataset.skipped),
        "notes": list(notes),
        "cases": cases,
    }


def with_sections(
    report: Mapping[str, Any],
    sections: Mapping[str, Iterable[Mapping[str, Any]]],
    *,
    split: Mapping[str, Any],
) -> Report:
    """A report whose counts, and the section of every case, are those of a data list.

    Args:
        report: as `build_report` or this function returned it.
        sections: items of the data list.
        split: labelled fraction and seed.
    """
    place = {
        item["id"]: (name, bool(item.get("label"))) for name, items in sections.items() for item in items
    }
    counts = {
        name: {
            "cases": len(items := list(part)),
            "patients": len({item["patient"] for item in items}),
            "labeled": sum(bool(item.get("label")) for item in items),
        }
        for name, part in sections.items()
    }
    cases = [
        {**case, "section": place[case["id"]][0], "labeled": place[case["id"]][1]}
        for case in report["cases"]
        if case["id"] in place
    ]
    return {**report, "split": dict(split), "sections": counts, "cases": cases}


def summary_text(report: Mapping[str, Any], datalist: str) -> str:
    """The lines that are printed: counts, sizes, spacings, labels, what was left out, and where the list is.

    The first line names the data set and the cases per section.
    """
    counts = ", ".join(f"{count['cases']} {name}" for name, count in report["sections"].items())
    lines = [f"{report['dataset']}: {counts} cases -> {datalist}"]
    if training := report["sections"].get("training"):
        unlabeled = training["cases"] - training["labeled"]
        lines.append(f"training: {training['labeled']} labelled, {unlabeled} unlabelled")
    else:
        lines.append("training: none in the source, so this list is for evaluation only")
    lines += [f"{name}: {text}" for name, text in _properties(report)]
    lines += [f"note: {note}" for note in report["notes"]]
    if report["skipped"]:
        lines += [
            f"left out {len(report['skipped'])}, for example:",
            *(f"  {s}" for s in report["skipped"][:5]),
        ]
    return "\n".join(lines)


def report_markdown(report: Mapping[str, Any]) -> str:
    """The report as Markdown, with the montage."""
    lines = [f"# {report['name'] or report['dataset']}", "", report["description"], ""]
    lines += [
        f"Modality: {report['modality'] or 'not stated'}. Source: `{report['source']}`",
        "",
        "| section | patients | cases | labelled | unlabelled |",
        "|---|---|---|---|---|",
    ]
    for name, count in report["sections"].items():
        row = (name, count["patients"], count["cases"], count["labeled"], count["cases"] - count["labeled"])
        lines.append("| " + " | ".join(map(str, row)) + " |")
    split = ", ".join(f"{name} {value}" for name, value in report["split"].items() if value is not None)
    lines += ["", f"Drawn with: {split}.", "", "| property | min / median / max |", "|---|---|"]
    lines += [f"| {name} | {text} |" for name, text in _properties(report)]
    for title, entries in (("Notes", report["notes"]), ("Left out", report["skipped"])):
        lines += ["", f"## {title}", "", *(f"- {entry}" for entry in entries)] if entries else []
    return "\n".join([*lines, "", "![Cases with their labels](montage.png)", ""])


def _properties(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [("size, voxels", _axes_text(report["size"]))]
    rows.append(("spacing, mm", _axes_text(report["spacing"]) if report["spacing"] else "none in the files"))
    for name, values in report["intensity"].items():
        rows.append(
            (
                f"intensity{name and ' of ' + name}",
                _triple(values["min"][0], values["median"][1], values["max"][2]),
            )
        )
        rows.append(
            (
                f"1st to 99th percentile{name and ' of ' + name}",
                f"{values['p1'][1]:.6g} to {values['p99'][1]:.6g}",
            )
        )
    for value, found in report["label_amount"].items():
        amounts = f"{_triple(*found['amount'])} {_UNITS[found['unit']]}"
        rows.append((f"label {value}, {found['name']}", f"{amounts} in {found['cases']} cases"))
    return rows


def _axes(values: Sequence[Sequence[float]]) -> list[list[float]]:
    """Minimum, median and maximum per axis; empty where the cases have different numbers of axes or none."""
    if not values or len({len(v) for v in values}) > 1:
        return []
    return [_spread(axis) for axis in zip(*values, strict=True)]


def _spread(values: Iterable[float]) -> list[float]:
    values = list(values)
    return [min(values), median(values), max(values)]


def _axes_text(axes: Sequence[Sequence[float]]) -> str:
    if not axes:
        return "differs in the number of axes"
    return " / ".join(" x ".join(f"{axis[k]:.4g}" for axis in axes) for k in range(3))


def _triple(low: float, middle: float, high: float) -> str:
    return f"{low:.6g} / {middle:.6g} / {high:.6g}"


def _intensity(cases: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, dict[str, list[float]]]:
    channels = min(len(case["intensity"]) for case in cases)
    if len(names) != channels:
        names = [""] if channels == 1 else [f"channel {c}" for c in range(channels)]
    return {
        name: {key: _spread(case["intensity"][c][key] for case in cases) for key in cases[0]["intensity"][c]}
        for c, name in enumerate(names)
    }


def _amounts(cases: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Amount of every named label, over the cases in which it occurs; nothing for lists of unnamed labels."""
    labelled = [case["label"] for case in cases if case["label"]]
    found = {}
    for value, name in names.items():
        amounts = [label["amount"][value] for label in labelled if value in label["amount"]]
        if value != "0" and amounts:
            found[value] = {
                "name": name,
                "unit": labelled[0]["unit"],
                "cases": len(amounts),
                "amount": _spread(amounts),
            }
    return found
