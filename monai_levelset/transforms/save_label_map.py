"""Write a label map under its image's name, in its image's format."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.data.image_writer import PILWriter, resolve_writer
from monai.transforms import SaveImaged

from monai_levelset.data.atomic import atomic_path
from monai_levelset.data.dicom_folders import series_name

_PHOTOS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
_WRITTEN_AS = {".mhd": ".mha", ".nhdr": ".nrrd", ".dcm": ".nii.gz"}


class SaveLabelMapd(SaveImaged):
    """Save label maps as 8-bit files named and formatted like their images, each whole or not at all.

    `monai.transforms.SaveImaged` has one extension for all files and cuts names at their first dot. Here
    `a.b.nii.gz` becomes `a.b.nii.gz`, with the image's affine; a photo becomes a PNG of its size, since JPG
    would change labels; `a.mhd` with its raw file becomes one `a.mha`; DICOM, a folder of slices, becomes a
    NIfTI file called after the folder. A mask of 0 and 1 is written as 0 and 255 in a PNG, as is usual there;
    label maps of more classes keep their values.

    Args:
        keys: keys of the label maps `(1, *spatial)`, on the image's grid and with its metadata.
        output_dir: folder; created if missing.
        output_postfix: put between name and extension.
        binary: whether the label is 0 or 1 only.
        data_root_dir: the folder of all images. A DICOM folder is named by its path below it, with `_` for
            `/`, so that `patient-1/CT` and `patient-2/CT` make two files. Default: by its own name.
        name_key: entry of the data that names the file, for images of several files, such as one per MR
            sequence; the extension is still the image's. Default: the image's (first) file names it.
        allow_missing_keys: see MONAI.

    Raises:
        ValueError: on calling, a label map holds more than 8 bits can; nothing is written then.

    Example:
        >>> import tempfile, torch
        >>> folder = tempfile.mkdtemp()
        >>> mask = MetaTensor(torch.ones(1, 6, 4), meta={"filename_or_obj": "scans/a.png"})
        >>> _ = SaveLabelMapd("pred", folder)({"pred": mask})
        >>> [path.name for path in Path(folder).iterdir()]
        ['a.png']
    """

    def __init__(
        self,
        keys: KeysCollection,
        output_dir: str | Path,
        *,
        output_postfix: str = "",
        binary: bool = True,
        data_root_dir: str | Path | None = None,
        name_key: str | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(
            keys, output_dir=output_dir, output_postfix=output_postfix, allow_missing_keys=allow_missing_keys
        )
        self.output_dir, self.output_postfix, self.binary = Path(output_dir), output_postfix, binary
        self.data_root_dir, self.name_key = data_root_dir, name_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The same dictionary; the files are written."""
        for key in self.key_iterator(dict(data)):
            self.save(data[key], name=None if self.name_key is None else str(data[self.name_key]))
        return dict(data)

    def save(self, mask: MetaTensor, *, name: str | None = None) -> Path:
        """Write one label map, under this name or the image's, and return its path."""
        stem, suffix = result_name(Path(str(mask.meta["filename_or_obj"])), self.data_root_dir)
        stem = stem if name is None else name
        path = self.output_dir / f"{stem}{'_' if self.output_postfix else ''}{self.output_postfix}{suffix}"
        if mask.numel() and float(mask.max()) > 255:
            raise ValueError(
                f"{path}: the label map holds the value {float(mask.max()):g}, an 8-bit file 255 at most. "
                "Merge regions, for instance with a larger `min_share`."
            )
        writer = resolve_writer(suffix)[0](output_dtype=np.uint8)
        if isinstance(writer, PILWriter):
            writer.scale = 255 if self.binary else None
        writer.set_data_array(mask.round(), channel_dim=0, spatial_ndim=mask.ndim - 1, squeeze_end_dims=False)
        # squeezing would also take a volume's only slice
        values, writer.channel_dim = writer.data_obj[..., 0], None
        if isinstance(values, MetaTensor):  # an image of several channels would pass for one of fewer axes
            values.meta["original_channel_dim"] = "no_channel"
        writer.data_obj = values
        writer.set_metadata(exact_meta(mask), resample=False)
        with atomic_path(path) as temporary:
            writer.write(temporary)
        return path


def result_name(image: Path, data_root_dir: str | Path | None = None) -> tuple[str, str]:
    """Name without extension, and extension, of the label map of an image or DICOM folder."""
    if image.is_dir():
        return series_name(image, data_root_dir), ".nii.gz"
    return split_name(image.name)


def exact_meta(mask: MetaTensor) -> dict[str, Any]:
    """Metadata with the file's own affine, where only rounding tells it from the mask's."""
    meta, original = dict(mask.meta), mask.meta.get("original_affine")
    if original is not None and np.allclose(np.asarray(original), mask.affine.cpu(), atol=1e-3):
        meta["affine"] = original
    return meta


def split_name(name: str) -> tuple[str, str]:
    """Name without extension, and the extension of its label map.

    Example:
        >>> split_name("a.b.nii.gz"), split_name("a.JPG"), split_name("a.mhd"), split_name("a.dcm")
        (('a.b', '.nii.gz'), ('a', '.png'), ('a', '.mha'), ('a', '.nii.gz'))
    """
    suffix = ".nii.gz" if name.lower().endswith(".nii.gz") else Path(name).suffix
    kind = ".png" if suffix.lower() in _PHOTOS else _WRITTEN_AS.get(suffix.lower(), suffix.lower())
    return name[: len(name) - len(suffix)], kind
