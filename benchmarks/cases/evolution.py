"""Chan and Vese's evolution of a disc towards a noisy blob, a fixed number of steps."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monai_levelset.levelset import ChanVeseForce, CurvatureForce, Force, evolve

from ..case import CUBES, SQUARES, Aim, Case, Contender, Function, Sizes
from ..inputs import blob_image, disc_level_set
from ..peers import evolution as peers


class Inputs:
    """Images and level sets, `(B, 1, *spatial)`, and the same for libraries that take one image at a time."""

    def __init__(self, sizes: Sizes, device: torch.device) -> None:
        self.image, self.phi = blob_image(sizes).to(device), disc_level_set(sizes).to(device)
        self.iterations = sizes.iterations
        self.images, self.phis = _arrays(self.image), _arrays(self.phi)

    @cached_property
    def itk(self) -> tuple[list[Any], list[Any], list[Any]]:
        """SimpleITK's images, edge maps and level sets, negative inside."""
        edges = [1 / (1 + (np.hypot(*np.gradient(image)[-2:]) / 0.1) ** 2) for image in self.images]
        negative = [-phi for phi in self.phis]
        return peers.itk_images(self.images), peers.itk_images(edges), peers.itk_images(negative)


def _arrays(x: Tensor) -> list[NDArray[np.float32]]:
    return [item.numpy() for item in x.cpu()[:, 0]]


def ours(compile: bool) -> Function:
    """Our evolution without its energy, which scikit-image and ITK compute at every step."""

    def run(inputs: Inputs) -> Tensor:
        forces: list[Force] = [ChanVeseForce(inputs.image), CurvatureForce(weight=0.25)]
        result = evolve(
            inputs.phi,
            forces,
            steps=inputs.iterations,
            dt=0.5,
            reinitialize_every=0,
            record_energy=False,
            compile=compile,
        )
        return result.phi

    return run


def skimage(function: Function, dims: tuple[int, ...]) -> Contender:
    """A peer that works on arrays."""
    return Contender(
        lambda i: function(i.images, i.phis, i.iterations), memory="numpy", needs="skimage", dims=dims
    )


def itk(function: Function, image: int) -> Contender:
    """A peer that works on SimpleITK's images: 0 the image, 1 its edge map."""
    return Contender(
        lambda i: function(i.itk[image], i.itk[2], i.iterations), memory="unseen", needs="SimpleITK"
    )


OURS = {"eager": Contender(ours(compile=False)), "compiled": Contender(ours(compile=True))}
CHAN_VESE = {"scikit-image chan_vese": skimage(peers.skimage_chan_vese, (2,))}
DOUBLE = {"scikit-image chan_vese, float64": skimage(peers.skimage_chan_vese_double, (2,))}
MORPHOLOGICAL = {"scikit-image morphological_chan_vese": skimage(peers.skimage_morphological, (2, 3))}
SPARSE = {"ITK sparse-field geodesic": itk(peers.itk_sparse_geodesic, 1)}
DENSE = {"ITK dense Chan-Vese": itk(peers.itk_dense_chan_vese, 0)}

CASES = [
    Case(
        name="evolution",
        inputs=Inputs,
        ours=OURS,
        peers={**CHAN_VESE, **DOUBLE, **MORPHOLOGICAL, **SPARSE, **DENSE},
        sizes=[Sizes((256, 256), batch=batch, iterations=50) for batch in (1, 12)],
        aims=[Aim("compiled", "scikit-image chan_vese", speed=3.5, at={"batch": 12})],
        unit="pixel-iteration",
    ),
    Case(
        name="evolution, large batch on the device",
        inputs=Inputs,
        ours=OURS,
        peers=CHAN_VESE,
        sizes=[Sizes((512, 512), batch=12, iterations=50)],
        unit="pixel-iteration",
        devices=("cuda",),
    ),
    Case(
        name="evolution by size",
        inputs=Inputs,
        ours=OURS,
        peers={**CHAN_VESE, **MORPHOLOGICAL, **SPARSE},
        sizes=[Sizes(shape, iterations=50) for shape in SQUARES]
        + [Sizes(shape, iterations=5) for shape in CUBES],
        unit="voxel-iteration",
        plot=True,
    ),
]
