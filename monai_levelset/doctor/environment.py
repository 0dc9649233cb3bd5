"""All checks of the environment."""

from __future__ import annotations

from pathlib import Path

from monai_levelset.doctor.machine import machine_findings
from monai_levelset.doctor.packages import (
    import_findings,
    optional_findings,
    package_findings,
    python_finding,
)
from monai_levelset.doctor.report import Finding

__all__ = ["environment_findings"]


def environment_findings(folder: str | Path = ".") -> list[Finding]:
    """What is found about Python, packages and machine.

    Args:
        folder: where results will be written.

    Returns:
        Findings of the section `environment`.
    """
    packages = [python_finding(), *package_findings(), *import_findings(), *optional_findings()]
    return [*packages, *machine_findings(folder)]
