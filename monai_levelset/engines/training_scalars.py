"""What an update can say in numbers."""

from __future__ import annotations

from typing import Any

import torch
from ignite.engine import Engine
from monai.utils.enums import CommonKeys as Keys

__all__ = ["training_scalars", "validation_scalars"]

_TENSORS = (Keys.IMAGE, Keys.LABEL, Keys.PRED)


def training_scalars(engine: Engine) -> dict[str, float]:
    """The loss of the last update, its parts and the learning rate; read from the device in one go.

    Args:
        engine: an `UpdateTrainer` after an update.

    Returns:
        Name -> value; `learning_rate` is that of the optimiser's first group.

    Example:
        >>> from types import SimpleNamespace
        >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
        >>> state = SimpleNamespace(output=[{"loss": torch.tensor(2.0), "image": torch.zeros(1, 1, 4, 4)}])
        >>> training_scalars(SimpleNamespace(state=state, optimizer=optimizer))
        {'loss': 2.0, 'learning_rate': 0.5}
    """
    trainer: Any = engine
    losses = {str(name): value for name, value in trainer.state.output[0].items() if name not in _TENSORS}
    values = torch.stack([value.detach().float() for value in losses.values()]).tolist()
    return {
        **dict(zip(losses, values, strict=True)),
        "learning_rate": float(trainer.optimizer.param_groups[0]["lr"]),
    }


def validation_scalars(engine: Engine) -> dict[str, float]:
    """The metrics of a validation that are single numbers.

    Args:
        engine: an evaluator after its run.

    Returns:
        Name -> value.

    Example:
        >>> from types import SimpleNamespace
        >>> validation_scalars(SimpleNamespace(state=SimpleNamespace(metrics={"dice": torch.tensor(0.5)})))
        {'dice': 0.5}
    """
    metrics = {name: torch.as_tensor(value) for name, value in engine.state.metrics.items()}
    return {name: float(value) for name, value in metrics.items() if value.numel() == 1}
