"""Trainer of networks whose moving average labels the images that no one has labelled."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from monai.engines import SupervisedTrainer
from monai.utils.enums import CommonKeys as Keys
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from monai_levelset.levelset.precision import mixed_precision
from monai_levelset.losses import MeanTeacherLoss

from .update_trainer import Augmentation, Outputs, UpdateTrainer


class MeanTeacherTrainer(UpdateTrainer):
    """Mean-teacher training (Tarvainen and Valpola 2017) on labelled and unlabelled images.

    One iteration is one update on one mini-batch. The teacher, the moving average of the network's weights,
    segments the unlabelled images as they are; `pseudo_label` makes of its probabilities what the network
    shall learn, for example by a level set. Then images and labels are augmented, and `mix` exchanges parts
    of labelled and unlabelled images: the network has to find in a changed image what the teacher found in
    the plain one. A voxel that a person labelled weighs 1 in the loss, one that the teacher labelled
    `pseudo_weight` exp(-5 (1 - t)^2), where t rises from 0 to 1 in the first `ramp_updates` updates (Laine
    and Aila 2017). Without unlabelled images, or with `pseudo_weight` 0, the training is supervised.

    The mini-batch holds `image` `(B, C, H, W)`, `label` `(B, K, H, W)`, the probabilities of K classes, any
    content where unlabelled, and `labeled` (1 or 0 per item; absent: all are labelled). `CopyPaste` mixes
    labelled with unlabelled images where the labelled ones are the first half, as they are in the
    mini-batches of `TwoStreamBatchSampler` with as many of each.

    Args:
        teacher: the network's average, such as `torch.optim.swa_utils.AveragedModel(network,
            multi_avg_fn=get_ema_multi_avg_fn(0.99), use_buffers=True)`; updated after each step. It is what
            should be validated and kept.
        loss_function: of scores, class probabilities, weights, and images of unchanged brightness.
        pseudo_label: (probabilities `(U, K, H, W)`, images) -> class probabilities to learn from; None: 1 for
            the most probable class.
        augment: see `UpdateTrainer`.
        mix: mixes the augmented images and targets, such as `CopyPaste`; None: nothing is mixed.
        pseudo_weight: of a voxel that the teacher labelled, after the ramp, in [0, 0.99].
        ramp_updates: length of the ramp; 0: there is none.
        kwargs: arguments of `UpdateTrainer`.

    Raises:
        ValueError: `pseudo_weight` or `ramp_updates` is out of range.

    The output of an iteration, for handlers, is `loss` and its weighted parts, see `MeanTeacherLoss`.

    Example:
        >>> from torch.optim.swa_utils import get_ema_multi_avg_fn
        >>> image, label = torch.rand(2, 1, 8, 8), torch.ones(2, 2, 8, 8) / 2
        >>> item = {"image": image, "label": label, "labeled": torch.tensor([1, 0])}
        >>> network = torch.nn.Conv2d(1, 2, 3, padding=1)
        >>> teacher = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.99), use_buffers=True)
        >>> trainer = MeanTeacherTrainer(
        ...     device=torch.device("cpu"), max_epochs=1, train_data_loader=[item], network=network,
        ...     optimizer=torch.optim.Adam(network.parameters()), loss_function=MeanTeacherLoss(),
        ...     teacher=teacher)
        >>> trainer.run()
        >>> int(teacher.n_averaged)
        1
    """

    def __init__(
        self,
        *,
        teacher: AveragedModel,
        loss_function: MeanTeacherLoss,
        augment: Augmentation | None = None,
        pseudo_label: Callable[[Tensor, Tensor], Tensor] | None = None,
        mix: Augmentation | None = None,
        pseudo_weight: float = 0.5,
        ramp_updates: int = 0,
        **kwargs: Any,
    ) -> None:
        if not 0 <= pseudo_weight <= 0.99:
            raise ValueError(
                f"`pseudo_weight` is less than a person's label counts, in [0, 0.99], got {pseudo_weight}."
            )
        if not ramp_updates >= 0:
            raise ValueError(f"`ramp_updates` must not be negative, got {ramp_updates}.")
        super().__init__(loss_function=loss_function, augment=_one_after_the_other(augment, mix), **kwargs)
        self.teacher = teacher.eval()
        self.losses = loss_function
        self.pseudo_label = most_probable if pseudo_label is None else pseudo_label
        self.pseudo_weight, self.ramp_updates = pseudo_weight, ramp_updates

    def _iteration(  # type: ignore[override]
        self, engine: SupervisedTrainer, batchdata: Mapping[str, Any]
    ) -> Outputs:
        image, label = self.on_device(batchdata[Keys.IMAGE]), self.on_device(batchdata[Keys.LABEL])
        labeled = torch.as_tensor(batchdata.get("labeled", [1] * len(image))).reshape(-1)
        weight = labeled.to(image, non_blocking=True).reshape(-1, 1, 1, 1).expand_as(label[:, :1])
        label = torch.where(weight > 0, label.to(image), 0)
        label = self._labelled_by_teacher(
            image, torch.cat([label, weight], 1), (labeled < 0.5).nonzero()[:, 0]
        )
        classes = label.shape[1] - 1

        def criterion(scores: Tensor, target: Tensor) -> dict[str, Tensor]:
            label, weight, plain = target.split([classes, 1, image.shape[1]], 1)
            parts = self.losses.parts(scores, label, weight, plain)
            return {Keys.LOSS: torch.stack(list(parts.values())).sum(), **parts}

        return self.update(image, torch.cat([label, image], 1), criterion)

    def trust(self) -> float:
        """Weight of the teacher's labels in the next update."""
        if self.state.updates >= self.ramp_updates:
            return self.pseudo_weight
        return self.pseudo_weight * math.exp(-5 * (1 - self.state.updates / self.ramp_updates) ** 2)

    @torch.no_grad()
    def _labelled_by_teacher(self, image: Tensor, label: Tensor, unlabeled: Tensor) -> Tensor:
        """Classes and weight, `(B, K + 1, H, W)`; `unlabeled` are the places of items without label."""
        trust = self.trust()
        if len(unlabeled) == 0 or trust == 0:
            return label
        places = unlabeled.to(image.device, non_blocking=True)
        images = image.index_select(0, places)
        with mixed_precision(self.state.device, enabled=self.autocast):
            scores = self.teacher(images.contiguous(memory_format=torch.channels_last))
        found = self.pseudo_label(scores.float().softmax(1), images).to(label)
        weight = torch.full_like(found[:, :1], trust)
        return label.index_copy(0, places, torch.cat([found, weight], 1))

    def _step(self, loss: Tensor) -> None:
        super()._step(loss)
        self.teacher.update_parameters(getattr(self.network, "module", self.network))


def most_probable(probability: Tensor, image: Tensor | None = None) -> Tensor:
    """1 for the most probable class of each voxel, else 0; `(B, K, *spatial)`, the image does not matter.

    Example:
        >>> most_probable(torch.tensor([[0.2], [0.5], [0.3]])[None])[0, :, 0]
        tensor([0., 1., 0.])
    """
    best = probability.argmax(1, keepdim=True)
    return torch.zeros_like(probability).scatter_(1, best, 1)


def _one_after_the_other(*steps: Augmentation | None) -> Augmentation:
    taken = [step for step in steps if step is not None]

    def apply(image: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        for step in taken:
            image, target = step(image, target)
        return image, target

    return apply
