"""The left ventricle of Kim et al. (2019)'s comparison: the left-ventricle bundle, trained on all labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from numpy.typing import NDArray
from torch import Tensor, nn

from monai_levelset.data import load_section
from monai_levelset.engines import FCNLevelSetTrainer
from monai_levelset.reproduce.kim2019_task import Views
from monai_levelset.reproduce.models import load_network
from monai_levelset.reproduce.parts import check_parts, find_parts
from monai_levelset.reproduce.sections import Section
from monai_levelset.reproduce.stages import budget, setting, train
from monai_levelset.reproduce.targets import Stage, Target

TARGET = Target(
    "kim2019-losses",
    bundle="lv_mri_levelset_segmentation",
    labeled_fraction=1.0,
    paper={},
    overrides=("baseline",),
)


@dataclass(frozen=True)
class VentricleTask:
    """Sunnybrook slices and the bundle's network, mini-batch, augmentation and checkpoint choice.

    Attributes:
        data: folder with a data list, or the Sunnybrook pictures.
        scored: section of the table.
        epochs: passes over the training slices; None: the bundle's number of updates.
    """

    data: Path
    scored: str
    epochs: int | None = None
    name: str = "lv"
    tolerance: float = 2.0
    structures: dict[str, tuple[int, ...]] = field(default_factory=lambda: {"left ventricle": (1,)})

    @classmethod
    def find(cls, data: Path, out: Path, epochs: int | None) -> VentricleTask:
        """Check the data.

        Raises:
            DataError: they are unfit.
        """
        parts = find_parts(TARGET, data, out)
        check_parts(parts)
        return cls(parts.folder, parts.scored, epochs)

    def train(self, folder: Path, weight: float, seed: int) -> None:
        """See `Task`."""
        name = "level_set_loss" if weight else "baseline"
        settings = {"level_set_weight": weight} if weight else {}
        stage = Stage(folder.name, name, settings=settings)
        train(TARGET, stage, folder.parent, data=self.data, seed=seed, updates=self._updates())

    def _updates(self) -> int:
        stage = Stage("", "baseline")
        if self.epochs is None:
            return budget(TARGET, stage)
        items = len(load_section(self.data, "training"))
        return max(1, self.epochs * items // int(setting(TARGET, stage, "batch_size")))

    def network(self, folder: Path) -> nn.Module:
        """See `Task`."""
        network = load_network(TARGET, folder).eval()
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def views(self, section: str) -> Views:
        """See `Task`."""
        found = Section.load(TARGET, self.data, self._section(section))

        def predict(index: int, probability: Tensor) -> NDArray[Any]:
            return np.asarray(found.laid_back(index, probability[1:]) > 0.5, dtype=np.uint8)

        truths = [label.astype(np.uint8) for label in found.labels]
        return Views([item["id"] for item in found.items], found.batch(), predict, truths)

    def files(self, section: str) -> list[Path]:
        """The images of a section."""
        return [Path(item["image"]) for item in load_section(self.data, self._section(section))]

    def _section(self, name: str) -> str:
        return self.scored if name == "test" else name

    def step(self, weight: float) -> Callable[[], object]:
        """See `Task`: through the trainer, with the bundle's augmentation and optimiser."""
        parser = ConfigParser()
        parser.read_config(TARGET.files("level_set_loss" if weight else "baseline"))
        parser.update({"level_set_weight": weight, "device": "cpu"})
        parts = {name: parser.get_parsed_content(name) for name in ("network", "loss", "optimizer")}
        augment = parser.get_parsed_content("train#augmentation")
        trainer = FCNLevelSetTrainer(
            device=torch.device("cpu"),
            max_epochs=1,
            train_data_loader=[],
            network=parts["network"],
            loss_function=parts["loss"],
            optimizer=parts["optimizer"],
            augment=augment,
        )
        image, label = _mini_batch(int(parser["batch_size"]), parser["field_size"])

        def criterion(scores: Tensor, target: Tensor) -> dict[str, Tensor]:
            losses = parts["loss"](scores, torch.cat([1 - target, target], 1))
            return {"loss": losses.mean()}

        return lambda: trainer.update(image, label, criterion)


def _mini_batch(size: int, field_size: list[int]) -> tuple[Tensor, Tensor]:
    """Noisy bright discs: what an update takes does not depend on what the images show."""
    generator = torch.Generator().manual_seed(0)
    rows, columns = torch.meshgrid(*(torch.arange(float(n)) - n / 2 for n in field_size), indexing="ij")
    label = (rows.square() + columns.square() < 20**2).float().expand(size, 1, -1, -1).contiguous()
    return label + torch.randn(label.shape, generator=generator), label
