"""One picture of a phantom patient, and what a task is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from monai_levelset.data.phantoms.shapes import Array


@dataclass
class PhantomCase:
    """An image with its label.

    Attributes:
        image: ``(x, y, z)`` or ``(x, y, z, channel)`` in NIfTI index order, or ``(row, column, 3)`` for PNG.
        label: class of every voxel, uint8, without the channel axis.
        affine: 4x4 voxel to RAS+ millimetres; None for PNG.
        parts: masks of further structures by name, for inspection and tests; not written to files.
    """

    image: Array
    label: Array
    affine: Array | None = None
    parts: dict[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class PhantomTask:
    """What the generator must know about a task.

    Attributes:
        name: short name, also the prefix of the file names.
        description: one sentence for the data list.
        modality: such as ``CT`` or ``MRI``, with the channels where there are several.
        labels: meaning of each label value.
        draw_patient: makes all pictures of one patient from a random generator.
        suffix: ``.nii.gz`` or ``.png``.
        images_per_patient: how many pictures ``draw_patient`` returns.
    """

    name: str
    description: str
    modality: str
    labels: Mapping[str, str]
    draw_patient: Callable[[np.random.Generator], list[PhantomCase]]
    suffix: str = ".nii.gz"
    images_per_patient: int = 1


def lps_affine(shape: Sequence[int], spacing: Sequence[float], tilt: Array | None = None) -> Array:
    """Affine of an axial volume stored left-posterior-superior, as scanners write it, centred on the origin.

    The first index runs to the patient's left, the second to the back, the third to the head.

    Args:
        shape: voxels per spatial axis.
        spacing: millimetres per voxel.
        tilt: 3x3 rotation applied to the patient axes (oblique planes); None for none.

    Returns:
        4x4 matrix from voxel indices to RAS+ millimetres (the convention of NIfTI).

    Example:
        >>> lps_affine((3, 3, 1), (2.0, 2.0, 5.0)).tolist()[0]
        [-2.0, 0.0, 0.0, 2.0]
    """
    turn = np.eye(3) if tilt is None else np.asarray(tilt, float)
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-spacing[0], -spacing[1], spacing[2]])
    affine[:3, 3] = -affine[:3, :3] @ ((np.asarray(shape[:3]) - 1) / 2)
    return affine + 0.0
