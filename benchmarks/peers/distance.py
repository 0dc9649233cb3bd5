"""Signed distances, positive inside, zero halfway between an inside voxel and the nearest outside one.

FastGeodis is optional and has no wheels: `pip install fastgeodis` needs a C++ compiler and setuptools < 81.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def scipy_signed_distance(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Two exact transforms of `scipy.ndimage`, one on each side."""
    from scipy.ndimage import distance_transform_edt

    return np.where(mask, distance_transform_edt(mask) - 0.5, 0.5 - distance_transform_edt(~mask))


def monai_signed_distance(mask: Tensor) -> Tensor:
    """Two transforms of `monai.transforms.utils`; mask `(1, *spatial)`."""
    from monai.transforms.utils import distance_transform_edt

    inside, outside = distance_transform_edt(mask), distance_transform_edt(1 - mask)
    return torch.where(mask > 0.5, torch.as_tensor(inside) - 0.5, 0.5 - torch.as_tensor(outside))


def fastgeodis_signed_distance(mask: Tensor) -> Tensor:
    """Raster scans of FastGeodis in its Euclidean setting, two passes; mask `(1, 1, *spatial)`."""
    import FastGeodis

    flat = torch.zeros_like(mask)
    if mask.ndim == 4:
        signed = FastGeodis.signed_generalised_geodesic2d(flat, mask, 1e10, 0.0, 2)
    else:
        signed = FastGeodis.signed_generalised_geodesic3d(flat, mask, [1.0] * 3, 1e10, 0.0, 2)
    return signed - 0.5 * torch.where(mask > 0.5, 1.0, -1.0)
