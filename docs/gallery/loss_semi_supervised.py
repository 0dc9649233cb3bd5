"""Pictures of `docs/losses/semi_supervised.md`: a small network, one label, and images without."""

from __future__ import annotations

from functools import cache

import torch
from matplotlib.figure import Figure
from monai.losses import DiceCELoss
from torch import Tensor, nn

from monai_levelset.losses import MumfordShahLoss, SemiSupervisedLoss
from monai_levelset.report.drawing import PALETTE, new_figure

from .loss_scenes import tidy
from .panels import SIDE, overlay, row
from .scenes import disc, noise

SIZE, UPDATES = 48, 150


@cache
def batch_of_images() -> tuple[Tensor, Tensor, Tensor]:
    """Four images of different contrast, their masks, and which has a label: the first."""
    places = [(13, (-5, -4)), (9, (6, 8)), (11, (8, -7)), (14, (2, 3))]
    masks = torch.cat([(disc(SIZE, r, c) > 0).float() for r, c in places])
    contrast = torch.tensor([0.5, 0.25, 0.2, 0.3]).view(-1, 1, 1, 1)
    grain = torch.cat([noise(SIZE, sigma=0.7, seed=s) for s in range(4)])
    return 0.25 + contrast * masks + 0.08 * grain, masks, torch.tensor([1, 0, 0, 0])


@cache
def train(beta: float) -> tuple[Tensor, list[dict[str, float]]]:
    """Train with one label.

    Args:
        beta: weight of the Mumford-Shah loss.

    Returns:
        Level sets P - 1/2 of the four images, and the weighted parts of the loss by update.
    """
    images, masks, labeled = batch_of_images()
    images = images.double()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first = nn.Conv2d(1, 8, 5, padding=2)
        network = nn.Sequential(
            first, nn.ReLU(), nn.Conv2d(8, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 2, 1)
        )
    criterion = SemiSupervisedLoss(
        DiceCELoss(softmax=True, to_onehot_y=True),
        MumfordShahLoss(softmax=True, tv_weight=0.01, reduction="mean", per_voxel=True),
        beta=beta,
    )
    network, history = network.double(), []
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    for _ in range(UPDATES):
        optimizer.zero_grad()
        parts = criterion.parts(network(images), masks, images, labeled)
        torch.stack(list(parts.values())).sum().backward()
        optimizer.step()
        history.append({name: float(value.detach()) for name, value in parts.items()})
    return network(images).softmax(1)[:, 1:].detach() - 0.5, history


def loss_semi_supervised_beta() -> Figure:
    """An image without a label, for several weights of the unsupervised loss."""
    images, masks, _ = batch_of_images()
    panels = [overlay("the only label", images[:1], truth=masks[:1])]
    for beta in (0.0, 1.0, 10.0, 1000.0):
        phi, _ = train(beta)
        panels.append(overlay(f"beta={beta:g}", images[2:3], phi[2:3], truth=masks[2:3]))
    return row(panels)


def loss_semi_supervised_parts() -> Figure:
    """The two parts during training."""
    figure = new_figure(3 * 2.3, SIDE + 0.2)
    grid = figure.subplots(1, 3, sharey=True)
    for axes, beta in zip(grid, (1.0, 10.0, 1000.0), strict=True):
        _, history = train(beta)
        for name, colour in (("supervised", PALETTE[0]), ("unsupervised", PALETTE[1])):
            axes.semilogy([h[name] for h in history], color=colour, lw=1.2, label=name)
        tidy(axes, f"beta={beta:g}", x="update")
    grid[0].legend(fontsize=6, frameon=False)
    return figure
