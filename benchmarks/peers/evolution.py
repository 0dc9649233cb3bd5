"""Curve evolution in scikit-image and SimpleITK: a fixed number of iterations, never stopping early."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def skimage_chan_vese(
    images: Sequence[Array], phis: Sequence[Array], iterations: int
) -> list[NDArray[np.bool_]]:
    """`skimage.segmentation.chan_vese`, one image after the other (2D only)."""
    from skimage.segmentation import chan_vese

    return [
        chan_vese(image, mu=0.25, tol=0, max_num_iter=iterations, dt=0.5, init_level_set=phi)
        for image, phi in zip(images, phis, strict=True)
    ]


def skimage_chan_vese_double(
    images: Sequence[Array], phis: Sequence[Array], iterations: int
) -> list[NDArray[np.bool_]]:
    """The same on float64 images, which is what scikit-image's own readers and converters give."""
    double = [image.astype(np.float64) for image in images]
    return skimage_chan_vese(double, phis, iterations)  # type: ignore[arg-type]


def skimage_morphological(
    images: Sequence[Array], phis: Sequence[Array], iterations: int
) -> list[NDArray[np.bool_]]:
    """`skimage.segmentation.morphological_chan_vese`, one image after the other."""
    from skimage.segmentation import morphological_chan_vese

    return [
        morphological_chan_vese(image, num_iter=iterations, init_level_set=phi > 0) > 0
        for image, phi in zip(images, phis, strict=True)
    ]


def itk_images(arrays: Sequence[Array]) -> list[Any]:
    """SimpleITK's images of arrays."""
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    return [SimpleITK.GetImageFromArray(array) for array in arrays]


def itk_dense_chan_vese(images: Sequence[Any], phis: Sequence[Any], iterations: int) -> list[Any]:
    """`ScalarChanAndVeseDenseLevelSetImageFilter` on SimpleITK's images; phis are negative inside."""
    import SimpleITK

    method = SimpleITK.ScalarChanAndVeseDenseLevelSetImageFilter()
    method.SetMaximumRMSError(0.0)
    method.SetNumberOfIterations(iterations)
    return [method.Execute(phi, image) for image, phi in zip(images, phis, strict=True)]


def itk_sparse_geodesic(edges: Sequence[Any], phis: Sequence[Any], iterations: int) -> list[Any]:
    """`GeodesicActiveContourLevelSetImageFilter`, sparse field; phis are negative inside."""
    import SimpleITK

    method = SimpleITK.GeodesicActiveContourLevelSetImageFilter()
    method.SetMaximumRMSError(0.0)
    method.SetNumberOfIterations(iterations)
    return [method.Execute(phi, edge) for edge, phi in zip(edges, phis, strict=True)]
