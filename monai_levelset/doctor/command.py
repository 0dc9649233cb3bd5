"""The command `monai-levelset doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from monai_levelset.doctor.bundles import bundle_findings, bundle_roots
from monai_levelset.doctor.data import data_findings
from monai_levelset.doctor.environment import environment_findings
from monai_levelset.doctor.report import Finding, count_states, counts_text, findings_text
from monai_levelset.report.atomic import write_json
from monai_levelset.report.origin import command_line, versions

__all__ = ["ProblemsFound", "doctor"]


class ProblemsFound(ValueError):
    """A check found something that will fail; all findings were printed before."""


def doctor(
    bundle: str | Path | None = None, data: str | Path | None = None, out: str | Path | None = None
) -> dict[str, Any]:
    """Check the installation, bundles and data, and say what to fix.

    One line per check begins with `ok`, `warning` (slow, missing or doubtful) or `problem` (will fail). No
    image is changed, and nothing of a bundle is executed unless its configuration is harmless.

    Args:
        bundle: name of a bundle of this collection, or a bundle's folder; default: the whole collection.
        data: a folder with `datalist.json`, or a folder of images; default: no data is looked at.
        out: JSON file to which the findings are also written.

    Returns:
        What the file holds: `command`, `versions`, `counts` and `findings` (`section`, `check`, `state`,
        `message`, `fix`).

    Raises:
        ProblemsFound: a check found a problem; everything is printed and written by then.
    """
    command = command_line("doctor", {"bundle": bundle, "data": data, "out": out})
    findings: list[Finding] = []
    for found in _sections(bundle, data):
        print(findings_text(found), flush=True)
        findings += found
    print(f"\n{counts_text(findings)}", flush=True)
    counts = count_states(findings)
    report: dict[str, Any] = {"command": command, "versions": versions(), "counts": counts}
    report |= {"findings": [asdict(finding) for finding in findings]}
    if out is not None:
        write_json(out, report)
    if counts["problem"]:
        first = next(finding for finding in findings if finding.state == "problem")
        number = "1 problem" if counts["problem"] == 1 else f"{counts['problem']} problems, the first"
        raise ProblemsFound(f"{number}: {first.check} of {first.section}, see above")
    return report


def _sections(bundle: str | Path | None, data: str | Path | None) -> Iterator[list[Finding]]:
    yield environment_findings()
    yield from _bundles(bundle)
    if data is not None:
        yield data_findings(data)


def _bundles(bundle: str | Path | None) -> Iterator[list[Finding]]:
    try:
        roots = bundle_roots(bundle)
    except FileNotFoundError as error:
        yield [Finding("bundles", "folder", "problem", str(error), "correct the name or path after --bundle")]
        return
    if not roots:
        fix = "work in the checkout, or name a bundle's folder by --bundle"
        yield [Finding("bundles", "folder", "warning", "there is no bundles/ folder here", fix)]
    for root in roots:
        yield bundle_findings(root)
