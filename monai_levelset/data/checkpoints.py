"""Refuse a checkpoint of another network before it is half loaded."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from monai_levelset.data.errors import DataError

__all__ = ["check_checkpoint"]

_NETWORK_KEYS = ("model", "network", "net", "state_dict")


def check_checkpoint(path: str | Path, network: nn.Module, *, max_shown: int = 5) -> dict[str, Tensor]:
    """Read a checkpoint safely and make sure that it belongs to `network`.

    Args:
        path: file written by `torch.save`: a state dict, or a dict that holds one under `model`, `network`,
            `net` or `state_dict`, as MONAI's `CheckpointSaver` writes. Read with `weights_only=True`.
        network: the network it should fit; it is not changed.
        max_shown: how many differing parameters the message names.

    Returns:
        The network's state dict, on the CPU.

    Raises:
        DataError: where the file is missing or corrupt, holds no weights, or names or shapes differ.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "model.pt"
        >>> torch.save(nn.Linear(2, 1).state_dict(), file)
        >>> sorted(check_checkpoint(file, nn.Linear(2, 1)))
        ['bias', 'weight']
    """
    path = Path(path)
    state = _network_state(path, _load(path))
    problems = _differences(state, network.state_dict())
    if problems:
        more = f" ... and {len(problems) - max_shown} more" if len(problems) > max_shown else ""
        raise DataError(
            f"{path}: this checkpoint belongs to another network than {type(network).__name__}: "
            f"{'; '.join(problems[:max_shown])}{more}. Give the checkpoint of this network, or the "
            f"configuration it was "
            "trained with."
        )
    return state


def _load(path: Path) -> Any:
    if not path.is_file():
        raise DataError(f"{path}: the checkpoint does not exist. Correct its path or train first.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise DataError(
            f"{path}: not a checkpoint that can be read safely (weights_only=True): it is corrupt, "
            f"truncated or holds "
            f"other objects than tensors ({reason}). Copy it again, or save only state dicts in it."
        ) from error


def _network_state(path: Path, content: Any) -> dict[str, Tensor]:
    candidates = [content]
    if isinstance(content, Mapping):
        candidates += [content[key] for key in _NETWORK_KEYS if key in content]
    for state in candidates:
        if isinstance(state, Mapping) and state and all(isinstance(v, Tensor) for v in state.values()):
            return dict(state)
    held = sorted(map(str, content)) if isinstance(content, Mapping) else type(content).__name__
    raise DataError(f"{path}: no network weights in it (it holds {held}). Save them under the key `model`.")


def _differences(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    problems = []
    for name, tensor in expected.items():
        if name not in state:
            problems.append(f"{name} is missing")
        elif state[name].shape != tensor.shape:
            problems.append(f"{name} has shape {tuple(state[name].shape)} instead of {tuple(tensor.shape)}")
    return problems + [f"{name} is not in the network" for name in state if name not in expected]
