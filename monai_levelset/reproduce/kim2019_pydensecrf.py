"""The same CRF by its authors' code, where the optional package pydensecrf2 is installed."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor


def available() -> bool:
    """Whether the package can be imported; it has to be compiled, and nothing depends on it."""
    return find_spec("pydensecrf") is not None


def lattice_crf(
    probability: Tensor,
    image: Tensor,
    *,
    bilateral_weight: float,
    position_sd: float,
    intensity_sd: float,
    smooth_weight: float,
    smooth_sd: float,
    iterations: int,
    radius: int = 0,
) -> Tensor:
    """`dense_crf` of one image without a window, its sums approximated in a permutohedral lattice, in C++.

    Args:
        probability: `(1, N, H, W)`.
        image: `(1, C, H, W)`.
        bilateral_weight: see `dense_crf`, as the others.
        position_sd: of the bilateral kernel.
        intensity_sd: of the bilateral kernel.
        smooth_weight: of the smoothness kernel.
        smooth_sd: of the smoothness kernel.
        iterations: of the mean field.
        radius: not used: all pixels are neighbours.

    Returns:
        Q, `(1, N, H, W)`.

    Raises:
        ImportError: pydensecrf is not installed.
    """
    code, utils = import_module("pydensecrf.densecrf"), import_module("pydensecrf.utils")
    _, classes, height, width = probability.shape
    field = code.DenseCRF2D(width, height, classes)
    unary = -probability[0].flatten(1).clamp_min(1e-8).log().numpy()
    field.setUnaryEnergy(np.ascontiguousarray(unary, dtype=np.float32))
    field.addPairwiseGaussian(sxy=smooth_sd, compat=smooth_weight)
    colours = np.ascontiguousarray(image[0].permute(1, 2, 0).numpy())
    sds = (position_sd, position_sd), (intensity_sd,) * image.shape[1]
    field.addPairwiseEnergy(utils.create_pairwise_bilateral(*sds, colours, chdim=2), compat=bilateral_weight)
    found = np.array(field.inference(iterations), dtype=np.float32)
    return torch.from_numpy(found).view_as(probability)
