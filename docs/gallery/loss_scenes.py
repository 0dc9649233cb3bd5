"""What the pictures of the losses share: minimising a loss image by image, and plots in one style."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from monai_levelset.report.drawing import INK, draw_contour

from .panels import picture


def fit(loss: Callable[[Tensor], Tensor], start: Tensor, *, steps: int = 300, rate: float = 0.2) -> Tensor:
    """Minimise a loss over its input by Adam; the rate falls to zero as half a cosine.

    Args:
        loss: scalar of a tensor like `start`.
        start: logits to start from, not changed.
        steps: number of updates.
        rate: learning rate at the start.

    Returns:
        Logits of the shape of `start`.
    """
    x = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([x])
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * (1 + math.cos(math.pi * step / steps)) / 2
        optimizer.zero_grad()
        loss(x).backward()
        optimizer.step()
    return x.detach()


def quantile_start(image: Tensor, phases: int) -> Tensor:
    """Logits that divide an image's pixels by their rank into phases of equal size, softly.

    Args:
        image: `(1, 1, rows, columns)`.
        phases: their number N.

    Returns:
        `(1, N, rows, columns)`, the darkest phase first.
    """
    rank = image.flatten().argsort().argsort().view(image.shape) / image.numel()
    centres = (torch.arange(phases) + 0.5).view(1, -1, 1, 1) / phases
    return -((rank - centres) * phases).square()


def pull(axes: Any, title: str, field: Tensor, *, truth: Tensor | None = None) -> None:
    """Draw where a loss pushes its input up (red) and down (blue), scaled to the largest push.

    Args:
        axes: of matplotlib.
        title: text above.
        field: minus the gradient of the loss, `(1, 1, rows, columns)`.
        truth: mask of that shape, drawn in black.
    """
    top = float(field.abs().max())
    axes.imshow(picture(field), cmap="RdBu_r", vmin=-top, vmax=top)
    if truth is not None:
        draw_contour(axes, picture(truth) > 0, INK, 0.8)
    axes.set_axis_off()
    axes.set_title(title, fontsize=7, color=INK, pad=3)


def tidy(axes: Any, title: str, *, x: str = "", y: str = "") -> None:
    """Give a plot the small type of the panels.

    Args:
        axes: of matplotlib.
        title: text above.
        x: name of the x axis.
        y: name of the y axis.
    """
    axes.set_title(title, fontsize=7, color=INK, pad=3)
    axes.set_xlabel(x, fontsize=7)
    axes.set_ylabel(y, fontsize=7)
    axes.tick_params(labelsize=6)
    axes.grid(alpha=0.3)
