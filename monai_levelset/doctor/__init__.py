"""Check an installation, bundles and data, and say what to fix: the command `monai-levelset doctor`."""

from monai_levelset.doctor.command import ProblemsFound, doctor
from monai_levelset.doctor.report import Finding

__all__ = ["Finding", "ProblemsFound", "doctor"]
