"""Write a network's probabilities on its image's own grid."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.data.utils import to_affine_nd
from monai.transforms import Invertd, InvertibleTransform, MapTransform

from monai_levelset.data.atomic import atomic_path
from monai_levelset.transforms.save_label_map import exact_meta, result_name


class SaveProbabilitiesd(MapTransform):
    """Bring probabilities back to the image's grid and write them as `NAME_probabilities.nii.gz`.

    The data pass on unchanged, so that the transform stands where the probabilities are, before they become a
    label map.

    Args:
        keys: keys of the probabilities `(C, *spatial)`, on the grid of the preprocessed image.
        transform: the preprocessing, to be inverted (linear interpolation).
        output_dir: folder; created if missing.
        orig_keys: key of the preprocessed image.
        data_root_dir: folder of all images, for the names of DICOM folders; see `SaveLabelMapd`.
        name_key: entry of the data that names the file; default: the image's file does.
        allow_missing_keys: see MONAI.

    The NIfTI file has axes x, y, z, C and float32 values; slices and pictures have z = 1. Where the
    preprocessing crops, every value is 0.

    Example:
        >>> import tempfile
        >>> import torch
        >>> from monai.transforms import Compose, Resized
        >>> front, folder = Compose([Resized("image", (12, 8))]), tempfile.mkdtemp()
        >>> image = MetaTensor(torch.rand(1, 6, 4), meta={"filename_or_obj": "scans/a.png"})
        >>> data = {**front({"image": image}), "pred": MetaTensor(torch.rand(2, 12, 8))}
        >>> _ = SaveProbabilitiesd("pred", front, folder)(data)
        >>> [path.name for path in Path(folder).iterdir()]
        ['a_probabilities.nii.gz']
    """

    def __init__(
        self,
        keys: KeysCollection,
        transform: InvertibleTransform,
        output_dir: str | Path,
        *,
        orig_keys: str = "image",
        data_root_dir: str | Path | None = None,
        name_key: str | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.invert = Invertd(self.keys, transform, orig_keys=orig_keys, nearest_interp=False, to_tensor=True)
        self.output_dir, self.data_root_dir, self.name_key = Path(output_dir), data_root_dir, name_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The same dictionary; the files are written."""
        changed = dict(data)
        inverted = self.invert(dict(changed))
        for key in self.key_iterator(changed):
            name = None if self.name_key is None else str(changed[self.name_key])
            self.save(inverted[key], name=name)
        return changed

    def save(self, probabilities: MetaTensor, *, name: str | None = None) -> Path:
        """Write one map, under this name or the image's, and return its path."""
        image = Path(str(probabilities.meta["filename_or_obj"]))
        path = self.output_dir / f"{name or result_name(image, self.data_root_dir)[0]}_probabilities.nii.gz"
        values = probabilities.as_tensor().cpu().float()
        values = values[..., None] if values.ndim == 3 else values
        affine = to_affine_nd(3, np.asarray(exact_meta(probabilities)["affine"], dtype=np.float64))
        volume = nib.Nifti1Image(values.movedim(0, -1).numpy(), affine)
        with atomic_path(path) as temporary:
            nib.save(volume, temporary)
        return path
