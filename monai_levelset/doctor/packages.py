"""Python and the packages: versions, and whether they can be imported."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib import import_module, metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from monai_levelset.doctor.report import Finding

__all__ = ["import_findings", "optional_findings", "package_findings", "python_finding", "version_finding"]

DISTRIBUTION = "monai-levelset"
FLOORS = ("monai>=1.6.1,<1.7", "torch>=2.10", "pydicom>=2.4.5,!=3.0.0,!=3.0.1")
"""What never may be older or one of these versions, even where the package runs from its source folder."""

OPTIONAL = {
    "highdicom": "DICOM-SEG (predict --dicom_seg)",
    "onnxruntime": "exported ONNX networks",
    "monailabel": "the bundles in MONAI Label",
}
_IMPORTED = (
    "monai torch ignite numpy scipy skimage cv2 PIL nibabel pydicom itk matplotlib tensorboard".split()
)
_SECTION = "environment"
_UPGRADE = "pip install --upgrade"


def python_finding() -> Finding:
    """Whether this Python is one that the installed package admits."""
    version, wanted = platform.python_version(), _python_range()
    if not wanted or SpecifierSet(wanted).contains(version, prereleases=True):
        return Finding(_SECTION, "python", "ok", version + _inside(wanted))
    fix = "make an environment with such a Python, for instance `make train PYTHON=/path/to/python3.11`"
    return Finding(_SECTION, "python", "problem", f"{version}, but {wanted} is needed", fix)


def package_findings() -> list[Finding]:
    """Whether every required package is installed in a version of the range in the installed metadata.

    Returns:
        One finding for all packages that fit, one per package that does not, and a warning where
        monai-levelset itself is not installed.
    """
    findings = [] if _installed() else [_not_installed()]
    requirements = [*_requirements(), *map(Requirement, FLOORS)]
    found = [version_finding(requirement) for requirement in requirements]
    bad = {finding.check: finding for finding in found if finding.state != "ok"}
    good = {finding.check: finding.message for finding in found if finding.check not in bad}
    if good:
        shown = ", ".join(f"{name} {text.split(' ')[0]}" for name, text in sorted(good.items()))
        findings.append(Finding(_SECTION, "packages", "ok", shown))
    return findings + list(bad.values())


def version_finding(requirement: Requirement) -> Finding:
    """Whether one package is installed in a version that is admitted.

    Args:
        requirement: name and range.

    Returns:
        `ok`, or a problem with the command that solves it.

    Example:
        >>> version_finding(Requirement("torch>=99")).message
        '... is installed, but >=99 is needed'
        >>> version_finding(Requirement("no-such-package>=1")).fix
        "pip install --upgrade 'no-such-package>=1'"
    """
    name, fix = requirement.name, f"{_UPGRADE} '{requirement.name}{requirement.specifier}'"
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(_SECTION, name, "problem", "is not installed", fix)
    if requirement.specifier.contains(version, prereleases=True):
        return Finding(_SECTION, name, "ok", f"{version}{_inside(str(requirement.specifier))}")
    message = f"{version} is installed, but {requirement.specifier} is needed"
    return Finding(_SECTION, name, "problem", message, fix)


def import_findings(modules: Sequence[str] = _IMPORTED) -> list[Finding]:
    """Whether the required packages can be imported: a package of the right version may lack a library.

    Args:
        modules: what to import.

    Returns:
        One problem per module that cannot be imported, or one `ok`.
    """
    errors = {name: _import_error(name) for name in modules}
    broken = {name: error for name, error in errors.items() if error}
    fix = "install the package anew (pip install --force-reinstall), or the library that the message names"
    findings = [
        Finding(_SECTION, "import", "problem", f"{name} cannot be imported: {error}", fix)
        for name, error in broken.items()
    ]
    return findings or [Finding(_SECTION, "import", "ok", f"{', '.join(modules)} can be imported")]


def optional_findings() -> list[Finding]:
    """Which optional packages are there, and what each is for; none of them must be there."""
    ranges = {requirement.name: requirement for requirement in _requirements(optional=True)}
    return [_optional(ranges.get(name, Requirement(name)), purpose) for name, purpose in OPTIONAL.items()]


def _optional(requirement: Requirement, purpose: str) -> Finding:
    name, found = requirement.name, version_finding(requirement)
    wanted = f"{name}{requirement.specifier}"
    if found.message == "is not installed":
        return Finding(_SECTION, name, "ok", f"not installed; only for {purpose}: pip install '{wanted}'")
    if found.state != "ok":
        return Finding(_SECTION, name, "warning", f"{found.message} for {purpose}", found.fix)
    error = _import_error(name)
    if error:
        fix = f"pip install --force-reinstall '{wanted}'"
        return Finding(_SECTION, name, "warning", f"cannot be imported, for {purpose}: {error}", fix)
    return Finding(_SECTION, name, "ok", f"{found.message}, for {purpose}")


def _inside(wanted: str) -> str:
    return f" (in {wanted})" if wanted else ""


def _import_error(name: str) -> str:
    try:
        module = import_module(name)
        if name == "itk":  # its modules are loaded on first use
            module.ImageIOFactory  # noqa: B018
    except Exception as error:  # a broken package raises anything
        return (str(error).strip().splitlines() or [type(error).__name__])[0]
    return ""


def _installed() -> bool:
    try:
        metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return False
    return True


def _not_installed() -> Finding:
    fix = "pip install -e . -c constraints.txt in the checkout"
    return Finding(_SECTION, DISTRIBUTION, "warning", "runs from its source folder, it is not installed", fix)


def _python_range() -> str:
    return metadata.metadata(DISTRIBUTION)["Requires-Python"] or "" if _installed() else ""


def _requirements(*, optional: bool = False) -> list[Requirement]:
    """Those of the installed package: what it always needs, or what its extras add."""
    texts = (metadata.requires(DISTRIBUTION) or []) if _installed() else []
    found = [Requirement(text) for text in texts]
    return [
        requirement
        for requirement in found
        if optional == ("extra" in str(requirement.marker or ""))
        and (optional or requirement.marker is None or requirement.marker.evaluate())
    ]
