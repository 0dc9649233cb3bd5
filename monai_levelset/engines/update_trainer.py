"""What the trainers share: optimiser updates that are counted, augmented and scheduled one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
import torch.distributed as dist
from ignite.engine import Events
from monai.engines import IterationEvents, SupervisedTrainer
from monai.utils.enums import CommonKeys as Keys
from torch import Tensor

from monai_levelset.levelset.precision import mixed_precision

Augmentation = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
#: (what the network returned, target) -> the loss under `loss`, and further scalars to be logged.
Criterion = Callable[[Any, Tensor], Mapping[str, Tensor]]
#: What an iteration leaves: one dictionary, in the list from which MONAI's handlers take the first.
Outputs: TypeAlias = list[dict[str, Any]]


class UpdateTrainer(SupervisedTrainer):
    """MONAI's trainer with a budget of updates instead of epochs; the base of this package's trainers.

    One update augments its mini-batch, steps the optimiser and the scheduler, and ends with
    `IterationEvents.MODEL_COMPLETED`: attach what belongs to updates to that event. The number of updates is
    `engine.state.updates`, part of the trainer's state, so a resumed run goes on counting.

    Args:
        augment: (images, targets) -> (images, targets) of a mini-batch, such as `BatchAugmentation`.
        scheduler: learning-rate scheduler, stepped once per update.
        max_updates: training ends after this many updates; None: after `max_epochs`.
        max_grad_norm: gradients are scaled down to this norm; None: never.
        amp: mixed precision of the network, where that is faster, see `mixed_precision`.
        kwargs: arguments of `monai.engines.SupervisedTrainer`.
    """

    def __init__(
        self,
        *,
        augment: Augmentation | None = None,
        scheduler: Any = None,
        max_updates: int | None = None,
        max_grad_norm: float | None = None,
        amp: bool = False,
        **kwargs: Any,
    ) -> None:
        on_cpu = torch.device(kwargs["device"]).type == "cpu"
        # MONAI scales the loss for CUDA's float16; on a CPU autocast means bfloat16, which needs no scaling.
        super().__init__(decollate=False, amp=amp and not on_cpu, **kwargs)
        self.autocast = amp
        self.augment, self.scheduler, self.max_updates = augment, scheduler, max_updates
        self.max_grad_norm = max_grad_norm
        self.interrupted = False
        self.state.updates = 0
        if "updates" not in self.state_dict_user_keys:
            self.state_dict_user_keys.append("updates")
        sampler: Any = getattr(kwargs.get("train_data_loader"), "batch_sampler", None)
        if hasattr(sampler, "set_epoch"):  # MONAI does so for samplers of single items only
            self.add_event_handler(Events.EPOCH_STARTED, lambda engine: sampler.set_epoch(engine.state.epoch))

    def run(self) -> None:  # type: ignore[override]
        """Train; an interrupted training ends the process with exit code 130, see `Interruption`."""
        super().run()
        if self.interrupted:
            raise SystemExit(130)

    def on_device(self, value: Tensor) -> Tensor:
        """A tensor of a mini-batch on the trainer's device, without metadata."""
        plain = value.as_tensor() if hasattr(value, "as_tensor") else value
        return plain.to(self.state.device, non_blocking=self.non_blocking)

    def update(self, image: Tensor, target: Tensor, criterion: Criterion) -> Outputs:
        """Train on one mini-batch once.

        Args:
            image: `(B, C, H, W)`.
            target: `(B, K, H, W)`, whatever the augmentation shall move along with the image.
            criterion: makes the loss.

        Returns:
            The engine's output, a list of one dictionary, from which MONAI's handlers take the loss with
            `from_engine(["loss"], first=True)`: `image`, `label` (the augmented target), `pred`, `loss` and
            what else the criterion returns. Once the budget is used up nothing is trained and the last output
            is returned.
        """
        if self.max_updates is not None and self.state.updates >= self.max_updates:
            self.terminate()
            return self.state.output
        if self.augment is not None:
            image, target = self.augment(image, target)
        self.network.train()
        self.optimizer.zero_grad(set_to_none=True)
        with mixed_precision(self.state.device, enabled=self.autocast):
            scores = self.inferer(image.contiguous(memory_format=torch.channels_last), self.network)
        losses = dict(criterion(scores.float() if isinstance(scores, Tensor) else scores, target))
        output = {Keys.IMAGE: image, Keys.LABEL: target, Keys.PRED: scores, **losses}
        self.state.output = [output]
        self._step(losses[Keys.LOSS])
        for name, value in losses.items():
            output[name] = _mean_over_ranks(value.detach())
        self.state.updates += 1
        self.fire_event(IterationEvents.MODEL_COMPLETED)
        if self.state.updates == self.max_updates:
            self.terminate()
        return self.state.output

    def _step(self, loss: Tensor) -> None:
        if self.scaler is not None:
            self.scaler.scale(loss).backward()
            self._clip()
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            loss.backward()
            self._clip()
            self.optimizer.step()
        if self.scheduler is not None:
            self.scheduler.step()

    def _clip(self) -> None:
        if self.max_grad_norm is None:
            return
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.max_grad_norm)


def _mean_over_ranks(loss: Tensor) -> Tensor:
    if dist.is_initialized() and dist.get_world_size() > 1:
        loss = loss.clone()
        dist.all_reduce(loss)
        loss /= dist.get_world_size()
    return loss
