"""Turn volumes and axial slices to anatomical axes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.data.utils import to_affine_nd
from monai.transforms import InvertibleTransform, MapTransform, Orientation
from monai.utils import TraceKeys
from nibabel.orientations import aff2axcodes
from torch import Tensor

from monai_levelset.data.axes import check_axcodes


class AxialOrientation(Orientation):
    """`monai.transforms.Orientation` for axial slices as well, whose files have two axes; invertible.

    Of a 2D image only the first two codes count, and only the part of its affine that lies in its plane. A
    picture (PNG, JPG) states no direction; MONAI then takes its pixels' x for right and its y for anterior.
    On a radiologist's screen x is left and y posterior: a picture shown like that comes to the axes that
    `PLS` gives a CT by `ARS`.

    Args:
        axcodes: where the axes shall point to; the third is `S` or `I`, so that slices along it are axial.
        picture_axcodes: the same for images whose file states no direction, such as PNG; default: `axcodes`.

    Raises:
        ValueError: codes that do not name three axes, the third of them `S` or `I`.

    Example:
        >>> import torch
        >>> from monai.data import MetaTensor
        >>> slice_ = MetaTensor(torch.tensor([[[0.0, 1.0], [2.0, 3.0]]]), affine=torch.diag(torch.ones(4)))
        >>> turn = AxialOrientation("PLS")
        >>> turn(slice_).tolist(), turn.inverse(turn(slice_)).tolist()
        ([[[3.0, 1.0], [2.0, 0.0]]], [[[0.0, 1.0], [2.0, 3.0]]])
    """

    def __init__(self, axcodes: str, picture_axcodes: str | None = None) -> None:
        pictures = axcodes if picture_axcodes is None else picture_axcodes
        for name, codes in (("axcodes", axcodes), ("picture_axcodes", pictures)):
            check_axcodes(codes)
            if codes[2] not in "IS":
                raise ValueError(f"`{name}` must end with S or I, so that slices are axial, got {codes!r}.")
        super().__init__(axcodes, labels=None)
        self.plane = Orientation(axcodes[:2], labels=None)
        self.picture = Orientation(pictures[:2], labels=None)

    def __call__(self, data_array: Tensor, lazy: bool | None = None) -> Tensor:
        """The turned `(C, H, W)` or `(C, H, W, D)`."""
        if data_array.ndim != 3:
            return super().__call__(data_array, lazy)
        return self._of_slice(data_array)(data_array, lazy)

    def inverse(self, data: Tensor) -> Tensor:
        """The axes as they were."""
        if data.ndim != 3:
            return super().inverse(data)
        affine = self._of_slice(data).pop_transform(data)[TraceKeys.EXTRA_INFO]["original_affine"]
        back = Orientation("".join(aff2axcodes(to_affine_nd(2, affine))), labels=None)
        with back.trace_transform(False):
            return back(data)

    def _of_slice(self, data: Tensor) -> Orientation:
        """What turns this 2D image: MONAI notes the affine of files that state one."""
        return self.plane if "original_affine" in getattr(data, "meta", {}) else self.picture


class AxialOrientationd(MapTransform, InvertibleTransform):
    """Dictionary form of `AxialOrientation`.

    Example:
        >>> import torch
        >>> from monai.data import MetaTensor
        >>> volume = MetaTensor(torch.zeros(1, 6, 4, 3), affine=torch.diag(torch.tensor([1.0, 2, 5, 1])))
        >>> AxialOrientationd("image", "PLS")({"image": volume})["image"].shape
        torch.Size([1, 4, 6, 3])
    """

    def __init__(
        self,
        keys: KeysCollection,
        axcodes: str,
        allow_missing_keys: bool = False,
        picture_axcodes: str | None = None,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.turn = AxialOrientation(axcodes, picture_axcodes)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Copy of the dictionary with turned images."""
        changed = dict(data)
        for key in self.key_iterator(changed):
            changed[key] = self.turn(changed[key])
        return changed

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Copy of the dictionary with the axes as they were."""
        back = dict(data)
        for key in self.key_iterator(back):
            back[key] = self.turn.inverse(back[key])
        return back
