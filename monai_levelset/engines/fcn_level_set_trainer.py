"""Trainer of the integrated FCN and level set: labels where there are some, level sets elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from monai.engines import SupervisedTrainer
from monai.utils.enums import CommonKeys as Keys
from torch import Tensor

from monai_levelset.transforms import LevelSetRefinement

from .memory_replay import MemoryReplay
from .update_trainer import Outputs, UpdateTrainer


class FCNLevelSetTrainer(UpdateTrainer):
    """Joint semi-supervised training of Tang et al. (2017), section 2.2.

    One iteration takes one mini-batch. Labelled images keep their label. Every unlabelled image goes through
    the network as it stands; the level set refines the probability map; the result is the label (cross
    entropy, eq. 5; no gradient passes through the level set). The mini-batch is trained on, then it enters
    the replay buffer, whose passes give more updates. Every update augments its mini-batch anew.

    Without unlabelled items and with `replay=None` this is plain supervised training, so that all models of a
    comparison run through the same code. What an update is, see `UpdateTrainer`.

    The mini-batch holds `image`, `label` (any content where unlabelled) and `labeled` (1 or 0 per item).

    Args:
        refinement: makes the soft label of an unlabelled image from its foreground probability.
        replay: the buffer, or None.
        unlabeled_weight: weight of an unlabelled image's loss, once ramped up.
        ramp_updates: the weight of unlabelled images grows linearly from 0 over this many updates.
        views: the probability of an unlabelled image is averaged over this many quarter turns (1, 2 or 4).
        min_agreement: an unlabelled image whose probability p and refined soft mask m agree less than this,
            2 sum(p m) / (sum(p) + sum(m)), is left out: a label that the network contradicts is often wrong.
        kwargs: arguments of `UpdateTrainer`. `loss_function` takes class scores
            `(B, C, H, W)` and class probabilities of the same shape, and returns one loss per item `(B,)` or
            per pixel.

    Raises:
        ValueError: an unlabelled item arrives and there is no `refinement`, `views` is not 1, 2 or 4, or the
            loss function averages over items.

    Example:
        >>> import torch
        >>> from monai_levelset.networks import ShallowFCN
        >>> image, label = torch.rand(2, 1, 24, 24), torch.zeros(2, 1, 24, 24)
        >>> item = {"image": image, "label": label, "labeled": torch.ones(2)}
        >>> network = ShallowFCN()
        >>> trainer = FCNLevelSetTrainer(
        ...     device=torch.device("cpu"), max_epochs=1, train_data_loader=[item], network=network,
        ...     optimizer=torch.optim.Adadelta(network.parameters()),
        ...     loss_function=torch.nn.CrossEntropyLoss(reduction="none"))
        >>> trainer.run()
        >>> trainer.state.updates
        1
    """

    def __init__(
        self,
        *,
        refinement: LevelSetRefinement | None = None,
        replay: MemoryReplay | None = None,
        unlabeled_weight: float = 1.0,
        ramp_updates: int = 0,
        views: int = 1,
        min_agreement: float = 0.0,
        **kwargs: Any,
    ) -> None:
        if views not in (1, 2, 4):
            raise ValueError(f"`views` counts quarter turns: 1, 2 or 4, got {views}.")
        super().__init__(**kwargs)
        self.refinement, self.replay, self.views = refinement, replay, views
        self.min_agreement = min_agreement
        self.unlabeled_weight, self.ramp_updates = unlabeled_weight, ramp_updates

    def _iteration(  # type: ignore[override]
        self, engine: SupervisedTrainer, batchdata: Mapping[str, Any]
    ) -> Outputs:
        image = self.on_device(batchdata[Keys.IMAGE])
        label = self.on_device(batchdata[Keys.LABEL]).to(image)
        labeled = batchdata["labeled"].to(image)
        label, trusted = self.targets(image, label, labeled)
        output = self._update(image, label, labeled, trusted)
        if self.replay is not None:
            for sample in self.replay.push((image, label, labeled, trusted)):
                if self.state.updates == self.max_updates:
                    break
                output = self._update(*sample)
        return output

    @torch.no_grad()
    def targets(self, image: Tensor, label: Tensor, labeled: Tensor) -> tuple[Tensor, Tensor]:
        """What to train on.

        Returns:
            Labels `(B, 1, H, W)`, those of unlabelled images replaced by the level set's soft mask; and per
            item 1, or 0 where the mask agrees too little with the network, see `min_agreement`.
        """
        trusted = torch.ones_like(labeled)
        unlabeled = labeled < 0.5
        if not bool(unlabeled.any()):
            return label, trusted
        if self.refinement is None:
            raise ValueError(
                "An unlabelled image arrived and the trainer has no `refinement` to make its label. Give "
                "one, or leave unlabelled items out of the data list."
            )
        alone = image[unlabeled]
        probability = self._probability(alone)
        refined = self.refinement.soft(probability, alone).to(label)
        label = label.clone()
        label[unlabeled] = refined
        trusted[unlabeled] = (_agreement(probability, refined) >= self.min_agreement).to(trusted)
        return label, trusted

    def _probability(self, image: Tensor) -> Tensor:
        self.network.eval()
        turns = range(0, 4, 4 // self.views)
        views = [torch.rot90(self._foreground(torch.rot90(image, k, (2, 3))), -k, (2, 3)) for k in turns]
        return torch.stack(views).mean(0)

    def _foreground(self, image: Tensor) -> Tensor:
        network = getattr(self.network, "module", self.network)
        return self.inferer(image, network).softmax(1)[:, 1:]

    def _update(self, image: Tensor, label: Tensor, labeled: Tensor, trusted: Tensor) -> Outputs:
        weight = labeled + (1 - labeled) * trusted * self._unlabeled_weight()

        def criterion(scores: Tensor, label: Tensor) -> dict[str, Tensor]:
            losses = self.loss_function(scores, torch.cat([1 - label, label], 1))
            return {Keys.LOSS: (_per_item(losses) * weight).mean()}

        return self.update(image, label, criterion)

    def _unlabeled_weight(self) -> float:
        ramp = min(1.0, (self.state.updates + 1) / self.ramp_updates) if self.ramp_updates else 1.0
        return self.unlabeled_weight * ramp


def _agreement(probability: Tensor, mask: Tensor) -> Tensor:
    """Soft Dice of each item, `(B,)`; 0 where both are empty."""
    overlap = (probability * mask).flatten(1).sum(1)
    return 2 * overlap / (probability + mask).flatten(1).sum(1).clamp_min(1e-6)


def _per_item(losses: Tensor) -> Tensor:
    if losses.ndim == 0:
        raise ValueError(
            "The loss function averaged over the mini-batch, but labelled and unlabelled items weigh "
            'differently: use `reduction="none"`.'
        )
    return losses.flatten(1).mean(1) if losses.ndim > 1 else losses
