"""Whether a bundle's weights are there, are those of its model card, and fit its network."""

from __future__ import annotations

import hashlib
import pickle
import re
from pathlib import Path

import torch
from monai.bundle import ConfigParser

from monai_levelset.data.checkpoints import check_checkpoint
from monai_levelset.data.errors import DataError
from monai_levelset.doctor.report import Finding, readable_size

__all__ = ["hash_findings", "network_finding", "stated_hashes", "weights_findings"]

_ROW = re.compile(r"^\| *`([\w./-]+)` *\| *`([0-9a-fA-F]{64})` *\|", re.MULTILINE)
_READ_ERRORS = (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError)
_AGAIN = "copy the file again"


def weights_findings(section: str, root: Path) -> list[Finding]:
    """Whether there are weights, and whether each file of them is read with `weights_only=True`.

    Args:
        section: of the findings.
        root: the bundle's folder.

    Returns:
        One finding per file in `models`, and one where `model.pt` is missing.
    """
    files = sorted((root / "models").glob("*.pt"))
    findings = [_readable(section, file) for file in files]
    if (root / "models" / "model.pt") in files:
        return findings
    if (root / "large_files.yml").is_file():
        fix = "python -m monai.bundle download_large_files --bundle_path " + str(root)
        return [*findings, Finding(section, "weights", "problem", "models/model.pt is not downloaded", fix)]
    fix = "train the bundle, or copy its weights there"
    return [*findings, Finding(section, "weights", "problem", "models/model.pt is missing", fix)]


def hash_findings(section: str, root: Path) -> list[Finding]:
    """Whether the files in `models` are those that the model card describes.

    Args:
        section: of the findings.
        root: the bundle's folder.

    Returns:
        Findings about each file whose SHA-256 the card states, and about a `model.pt` that it does not name.
        Other weights are a problem, but only a warning where the bundle was trained in its folder.
    """
    stated = stated_hashes(root)
    wrong = [_hash(section, root, name, expected) for name, expected in stated.items()]
    findings = [finding for finding in wrong if finding is not None]
    if "model.pt" not in stated and (root / "models" / "model.pt").is_file():
        message = "docs/README.md states no SHA-256 of model.pt"
        fix = f"add it, if you trust the file: | `model.pt` | `{_digest(root / 'models' / 'model.pt')}` |"
        findings.append(Finding(section, "sha-256", "warning", message, fix))
    if findings or not stated:
        return findings
    return [Finding(section, "sha-256", "ok", f"{', '.join(stated)} as docs/README.md states")]


def stated_hashes(root: Path) -> dict[str, str]:
    """The table of a model card.

    Args:
        root: the bundle's folder.

    Returns:
        Name of a file in `models` -> SHA-256; empty where there is no card or no table.
    """
    card = root / "docs" / "README.md"
    if not card.is_file():
        return {}
    rows = _ROW.findall(card.read_text(encoding="utf-8", errors="replace"))
    return {Path(name).name: digest.lower() for name, digest in rows}


def network_finding(section: str, root: Path) -> Finding:
    """Whether `models/model.pt` fits the network of `inference.json`, which is executed for that.

    Args:
        section: of the finding.
        root: the folder of a bundle whose configurations are harmless.

    Returns:
        `ok` with the number of parameters, or a problem.
    """
    parser = ConfigParser()
    parser.read_config(root / "configs" / "inference.json")
    parser["bundle_root"] = str(root)
    try:
        network = parser.get_parsed_content("network_def")
    except Exception as error:  # a wrong configuration raises anything
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        message = f"network_def of configs/inference.json cannot be built: {reason}"
        return Finding(section, "network", "problem", message, "correct it, or copy the bundle again")
    if not isinstance(network, torch.nn.Module):
        message = f"network_def of configs/inference.json is no network but a {type(network).__name__}"
        return Finding(section, "network", "problem", message, "correct it, or copy the bundle again")
    try:
        check_checkpoint(root / "models" / "model.pt", network)
    except DataError as error:
        return Finding(section, "network", "problem", str(error))
    count = sum(parameter.numel() for parameter in network.parameters())
    message = f"model.pt fits {type(network).__name__}, {count:,} parameters"
    return Finding(section, "network", "ok", message)


def _readable(section: str, file: Path) -> Finding:
    try:
        torch.load(file, map_location="cpu", weights_only=True)
    except _READ_ERRORS as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        message = f"models/{file.name}: truncated, damaged, or not only tensors (weights_only=True): {reason}"
        return Finding(section, "weights", "problem", message, f"{_AGAIN}, or save only state dicts in it")
    return Finding(section, "weights", "ok", f"models/{file.name}, {readable_size(file.stat().st_size)}")


def _hash(section: str, root: Path, name: str, expected: str) -> Finding | None:
    file = root / "models" / name
    if not file.is_file():
        if name == "model.pt":  # told by `weights_findings`
            return None
        message = f"models/{name} is named in docs/README.md, but is missing"
        return Finding(section, "sha-256", "warning", message, f"{_AGAIN}, or export or train it")
    if _digest(file) == expected:
        return None
    message = f"models/{name} is not the file that docs/README.md describes (SHA-256 {expected[:12]}...)"
    if (root / "eval" / "checkpoint.pt").is_file():
        fix = "none, if they are of the training in eval/"
        return Finding(section, "sha-256", "warning", message, fix)
    fix = f"{_AGAIN}; if you trained it yourself, state its SHA-256 in docs/README.md: {_digest(file)}"
    return Finding(section, "sha-256", "problem", message, fix)


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
