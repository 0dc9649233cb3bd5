"""Pictures of `docs/losses/mumford_shah.md`: the loss minimised image by image, over the logits."""

from __future__ import annotations

from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from monai_levelset.losses import MumfordShahLoss

from .loss_scenes import fit, quantile_start
from .panels import overlay, row
from .scenes import batch, disc, mesh, noise, notched, ventricle

SIZE = 72


def segment(image: Tensor, phases: int = 2, *, steps: int = 300, **options: Any) -> Tensor:
    """Logits of least loss for an image; a bias field learns ten times more slowly than the phases.

    Args:
        image: `(1, 1, rows, columns)`.
        phases: N; with `bias_field` one more channel is added.
        steps: of Adam.
        **options: of `MumfordShahLoss`.

    Returns:
        `(1, N or N + 1, rows, columns)`.
    """
    start, speed = quantile_start(image, phases), torch.ones(phases)
    if options.get("bias_field"):
        start, speed = torch.cat([start, torch.zeros_like(image)], 1), torch.tensor([1.0] * phases + [0.1])
    loss, speed = MumfordShahLoss(softmax=True, **options), speed.view(1, -1, 1, 1)
    return speed * fit(lambda logits: loss(speed * logits, image), start, steps=steps)


def brightest(logits: Tensor, channel: int = 1, phases: int = 2) -> Tensor:
    """Level set that is positive where a phase wins.

    Args:
        logits: `(1, N or more, rows, columns)`.
        channel: of the phase.
        phases: N.

    Returns:
        `(1, 1, rows, columns)`.
    """
    y = logits[:, :phases].softmax(1)
    others = torch.cat([y[:, :channel], y[:, channel + 1 :]], 1)
    return y[:, channel : channel + 1] - others.amax(1, keepdim=True)


def cartoon(logits: Tensor, image: Tensor) -> Tensor:
    """The image that the loss compares with the true one: each phase filled with its mean.

    Args:
        logits: `(1, N, rows, columns)`.
        image: `(1, 1, rows, columns)`.

    Returns:
        `(1, 1, rows, columns)`.
    """
    y = logits.softmax(1)
    means = (y * image).sum((2, 3), keepdim=True) / y.sum((2, 3), keepdim=True)
    return (y * means).sum(1, keepdim=True)


def loss_mumford_shah_tv_weight() -> Figure:
    """The length term removes noise first, then details, then everything."""
    mask = notched()
    image = 0.3 + 0.4 * mask + 0.15 * noise(SIZE, seed=1)
    panels = [overlay("image", image, truth=mask)]
    for weight in (0.001, 0.01, 0.03, 0.3):
        logits = segment(image, tv_weight=weight)
        panels.append(overlay(f"tv_weight={weight:g}", image, brightest(logits), truth=mask))
    return row(panels)


def loss_mumford_shah_phases() -> Figure:
    """Two, three, four phases on a heart."""
    image = ventricle(SIZE).image
    panels = [overlay("image", image)]
    for phases in (2, 3, 4, 5):
        logits = segment(image, phases, tv_weight=0.003)
        panels.append(overlay(f"N = {phases}", cartoon(logits, image)))
    return row(panels)


def shaded() -> tuple[Tensor, Tensor]:
    """An object of one brightness under a light that falls off to the left, and its mask."""
    mask = (torch.maximum(disc(SIZE, 12, (-14, -20)), disc(SIZE, 15, (12, 14))) > 0).float()
    light = 1 + 0.5 * mesh(SIZE)[1] / (SIZE / 2)
    return (0.2 + 0.35 * mask) * light + 0.03 * noise(SIZE, seed=2), mask


def loss_mumford_shah_bias() -> Figure:
    """With a bias field the shading is no longer a phase."""
    image, mask = shaded()
    plain = segment(image, tv_weight=0.01)
    above, below = [overlay("no bias field", image, brightest(plain), truth=mask)], [overlay("image", image)]
    for weight in (0.03, 0.3, 10.0):
        logits = segment(image, bias_field=True, bias_weight=weight, tv_weight=0.01, steps=600)
        above.append(overlay(f"bias_weight={weight:g}", image, brightest(logits), truth=mask))
        b = logits[:, 2:].exp() / logits[:, 2:].exp().mean()
        below.append(overlay("its bias field", b, note=f"{float(b.min()):.2f} to {float(b.max()):.2f}"))
    return row(above + below, columns=4)


def loss_mumford_shah_kind() -> Figure:
    """Two measures of length: what becomes of the corners and oblique edges of a tilted square."""
    y, x = mesh(SIZE)
    mask = batch(torch.maximum((x + y).abs(), (x - y).abs()) < 26)
    image = 0.4 + 0.2 * mask + 0.1 * noise(SIZE, seed=3)
    panels = [overlay("image", image, truth=mask)]
    for kind in ("anisotropic", "isotropic"):
        for weight in (0.05, 0.1):
            logits = segment(image, tv_weight=weight, total_variation=kind)
            panels.append(overlay(f"{kind}, tv_weight={weight:g}", image, brightest(logits), truth=mask))
    return row(panels)


def loss_mumford_shah_ignore() -> Figure:
    """Padding is the strongest edge of an image: unless ignored, it takes a phase."""
    heart = ventricle(SIZE)
    view = disc(SIZE, 30) > 0
    image = torch.where(view, 0.15 + 0.8 * heart.image, 0.0)
    panels = [overlay("image, padded with 0", image)]
    for ignored in (None, 0.0):
        shown = brightest(segment(image, tv_weight=0.005, ignore_value=ignored))
        title = f"N = 2, ignore_value={ignored}"
        panels.append(overlay(title, image, torch.where(view, shown, -1.0)))
    return row(panels)
