"""Trainer of networks under a supervised and an unsupervised loss at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from monai.engines import SupervisedTrainer
from monai.utils.enums import CommonKeys as Keys
from torch import Tensor

from monai_levelset.losses import SemiSupervisedLoss

from .update_trainer import Outputs, UpdateTrainer


class SemiSupervisedTrainer(UpdateTrainer):
    """Semi-supervised training of Kim and Ye (2019): labelled images by their label, all by the image itself.

    One iteration is one update on one mini-batch of `SemiSupervisedLoss`, eq. 16:
    alpha L_sup(scores, label) + beta L_unsup(scores, image), alpha = 1 where the item has a label, else 0.
    The same trainer trains with all labels, where the second loss is a regulariser, and without any, as long
    as there is a second loss.

    The mini-batch holds `image` `(B, C, H, W)`, `label` `(B, 1, H, W)` with class numbers (any content where
    unlabelled; may be absent) and `labeled` (1 or 0 per item; absent: none is labelled). The augmentation
    moves the label, as one channel per class, and the image that the unsupervised loss measures; it changes
    the brightness of neither, so voxels that are 0 around a brain stay 0 for `ignore_value=0`.

    Args:
        loss_function: the two losses. The supervised one takes scores and class probabilities of the same
            shape, such as `torch.nn.CrossEntropyLoss`.
        classes: number of classes in the label, background included.
        measure: takes from a mini-batch's images what the unsupervised loss compares the scores with, such as
            `CentreSlice`; None: the images themselves.
        kwargs: arguments of `UpdateTrainer`.

    Raises:
        ValueError: a label holds a class that does not exist.

    The output of an iteration, for handlers, is `loss` and its two weighted parts `supervised` and
    `unsupervised`.

    Example:
        >>> from monai_levelset.losses import MumfordShahLoss
        >>> image, label = torch.rand(2, 1, 8, 8), torch.zeros(2, 1, 8, 8)
        >>> item = {"image": image, "label": label, "labeled": torch.tensor([1, 0])}
        >>> network = torch.nn.Conv2d(1, 2, 3, padding=1)
        >>> trainer = SemiSupervisedTrainer(
        ...     device=torch.device("cpu"), max_epochs=1, train_data_loader=[item], network=network,
        ...     optimizer=torch.optim.Adam(network.parameters()),
        ...     loss_function=SemiSupervisedLoss(torch.nn.CrossEntropyLoss(), MumfordShahLoss(softmax=True)))
        >>> trainer.run()
        >>> sorted(str(name) for name in trainer.state.output[0] if name not in ("image", "label", "pred"))
        ['loss', 'supervised', 'unsupervised']
    """

    def __init__(
        self,
        *,
        loss_function: SemiSupervisedLoss,
        classes: int = 2,
        measure: Callable[[Tensor], Tensor] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(loss_function=loss_function, **kwargs)
        self.losses, self.classes, self.measure = loss_function, classes, measure

    def _iteration(  # type: ignore[override]
        self, engine: SupervisedTrainer, batchdata: Mapping[str, Any]
    ) -> Outputs:
        image = self.on_device(batchdata[Keys.IMAGE])
        labeled = torch.as_tensor(batchdata.get("labeled", [0] * len(image)))
        label = self._one_channel_per_class(image, labeled, batchdata.get(Keys.LABEL))
        measured = image if self.measure is None else self.measure(image)

        def criterion(scores: Tensor, target: Tensor) -> dict[str, Tensor]:
            label, measured = target[:, : self.classes], target[:, self.classes :]
            parts = self.losses.parts(scores, label, measured, labeled)
            return {Keys.LOSS: torch.stack(list(parts.values())).sum(), **parts}

        return self.update(image, torch.cat([label, measured], 1), criterion)

    def _one_channel_per_class(self, image: Tensor, labeled: Tensor, label: Tensor | None) -> Tensor:
        shape = (len(image), self.classes, *image.shape[2:])
        if label is None:
            return image.new_zeros(shape)
        values = self.on_device(label).long()
        values = torch.where(labeled.to(values).reshape(-1, *[1] * (values.ndim - 1)) > 0, values, 0)
        if torch.device(self.state.device).type == "cpu" and int(values.max()) >= self.classes:
            raise ValueError(
                f"A label holds class {int(values.max())}, but `classes` is {self.classes}: it may hold 0 to "
                f"{self.classes - 1}."
            )
        return image.new_zeros(shape).scatter_(1, values, 1)
