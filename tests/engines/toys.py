"""A joint training that takes milliseconds, shared by the engines' tests and run as a program by one of them.

python toys.py FOLDER EPOCHS RESUME
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Events
from monai.engines import SupervisedEvaluator
from torch import Tensor, nn
from torch.utils.data import DataLoader

from monai_levelset.engines import (
    BestNetwork,
    FCNLevelSetTrainer,
    MemoryReplay,
    RunCheckpoint,
    UpdateValidationHandler,
)
from monai_levelset.networks import ShallowFCN
from monai_levelset.transforms import BatchAugmentation, LevelSetRefinement

SIZE = 16


def network(seed: int = 0) -> ShallowFCN:
    torch.manual_seed(seed)
    return ShallowFCN(channels=(3, 4), pools=(2, 1), ups=((4, 2),))


def items(count: int = 5, unlabeled: int = 2, seed: int = 0) -> list[dict[str, Any]]:
    """Noisy discs; the last `unlabeled` have no label."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.arange(float(SIZE)) - SIZE / 2
    found = []
    for k in range(count):
        row, column = 4 * torch.rand(2, generator=generator) - 2
        label = (((x[:, None] - row) ** 2 + (x - column) ** 2).sqrt() < 4.5).float()[None]
        image = label + 0.3 * torch.randn(1, SIZE, SIZE, generator=generator)
        labeled = int(k < count - unlabeled)
        found.append({"image": image, "label": label * labeled, "labeled": labeled})
    return found


def batch(count: int = 4, unlabeled: int = 2, seed: int = 0) -> dict[str, Tensor]:
    """One mini-batch of `items`."""
    drawn = items(count, unlabeled, seed)
    stacked = {key: torch.stack([item[key] for item in drawn]) for key in ("image", "label")}
    return {**stacked, "labeled": torch.tensor([item["labeled"] for item in drawn])}


def trainer(net: nn.Module, data: Any, **changes: Any) -> FCNLevelSetTrainer:
    """A trainer with plain SGD, cross entropy and a quick refinement."""
    arguments: dict[str, Any] = {
        "device": torch.device("cpu"),
        "max_epochs": 1,
        "train_data_loader": data,
        "network": net,
        "optimizer": torch.optim.SGD(net.parameters(), lr=0.1),
        "loss_function": nn.CrossEntropyLoss(reduction="none"),
        "refinement": LevelSetRefinement(steps=2),
    }
    return FCNLevelSetTrainer(**{**arguments, **changes})


def joint_run(folder: Path, epochs: int, *, resume: bool = False, **changes: Any) -> dict[str, Any]:
    """Everything a run has: shuffled data, augmentation, replay, schedule, validation, checkpoint."""
    net = network()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=400)
    replay, best = MemoryReplay(2), BestNetwork(folder / "model.pt", net, "score")
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(items(2, 0, seed=9), batch_size=2),
        network=net,
        decollate=False,
    )

    @evaluator.on(Events.EPOCH_COMPLETED)
    def score(engine: SupervisedEvaluator) -> None:
        engine.state.metrics["score"] = -nn.functional.cross_entropy(
            engine.state.output["pred"], engine.state.output["label"][:, 0].long()
        ).item()

    best.attach(evaluator)
    objects = {"model": net, "optimizer": optimizer, "scheduler": scheduler, "replay": replay, "best": best}
    run = trainer(
        net,
        DataLoader(items(), batch_size=3, shuffle=True),
        max_epochs=epochs,
        optimizer=optimizer,
        scheduler=scheduler,
        replay=replay,
        augment=BatchAugmentation(size=(12, 12)),
        ramp_updates=10,
        train_handlers=[
            UpdateValidationHandler(3, evaluator),
            RunCheckpoint(folder / "run.pt", objects, resume=resume),
        ],
        **changes,
    )
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 - the global generator is part of a checkpoint
    torch.manual_seed(1)
    return {"trainer": run, "evaluator": evaluator, **objects}


if __name__ == "__main__":
    torch.set_num_threads(1)
    pieces = joint_run(Path(sys.argv[1]), int(sys.argv[2]), resume=sys.argv[3] == "True")

    @pieces["trainer"].on(Events.EPOCH_COMPLETED)
    def say(engine: FCNLevelSetTrainer) -> None:
        print(engine.state.epoch, flush=True)

    pieces["trainer"].run()
