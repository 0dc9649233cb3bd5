"""Optic disc and cup in Kim et al. (2019)'s comparison: MONAI's U-Net on shrunken fundus photographs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from monai.networks.nets import UNet
from monai.utils import set_determinism
from numpy.typing import NDArray
from torch import Tensor, nn

from monai_levelset.data import check_items, load_section, split_patients, write_datalist
from monai_levelset.data.datalist import Item
from monai_levelset.metrics import load_volume
from monai_levelset.report import atomic_path, write_json
from monai_levelset.reproduce.kim2019_task import Views
from monai_levelset.reproduce.kim2019_updates import Updates
from monai_levelset.reproduce.parts import INNER, find_parts
from monai_levelset.reproduce.stages import read_json
from monai_levelset.reproduce.targets import Target
from monai_levelset.transforms import BatchAugmentation

SIZE = (192, 160)
CLASSES = 3
UPDATES, BATCH, RATE = 500, 4, 3e-3


@dataclass(frozen=True)
class FundusTask:
    """Photographs of 192 x 160 pixels, scored on the photographs' own grid; no checkpoint is chosen.

    Attributes:
        data: folder with a data list of training, validation and test.
        epochs: passes over the training photographs; None: 500 updates.
    """

    data: Path
    epochs: int | None = None
    name: str = "fundus"
    tolerance: float = 8.0
    scored: str = "test"
    structures: dict[str, tuple[int, ...]] = field(default_factory=lambda: {"disc": (1, 2), "cup": (2,)})

    @classmethod
    def find(cls, data: Path, out: Path, epochs: int | None) -> FundusTask:
        """Prepare and check the data. The published validation part is reported on.

        Raises:
            DataError: they are unfit.
        """
        target = Target("kim2019-losses", bundle="", labeled_fraction=1.0, paper={}, dataset="drishti")
        parts = find_parts(target, data, out)
        folder = parts.folder if parts.inner else _with_validation(parts.folder, out.absolute() / "data")
        for section in ("training", "validation", "test"):
            check_items(load_section(folder, section), label_values=range(CLASSES))
        return cls(folder, epochs)

    def train(self, folder: Path, weight: float, seed: int) -> None:
        """See `Task`."""
        items = load_section(self.data, "training")
        updates = UPDATES if self.epochs is None else max(1, self.epochs * len(items) // BATCH)
        settings = {"data": str(self.data), "weight": weight, "seed": seed, "updates": updates}
        done = folder / "finished.json"
        if done.is_file() and read_json(done)["settings"] == settings:
            return
        set_determinism(seed)
        images, labels = _pictures(items)
        step = Updates(_network(), weight, _augmentation(), rate=RATE, total=updates)
        order = torch.cat([torch.randperm(len(items)) for _ in range(updates * BATCH // len(items) + 1)])
        for chosen in order[: updates * BATCH].split(BATCH):
            step(images[chosen], labels[chosen])
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(folder / "model.pt") as temporary:
            torch.save(step.network.state_dict(), temporary)
        write_json(done, {"settings": settings})

    def network(self, folder: Path) -> nn.Module:
        """See `Task`."""
        network = _network()
        network.load_state_dict(torch.load(folder / "model.pt", weights_only=True))
        return network.eval()

    def views(self, section: str) -> Views:
        """See `Task`."""
        items = load_section(self.data, section)
        truths = [np.array(load_volume(item["label"]).array, dtype=np.uint8) for item in items]

        def predict(index: int, probability: Tensor) -> NDArray[Any]:
            shape = truths[index].shape
            large = F.interpolate(probability[None], shape, mode="bilinear", align_corners=False)
            return large[0].argmax(0).numpy().astype(np.uint8)

        return Views([item["id"] for item in items], _pictures(items)[0], predict, truths)

    def step(self, weight: float) -> Callable[[], object]:
        """See `Task`."""
        updates = Updates(_network(), weight, _augmentation(), rate=RATE, total=1_000_000)
        images = torch.randn(BATCH, 3, *SIZE, generator=torch.Generator().manual_seed(0))
        labels = torch.zeros(BATCH, 1, *SIZE, dtype=torch.long)
        labels[..., 80:110, 70:100] = 1
        labels[..., 88:102, 78:92] = 2
        return lambda: updates(images, F.one_hot(labels[:, 0], CLASSES).permute(0, 3, 1, 2).float())


def _with_validation(data: Path, home: Path) -> Path:
    """A data list with a validation section, drawn from the training patients if there is none."""
    if not (data / "datalist.json").is_file() or "validation" in read_json(data / "datalist.json"):
        return data
    parts = split_patients(
        load_section(data, "training"), {"training": 1 - INNER, "validation": INNER}, seed=0
    )
    write_datalist(home / "datalist.json", {**parts, "test": load_section(data, "test")})
    return home


def _network() -> UNet:
    network = UNet(2, 3, CLASSES, channels=(16, 32, 64, 128, 128), strides=(2, 2, 2, 2))
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _augmentation() -> BatchAugmentation:
    return BatchAugmentation(rotation=0.5, shift=0.2)


def _pictures(items: list[Item]) -> tuple[Tensor, Tensor]:
    """Images `(N, 3, 192, 160)`, each of mean 0 and standard deviation 1, and one-hot labels."""
    images, labels = [], []
    for item in items:
        colours = torch.tensor(load_volume(item["image"]).array, dtype=torch.float32).permute(2, 0, 1)
        image = F.interpolate(colours[None], SIZE, mode="area")
        images.append((image - image.mean()) / image.std().clamp_min(1e-6))
        if item["labeled"]:
            label = torch.tensor(load_volume(item["label"]).array, dtype=torch.long)
            shares = F.one_hot(label, CLASSES).permute(2, 0, 1)[None].float()
            shares = F.interpolate(shares, SIZE, mode="area").argmax(1)
            labels.append(F.one_hot(shares, CLASSES).permute(0, 3, 1, 2).float())
    return torch.cat(images), torch.cat(labels)
