"""Which values labels hold, and whether the data list knows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from monai_levelset.data.preparation.examine import Result
from monai_levelset.doctor.report import Finding

__all__ = ["label_findings"]


def label_findings(section: str, results: Mapping[str, Result], names: Mapping[str, str]) -> list[Finding]:
    """In how many labels each value occurs.

    Args:
        section: of the findings.
        results: files, facts and problems per case.
        names: meaning of each value, as the data list says; empty where it does not.

    Returns:
        The values; a warning for empty labels and for values without a name, a problem where all are empty.
        Nothing where no label was read.
    """
    amounts = [result.facts["label"]["amount"] for result in results.values() if "label" in result.facts]
    if not amounts:
        return []
    counts = Counter(value for amount in amounts for value in amount)
    empty = sum(not amount for amount in amounts)
    if not counts:
        message = f"all {len(amounts)} labels are empty"
        fix = "check that the labels belong to these images and hold the structure"
        return [Finding(section, "labels", "problem", message, fix)]
    shown = ", ".join(f"{_named(v, names)} in {counts[v]} of {len(amounts)}" for v in sorted(counts, key=int))
    findings = [Finding(section, "labels", "ok", f"values: {shown}")]
    if empty:
        message = f"{empty} of {len(amounts)} labels are empty"
        fix = "right if the structure is not in these images; leave `label` out where it was not drawn"
        findings.append(Finding(section, "labels", "warning", message, fix))
    unnamed = [
        value for value in sorted(counts, key=int) if value not in names and not _is_white(value, names)
    ]
    if names and unnamed:
        message = f"the values {', '.join(unnamed)} are not among the data list's `labels`"
        fix = "add their meaning to `labels`, or map them to values that are there"
        findings.append(Finding(section, "labels", "warning", message, fix))
    return findings


def _is_white(value: str, names: Mapping[str, str]) -> bool:
    """Whether a value is the 255 of pictures that stands for 1."""
    return value == "255" and set(names) <= {"0", "1"}


def _named(value: str, names: Mapping[str, str]) -> str:
    name = names.get("1" if _is_white(value, names) else value)
    return f"{value} ({name})" if name else value
