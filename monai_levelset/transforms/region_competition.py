"""Class probabilities weighed against the image's intensities, in a bundle's post-processing."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from monai_levelset.levelset import region_competition


class RegionCompetitiond(MapTransform):
    """Dictionary form of `region_competition` for one image at a time, in a bundle's post-processing.

    Args:
        keys: keys of class probabilities `(K, *spatial)`, replaced.
        image_key: key of the image on the same grid, of which the first channel counts.
        allow_missing_keys: see MONAI.
        kwargs: `weight`, `bins` and `band` of `region_competition`.

    Example:
        >>> pred = torch.tensor([0.4, 0.6]).view(2, 1, 1).expand(2, 8, 8)
        >>> RegionCompetitiond("pred")({"pred": pred, "image": torch.rand(1, 8, 8)})["pred"].shape
        torch.Size([2, 8, 8])
    """

    def __init__(
        self, keys: KeysCollection, image_key: str = "image", allow_missing_keys: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key, self.kwargs = image_key, kwargs

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Copy of the dictionary, with the probabilities after the competition."""
        changed = dict(data)
        image = changed[self.image_key][:1].to(torch.float32)[None]
        for key in self.key_iterator(changed):
            found = region_competition(changed[key][None], image.to(changed[key].device), **self.kwargs)
            changed[key] = torch.zeros_like(changed[key], dtype=torch.float32) + found[0]
        return changed
