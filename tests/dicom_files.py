"""Write volumes as DICOM series, for tests."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_series(
    folder: Path,
    values: NDArray[Any],
    affine: NDArray[Any],
    *,
    names: str = "IM{:04d}.dcm",
    skip: Collection[int] = (),
    **tags: Any,
) -> Path:
    """Write whole HU `(column, row, slice)` on a grid in RAS, whose axes are at right angles."""
    lps = LPS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    directions = (lps[:3, :3] / spacing).T
    for k in range(values.shape[2]):
        if k not in skip:
            data = _slice(folder / names.format(k), values[..., k], tags)
            data.PixelSpacing, data.SliceThickness = [spacing[1], spacing[0]], spacing[2]
            data.ImageOrientationPatient = [round(float(v), 9) for v in directions[:2].ravel()]
            data.ImagePositionPatient = [round(float(v), 6) for v in (lps @ [0, 0, k, 1])[:3]]
            data.InstanceNumber = k + 1
            data.save_as(folder / names.format(k), enforce_file_format=True)
    return folder


def _slice(path: Path, values: NDArray[Any], tags: dict[str, Any]) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = CTImageStorage, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    data.SeriesInstanceUID, data.StudyInstanceUID, data.Modality = "1.2.3", "1.2", "CT"
    data.PatientID, data.PatientName, data.SamplesPerPixel = "7", "Doe^Jo", 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.Columns, data.Rows = values.shape
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
    data.RescaleSlope, data.RescaleIntercept = 1, -1024
    data.PixelData = np.ascontiguousarray(values.T + 1024, dtype=np.uint16).tobytes()
    for key, value in tags.items():
        setattr(data, key, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    return data
