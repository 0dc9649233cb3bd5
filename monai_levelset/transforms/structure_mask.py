"""The mask of one structure of a label map."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform


class StructureMaskd(MapTransform):
    """Make of a label map the mask, 0 and 1, of the structure that the item is about.

    Args:
        keys: keys of the label maps.
        values_key: entry with the label values of the structure, see `structure_items`; none or no values:
            everything but 0.
        allow_missing_keys: see MONAI.

    Example:
        >>> data = {"label": torch.tensor([[[0, 1, 2]]]), "values": [2]}
        >>> StructureMaskd("label")(data)["label"]
        tensor([[[0., 0., 1.]]])
    """

    def __init__(
        self, keys: KeysCollection, values_key: str = "values", allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.values_key = values_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Copy of the dictionary with float32 masks."""
        changed = dict(data)
        values = list(changed.get(self.values_key) or [])
        for key in self.key_iterator(changed):
            label = changed[key]
            plain = label.as_tensor() if isinstance(label, MetaTensor) else torch.as_tensor(label)
            inside = torch.isin(plain.round().long(), torch.tensor(values)) if values else plain != 0
            mask = inside.float()
            changed[key] = MetaTensor(mask).copy_meta_from(label) if isinstance(label, MetaTensor) else mask
        return changed
