"""One label map of the probabilities of several structures that may lie within each other."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from torch import Tensor


class StructureLabelMapd(MapTransform):
    """Label map of the structures' probabilities: 1 for the first, 2 for the second and so on, 0 elsewhere.

    Where structures overlap, the later one is kept. A single structure makes a mask of 0 and 1.

    Args:
        keys: keys of the probabilities, `(K, *spatial)`, which become `(1, *spatial)` float32.
        threshold: a structure is where its probability is above it.
        nested: the later structures lie within the first, as a cup in its disc: what is outside is dropped,
            unless the first is nowhere, because nobody clicked it.
        allow_missing_keys: see MONAI.

    Raises:
        ValueError: `threshold` is outside [0, 1).

    Example:
        >>> disc, cup = [0.9, 0.9, 0.9, 0.1], [0.1, 0.8, 0.1, 0.8]
        >>> data = {"pred": torch.tensor([disc, cup])}
        >>> StructureLabelMapd("pred")(data)["pred"].tolist()
        [[1.0, 2.0, 1.0, 2.0]]
        >>> StructureLabelMapd("pred", nested=True)(data)["pred"].tolist()
        [[1.0, 2.0, 1.0, 0.0]]
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        threshold: float = 0.5,
        nested: bool = False,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if not 0 <= threshold < 1:
            raise ValueError(f"`threshold` is a probability, 0 or more and below 1, got {threshold}.")
        self.threshold, self.nested = threshold, nested

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Copy of the dictionary with label maps."""
        changed = dict(data)
        for key in self.key_iterator(changed):
            changed[key] = self._label_map(changed[key])
        return changed

    def _label_map(self, probabilities: Tensor) -> Tensor:
        found = probabilities
        plain = found.as_tensor() if isinstance(found, MetaTensor) else torch.as_tensor(found)
        masks = plain > self.threshold
        if self.nested and masks[0].any():
            masks = masks & masks[:1]
        values = torch.arange(1, len(masks) + 1, dtype=torch.float32, device=plain.device)
        label = (masks * values.view(-1, *[1] * (plain.ndim - 1))).amax(0, keepdim=True)
        return MetaTensor(label).copy_meta_from(found) if isinstance(found, MetaTensor) else label
