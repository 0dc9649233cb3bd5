"""Components of a label map that touch another structure, in a bundle's post-processing."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from torch import Tensor

from monai_levelset.levelset import touching_components


class TouchingComponentsd(MapTransform):
    """Drop what is called a structure and does not touch the structures it always lies against.

    The shape prior of `MultiphaseRefinement(attached=...)` for a finished label map: of a right ventricle,
    components away from the heart muscle become background. In a volume every slice along the last axis is
    looked at by itself; a slice without the other structures is left alone.

    Args:
        keys: keys of label maps `(1, H, W)` or `(1, H, W, D)`, replaced.
        label: of the structure.
        others: labels of what it has to touch, with the faces of its pixels.
        allow_missing_keys: see MONAI.

    Example:
        >>> labels = torch.tensor([[1, 0, 1, 2]])[None]
        >>> TouchingComponentsd("pred", label=1, others=[2])({"pred": labels})["pred"].tolist()
        [[[0, 0, 1, 2]]]
    """

    def __init__(
        self, keys: KeysCollection, label: int, others: Sequence[int], allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.label, self.others = label, list(others)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Copy of the dictionary, with the label maps after the removal."""
        changed = dict(data)
        for key in self.key_iterator(changed):
            changed[key] = torch.where(self._lost(changed[key]), 0, changed[key])
        return changed

    def _lost(self, label: Tensor) -> Tensor:
        plain = label.as_tensor() if hasattr(label, "as_tensor") else label
        slices = plain[..., None] if plain.ndim == 3 else plain
        slices = slices.movedim(-1, 0)
        mask = slices == self.label
        others = torch.isin(slices, torch.tensor(self.others, device=slices.device).to(slices.dtype))
        return (mask & ~touching_components(mask, others)).movedim(0, -1).reshape(plain.shape)
