"""Trainer of networks that draw a level set from the clicks on an object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from monai.engines import SupervisedTrainer
from monai.utils.enums import CommonKeys as Keys
from torch import Tensor

from monai_levelset.losses import DeepLevelSetLoss, DeepLevelSetOutput

from .update_trainer import Outputs, UpdateTrainer


class DeepLevelSetTrainer(UpdateTrainer):
    """Train the deep level set of Zheng et al.: warm-up, then cross entropy on H(phi_T) and boundary loss.

    One iteration is one update. During the first `warm_up_updates` the loss also draws phi_0 to the true
    distance and the motion field to its direction; the paper warms up for 5 of its 100 epochs.

    The mini-batch holds `image` `(B, C, H, W)` and `label` `(B, 1, H, W)`, a mask per item: views of objects,
    of which `augment` makes the network's inputs, see `SimulatedClicks`.

    Args:
        loss_function: the criterion; its attribute `warm_up` is set before each update.
        warm_up_updates: number of updates with the warm-up terms.
        kwargs: arguments of `UpdateTrainer`.

    Raises:
        ValueError: `warm_up_updates` is negative.

    The output of an iteration, for handlers, is `loss` and its weighted parts: `cross_entropy`, `boundary`,
    `distance`, `direction`, as far as they are on.

    Example:
        >>> from monai_levelset.networks import DeepLevelSetNetwork
        >>> from monai_levelset.transforms import SimulatedClicks
        >>> label = torch.zeros(2, 1, 48, 48)
        >>> label[..., 12:30, 20:40] = 1
        >>> network = DeepLevelSetNetwork(3, "resnet18", width=0.125, skip_channels=8, head_channels=8)
        >>> trainer = DeepLevelSetTrainer(
        ...     device=torch.device("cpu"), max_epochs=1, network=network, warm_up_updates=1,
        ...     train_data_loader=[{"image": torch.rand(2, 1, 48, 48), "label": label}],
        ...     optimizer=torch.optim.SGD(network.parameters(), 3e-4, momentum=0.9),
        ...     loss_function=DeepLevelSetLoss(), augment=SimulatedClicks(32))
        >>> trainer.run()
        >>> sorted(str(name) for name in trainer.state.output[0] if name not in ("image", "label", "pred"))
        ['boundary', 'cross_entropy', 'direction', 'distance', 'loss']
    """

    def __init__(self, *, loss_function: DeepLevelSetLoss, warm_up_updates: int = 0, **kwargs: Any) -> None:
        if warm_up_updates < 0:
            raise ValueError(f"`warm_up_updates` must not be negative, got {warm_up_updates}.")
        super().__init__(loss_function=loss_function, **kwargs)
        self.losses, self.warm_up_updates = loss_function, warm_up_updates

    def _iteration(  # type: ignore[override]
        self, engine: SupervisedTrainer, batchdata: Mapping[str, Any]
    ) -> Outputs:
        self.losses.warm_up = self.state.updates < self.warm_up_updates

        def criterion(output: DeepLevelSetOutput, target: Tensor) -> dict[str, Tensor]:
            parts = self.losses.parts(output, target)
            return {Keys.LOSS: torch.stack(list(parts.values())).sum(), **parts}

        return self.update(
            self.on_device(batchdata[Keys.IMAGE]), self.on_device(batchdata[Keys.LABEL]), criterion
        )
