"""Memory replay: recent samples are trained on again until they are too old."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

Sample = tuple[Tensor, ...]


class MemoryReplay:
    """Dynamic buffer of the most recently trained samples (Tang et al. 2017, section 2.2).

    "Whenever the buffer is capped, a training on the buffer data is triggered. Then the oldest sample is
    removed and next training iteration is initiated." A *sample* of this buffer is what one training
    iteration brings: a mini-batch of items, each with the label it was trained on (of unlabelled images the
    level set's). So the capacity counts mini-batches, and once the buffer is full, every new mini-batch
    causes `capacity` replayed updates and pushes one out. The items of a replay pass are shuffled across its
    mini-batches.

    A level set evolved once is thus used `capacity + 1` times.

    Args:
        capacity: mini-batches held; at least 1.

    Raises:
        ValueError: `capacity` below 1.

    Example:
        >>> import torch
        >>> replay = MemoryReplay(capacity=2)
        >>> passes = [len(list(replay.push((torch.full((4, 1), i),)))) for i in range(4)]
        >>> passes, len(replay)
        ([0, 2, 2, 2], 1)
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"`capacity` counts mini-batches and must be at least 1, got {capacity}.")
        self.capacity = capacity
        self._samples: deque[Sample] = deque()

    def __len__(self) -> int:
        return len(self._samples)

    def push(self, sample: Sample) -> Iterator[Sample]:
        """Take in a mini-batch; if the buffer is full then, yield one pass over it and drop the oldest.

        Args:
            sample: tensors `(B, ...)` with the same B: image, label and whatever the trainer needs.

        Yields:
            Mini-batches of the same form, shuffled with torch's global generator.
        """
        self._samples.append(tuple(tensor.detach() for tensor in sample))
        if len(self._samples) < self.capacity:
            return
        sizes = [len(held[0]) for held in self._samples]
        device = sample[0].device  # samples of a checkpoint lie on the CPU
        items = [torch.cat([t.to(device) for t in tensors]) for tensors in zip(*self._samples, strict=True)]
        self._samples.popleft()
        for chosen in torch.randperm(sum(sizes)).split(sizes):
            yield tuple(tensor[chosen.to(tensor.device)] for tensor in items)

    def state_dict(self) -> dict[str, Any]:
        """The samples held, for a checkpoint."""
        return {"samples": [list(sample) for sample in self._samples]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the samples of a checkpoint; more than the capacity allows are dropped, oldest first."""
        self._samples = deque((tuple(s) for s in state["samples"]), maxlen=None)
        while len(self._samples) >= self.capacity and self._samples:
            self._samples.popleft()
