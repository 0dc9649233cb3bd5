"""Pictures of `docs/forces/multiphase.md`."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure

from monai_levelset.levelset import MultiphaseChanVeseForce, multiphase_chan_vese, phase_labels
from monai_levelset.levelset.starts import checkerboard

from .panels import overlay, row
from .scenes import disc, noise, ventricle

SIZE = 72


def painted(image: torch.Tensor, phi: torch.Tensor) -> torch.Tensor:
    """The image with each phase in its mean grey value.

    Args:
        image: `(1, 1, rows, columns)`.
        phi: `(1, M, rows, columns)`.

    Returns:
        Tensor of the shape of `image`.
    """
    means = MultiphaseChanVeseForce(image, regions="hard").means(phi)[0, :, 0]
    return means[phase_labels(phi)]


def four_regions() -> torch.Tensor:
    """Noisy image of four grey values that meet in triple points.

    Returns:
        `(1, 1, SIZE, SIZE)`.
    """
    image = torch.full((1, 1, SIZE, SIZE), 0.1)
    image = torch.where(disc(SIZE, 26) > 0, 0.4, image)
    image = torch.where(disc(SIZE, 15, (-8, -10)) > 0, 0.7, image)
    image = torch.where(disc(SIZE, 11, (6, 8)) > 0, 1.0, image)
    return image + 0.1 * noise(SIZE, seed=5)


def force_multiphase_levels() -> Figure:
    """Heart phantom: M level functions split it into 2^M grey values."""
    image = ventricle(96).image
    panels = [overlay("image", image)]
    for levels in (1, 2, 3):
        phi = multiphase_chan_vese(image, levels=levels).phi
        panels.append(overlay(f"levels={levels}: {2**levels} phases", painted(image, phi)))
    return row(panels)


def force_multiphase_length() -> Figure:
    """More weight for the length: smoother borders, small regions vanish."""
    image = four_regions()
    panels = [overlay("image", image)]
    for weight in (0.0, 0.05, 0.5):
        phi = multiphase_chan_vese(image, length_weight=weight).phi
        panels.append(overlay(f"length_weight={weight:g}", painted(image, phi)))
    return row(panels)


def force_multiphase_start() -> Figure:
    """The energy has local minima: from a checkerboard two grey values may share a phase."""
    image = four_regions()
    boards = {"checkerboard, period 10": 10.0, "checkerboard, period 30": 30.0}
    panels = [
        overlay("image", image),
        overlay("default start", painted(image, multiphase_chan_vese(image).phi)),
    ]
    for title, period in boards.items():
        start = checkerboard(image.shape[2:], period, levels=2)
        panels.append(overlay(title, painted(image, multiphase_chan_vese(image, start).phi)))
    return row(panels)
