"""Writing phantom cases: byte-identical for identical content, and never half a file under its final name."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from PIL import Image

from monai_levelset.data.atomic import atomic_path
from monai_levelset.data.phantoms.shapes import Array


def nifti_bytes(array: Array, affine: Array) -> bytes:
    """Gzipped NIfTI-1 in millimetres; without a time stamp, so equal input gives equal bytes."""
    image = nib.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    return gzip.compress(image.to_bytes(), compresslevel=4, mtime=0)


def png_bytes(array: Array) -> bytes:
    """PNG of an 8-bit grey ``(h, w)`` or RGB ``(h, w, 3)`` array."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(array)).save(buffer, format="PNG")
    return buffer.getvalue()


def write_atomically(path: Path, content: bytes) -> None:
    """Write under a temporary name in the same folder, then rename."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def read_image(path: Path) -> Array:
    """Array of a ``.nii.gz`` or ``.png`` file as it is stored."""
    if path.name.endswith(".png"):
        with Image.open(path) as picture:
            return np.asarray(picture)
    image: Any = nib.load(path)
    return np.asarray(image.dataobj)


def encode(array: Array, affine: Array | None) -> bytes:
    """File content: PNG where there is no affine, NIfTI otherwise."""
    return png_bytes(array) if affine is None else nifti_bytes(array, affine)


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """Indented UTF-8 JSON with a final newline."""
    return (json.dumps(content, indent=2) + "\n").encode()
