"""Whether a bundle is complete, harmless and consistent; only harmless configurations are executed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from monai_levelset.bundles import bundle_folders, find_bundle
from monai_levelset.doctor.config_rules import (
    PACKAGES,
    expression_problems,
    expressions,
    imported_names,
    include_problems,
    included_files,
    target_problems,
    targets,
)
from monai_levelset.doctor.metadata_schema import metadata_problems, missing_packages
from monai_levelset.doctor.references import reference_problems
from monai_levelset.doctor.report import Finding
from monai_levelset.doctor.weights import hash_findings, network_finding, weights_findings

__all__ = ["FILES", "bundle_findings", "bundle_roots"]

FILES = (
    "LICENSE",
    "docs/README.md",
    "configs/metadata.json",
    "configs/train.json",
    "configs/inference.json",
)
_COPY = "copy the bundle again, or correct the file"


def bundle_roots(bundle: str | Path | None) -> list[Path]:
    """The folders of the bundles to look at.

    Args:
        bundle: name or folder of a bundle; None: all of the collection.

    Returns:
        Folders with a `configs`, complete or not.

    Raises:
        FileNotFoundError: there is no such bundle.
    """
    known = bundle_folders()
    if bundle is None:
        return known
    folders = [Path(bundle), *(root for root in known if root.name == str(bundle))]
    return [next((root for root in folders if (root / "configs").is_dir()), None) or find_bundle(bundle)]


def bundle_findings(root: str | Path) -> list[Finding]:
    """What is found about one bundle.

    Nothing of its configuration is executed unless every expression and every target of all its
    configuration files is on the allow-list; then its network is built and its weights are loaded into it.

    Args:
        root: the bundle's folder.

    Returns:
        Findings of the section `bundle NAME`.
    """
    root = Path(root).resolve()
    section = f"bundle {root.name}"
    findings = [_files(section, root), *_json(section, root)]
    if not any(finding.state == "problem" for finding in findings[1:]):
        findings += [*_metadata(section, root), *_rules(section, root)]
        if not any(finding.state == "problem" for finding in findings[1:]):
            findings += _references(section, root)
    findings += [*weights_findings(section, root), *hash_findings(section, root)]
    if (root / "models" / "model.pt").is_file():
        findings.append(_network(section, root, findings))
    return findings


def _files(section: str, root: Path) -> Finding:
    missing = [name for name in FILES if not (root / name).is_file()]
    if missing:
        return Finding(section, "files", "problem", f"missing: {', '.join(missing)}", "copy the bundle again")
    return Finding(section, "files", "ok", ", ".join(FILES))


def _json(section: str, root: Path) -> list[Finding]:
    problems = []
    for config in _configs(root):
        try:
            content = json.loads(config.read_text(encoding="utf-8"))
            problems += [] if isinstance(content, dict) else [f"configs/{config.name}: not a JSON object"]
        except json.JSONDecodeError as error:
            where = f"broken JSON in line {error.lineno}, column {error.colno}"
            problems.append(f"configs/{config.name}: {where}: {error.msg}")
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"configs/{config.name}: cannot be read as text in UTF-8: {error}")
    return _each(section, "json", problems, f"{len(_configs(root))} files in configs/", _COPY)


def _metadata(section: str, root: Path) -> list[Finding]:
    path = root / "configs" / "metadata.json"
    if not path.is_file():
        return []
    content = json.loads(path.read_text(encoding="utf-8"))
    problems = [f"configs/metadata.json: {problem}" for problem in metadata_problems(content)]
    said = f"version {content.get('version')}, complete"
    return [
        *_each(section, "metadata", problems, said, "fill it in as the model zoo's schema demands"),
        *(
            Finding(section, "requirements", "problem", f"{name} is not installed", f"pip install {name}")
            for name in missing_packages(content)
        ),
    ]


def _rules(section: str, root: Path) -> list[Finding]:
    names = imported_names(root)
    trust = "do not run this bundle unless you trust who wrote it; correct the entry"
    known = f"misspelt, or of a newer version; correct it: a target is of {', '.join(PACKAGES)}"
    executed = _places(root, expressions, lambda text: expression_problems(text, names))
    instances = _places(root, targets, target_problems)
    included = [f"configs/{c.name}: {problem}" for c in _configs(root) for problem in include_problems(c)]
    return [
        *_each(section, "expressions", executed, "all on the allow-list", trust),
        *_each(section, "targets", instances, f"all exist, of {', '.join(PACKAGES)}", known),
        *_each(section, "includes", included, "all of the bundle itself", _COPY),
    ]


def _references(section: str, root: Path) -> list[Finding]:
    configs = [root / "configs" / name for name in ("train.json", "inference.json")]
    alone = [config for config in configs if _stands_alone(config)]
    problems = [
        f"configs/{config.name}: {problem}" for config in alone for problem in reference_problems(config)
    ]
    fix = "misspelt, or left out; correct the entry"
    return _each(section, "references", problems, "all defined", fix) if alone else []


def _stands_alone(config: Path) -> bool:
    """Whether it is there and includes no file: MONAI looks for these in the working directory."""
    return config.is_file() and not included_files(config)


def _places(
    root: Path,
    find: Callable[[Path], Iterable[tuple[str, str]]],
    check: Callable[[str], list[str]],
) -> list[str]:
    return [
        f"configs/{config.name}{place}: {problem}"
        for config in _configs(root)
        for place, text in find(config)
        for problem in check(text)
    ]


def _network(section: str, root: Path, findings: Iterable[Finding]) -> Finding:
    gates = ("json", "expressions", "targets", "includes")
    unsafe = [f.check for f in findings if f.check in gates and f.state == "problem"]
    if not unsafe and _stands_alone(root / "configs" / "inference.json"):
        return network_finding(section, root)
    reason = f"of the {unsafe[0]}" if unsafe else "inference.json is missing or includes other files"
    message = f"not built, nothing of the configuration was executed, because {reason}"
    return Finding(section, "network", "warning", message, "solve the problems above first")


def _configs(root: Path) -> list[Path]:
    return sorted((root / "configs").glob("*.json"))


def _each(section: str, check: str, problems: Iterable[str], good: str, fix: str) -> list[Finding]:
    """One finding per problem, or one that all is well."""
    found = [Finding(section, check, "problem", problem, fix) for problem in dict.fromkeys(problems)]
    return found or [Finding(section, check, "ok", good)]
