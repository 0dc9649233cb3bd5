"""A label map as DICOM-SEG, beside the DICOM series it was made from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from monai_levelset import __version__
from monai_levelset.data.atomic import atomic_path
from monai_levelset.data.readers.dicom_series import read_headers
from monai_levelset.report.drawing import PALETTE

__all__ = ["check_highdicom", "save_dicom_seg"]

#: Name of a structure in a bundle's metadata -> keyword of its SNOMED CT code, which pydicom knows.
_CODES = {
    "liver": "Liver",
    "lesion": "Lesion",
    "left ventricle": "LeftVentricle",
    "prostate": "Prostate",
    "whole tumour": "Neoplasm",
}
#: What must be there, if only empty, and anonymised files lack.
_MAY_BE_EMPTY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime"),
    *("AccessionNumber", "ReferringPhysicianName"),
)
_MORPHOLOGY = ("Lesion", "Neoplasm")


def check_highdicom() -> None:
    """Refuse to go on without highdicom.

    Raises:
        ValueError: it is not installed.
    """
    try:
        import highdicom  # noqa: F401
    except ImportError as error:
        raise ValueError(
            "--dicom_seg needs highdicom, which is not installed: pip install 'monai-levelset[dicom]'"
        ) from error


def save_dicom_seg(
    series: str | Path, label_map: str | Path, path: str | Path, bundle_root: str | Path
) -> Path | None:
    """Write a label map as a DICOM-SEG object that refers to its images.

    Args:
        series: folder of the series; anything else is no DICOM, and nothing is written.
        label_map: NIfTI file on the series' grid, a value per structure.
        path: the file to write.
        bundle_root: whose metadata names the structures.

    Returns:
        The path, or None.

    Raises:
        ValueError: a value of the label map has no name in the metadata.
    """
    if not Path(series).is_dir():
        return None
    import highdicom as hd

    names = _structure_names(Path(bundle_root))
    images = _headers(Path(series))
    planes = _planes(Path(label_map), images)
    if planes.max(initial=0) > len(names):
        raise ValueError(f"{label_map}: value {planes.max()} has no name in the bundle's metadata.json")
    segmentation = hd.seg.Segmentation(
        source_images=images,
        pixel_array=planes,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_description(k + 1, name) for k, name in enumerate(names)],
        series_instance_uid=hd.UID(),
        series_number=300,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="monai-levelset",
        manufacturer_model_name=Path(bundle_root).name,
        software_versions=__version__,
        device_serial_number="0",
        omit_empty_frames=bool(planes.any()),
    )
    with atomic_path(path) as temporary:
        segmentation.save_as(temporary)
    return Path(path)


def _structure_names(bundle_root: Path) -> list[str]:
    metadata = json.loads((bundle_root / "configs" / "metadata.json").read_text(encoding="utf-8"))
    channels = metadata["network_data_format"]["outputs"]["pred"]["channel_def"]
    return [channels[key] for key in sorted(channels, key=int) if int(key) > 0]


def _headers(series: Path) -> list[Any]:
    """The slices' headers."""
    from pydicom import dcmread
    from pydicom.uid import generate_uid

    slices = read_headers((path for path in sorted(series.iterdir()) if path.is_file()), [], [])
    headers = [dcmread(one.path, stop_before_pixels=True) for one in slices]
    frame = generate_uid()
    for header in headers:
        header.setdefault("FrameOfReferenceUID", frame)
        for tag in _MAY_BE_EMPTY:
            header.setdefault(tag, "")
    return headers


def _planes(label_map: Path, images: Sequence[Any]) -> NDArray[np.uint8]:
    """The label map `(image, row, column)`, each plane where its image lies."""
    mask: Any = nib.load(label_map)
    values = np.asanyarray(mask.dataobj).astype(np.uint8)
    to_voxel = np.linalg.inv(mask.affine)
    planes = np.empty((len(images), values.shape[1], values.shape[0]), np.uint8)
    for plane, image in zip(planes, images, strict=True):
        x, y, z = (float(v) for v in image.ImagePositionPatient)
        plane[:] = values[:, :, round((to_voxel @ [-x, -y, z, 1.0])[2])].T
    return planes


def _description(number: int, name: str) -> Any:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    keyword = _CODES.get(name)
    morphology = keyword in _MORPHOLOGY
    kind = codes.SCT.MorphologicallyAbnormalStructure if morphology else codes.SCT.AnatomicalStructure
    red, green, blue = (int(PALETTE[number % len(PALETTE)][i : i + 2], 16) for i in (1, 3, 5))
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=kind,
        segmented_property_type=codes.SCT.BodyStructure if keyword is None else getattr(codes.SCT, keyword),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name="monai-levelset", version=__version__, family=codes.DCM.ArtificialIntelligence
        ),
        display_color=hd.color.CIELabColor.from_rgb(red, green, blue),
    )
