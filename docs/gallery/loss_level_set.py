"""Pictures of `docs/losses/level_set.md`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from matplotlib.figure import Figure
from monai.losses import DiceLoss
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

from monai_levelset.levelset import dirac, heaviside
from monai_levelset.losses import LevelSetLoss, level_set_loss
from monai_levelset.report.drawing import PALETTE, draw_panel, new_figure

from .loss_scenes import pull, tidy
from .panels import SIDE, overlay
from .scenes import disc

SIZE = 72


def loss_level_set_heaviside() -> Figure:
    """The steps, their slopes, and what eps does to one of them."""
    p = torch.linspace(0, 1, 401)
    figure = new_figure(3 * 2.3, SIDE + 0.2)
    grid = figure.subplots(1, 3)
    for kind, colour in zip(("tanh", "arctan", "sine", "hard"), PALETTE, strict=False):
        style = {"color": colour, "label": kind, "lw": 1.2, "ls": "--" if kind == "hard" else "-"}
        grid[0].plot(p, heaviside(p - 0.5, 1 / 20, kind), **style)  # type: ignore[arg-type]
        grid[1].plot(p, dirac(p - 0.5, 1 / 20, kind), **style)  # type: ignore[arg-type]
    for eps, colour in zip((0.02, 0.05, 0.2), PALETTE[3:], strict=False):
        grid[2].plot(p, dirac(p - 0.5, eps, "tanh"), color=colour, label=f"eps={eps:g}", lw=1.2)
    tidy(grid[0], "step H(P - 1/2), eps=1/20", x="probability P")
    tidy(grid[1], "its slope, eps=1/20", x="probability P")
    tidy(grid[2], "slope of tanh", x="probability P")
    for axes in grid:
        axes.legend(fontsize=6, frameon=False)
    return figure


def leak() -> tuple[Tensor, Tensor]:
    """A prediction that runs out on the right and misses a part on the left, and the true mask."""
    truth = (disc(SIZE, 18) > 0).float()
    right, left = disc(SIZE, 11, (-4, 20)), disc(SIZE, 9, (4, -16))
    logit = (0.5 * disc(SIZE, 18)).clamp(-3, 3)
    logit = torch.maximum(logit, (0.35 * right).clamp(-3, 1.5))
    return torch.sigmoid(torch.where(left > 0, torch.minimum(logit, -0.25 * left), logit)), truth


def loss_level_set_eps() -> Figure:
    """Where the energy pushes the probabilities of a leaking prediction."""
    p, truth = leak()
    figure = new_figure(5 * SIDE, SIDE + 0.2)
    grid = figure.subplots(1, 5)
    draw_panel(grid[0], overlay("probability P, red: P = 1/2", p, p - 0.5, truth=truth))
    for axes, eps in zip(grid[1:], (0.01, 0.05, 0.2, 0.5), strict=True):
        x = p.clone().requires_grad_()
        level_set_loss(x, truth, eps=eps).backward()
        assert x.grad is not None
        title = f"eps={eps:g}, largest push {float(x.grad.abs().max()):.3g}"
        pull(axes, title, -x.grad, truth=truth)
    return figure


def losses() -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """Name -> loss of probabilities and a mask, each a mean over the voxels."""
    return {
        "cross entropy": binary_cross_entropy,
        "Dice loss": DiceLoss(),
        "level set": LevelSetLoss(per_voxel=True),
    }


def loss_level_set_shift() -> Figure:
    """The losses of a prediction that is moved, and how strongly they pull on one wrong pixel."""
    figure = new_figure(2 * 3.1, SIDE + 0.4)
    grid = figure.subplots(1, 2)
    truth = (disc(SIZE, 12, (0, -16)) > 0).float()
    shifts = list(range(-10, 41))
    for (name, loss), colour in zip(losses().items(), PALETTE, strict=False):
        values = [loss(torch.sigmoid(2 * disc(SIZE, 12, (0, s - 16))), truth) for s in shifts]
        curve = torch.stack(values) - values[10]
        grid[0].plot(shifts, curve / curve.max(), color=colour, label=name, lw=1.2)
        wrong = torch.linspace(0.002, 0.998, 167)
        slopes = torch.stack([_slope(loss, float(t)) for t in wrong.logit()])
        grid[1].plot(wrong, slopes / slopes.max(), color=colour, label=name, lw=1.2)
    tidy(grid[0], "loss of a disc of radius 12, highest = 1", x="shift of the prediction in pixels")
    tidy(grid[1], "pull on the logit of one background pixel, strongest = 1", x="its predicted probability")
    grid[0].legend(fontsize=6, frameon=False)
    return figure


def _slope(loss: Callable[[Tensor, Tensor], Tensor], logit: float) -> Tensor:
    """Derivative by the logit of one background pixel, far from an object that is predicted well."""
    truth = (disc(SIZE, 12) > 0).float()
    logits = 3 * disc(SIZE, 12).clamp(-1, 1)
    logits[..., 5, 5] = logit
    logits.requires_grad_()
    loss(logits.sigmoid(), truth).backward()
    assert logits.grad is not None
    return logits.grad[0, 0, 5, 5]


def loss_level_set_lambda() -> Figure:
    """The same picture at four sizes: cross entropy stays, a sum over the voxels does not."""
    p, truth = leak()
    figure = new_figure(2 * 3.1, SIDE + 0.2)
    grid = figure.subplots(1, 2)
    sizes = (72, 144, 288, 576)
    for axes, per_voxel, weight in zip(grid, (False, True), (4e-4, 1.0), strict=True):
        loss, bars = LevelSetLoss(per_voxel=per_voxel), []
        for size in sizes:
            x, y = (torch.nn.functional.interpolate(t, size=(size, size)) for t in (p, truth))
            bars.append((float(binary_cross_entropy(x, y)), weight * float(loss(x, y))))
        places = torch.arange(len(sizes))
        for k, name in enumerate(("cross entropy", "lambda E")):
            axes.bar(places + 0.4 * k - 0.2, [b[k] for b in bars], 0.38, color=PALETTE[2 * k], label=name)
        axes.set_xticks(places, [f"{s}²" for s in sizes])
        tidy(axes, f"per_voxel={per_voxel}, lambda = {weight:g}", x="image size")
        axes.set_ylim(0, 1.25 * max(max(b) for b in bars))
        axes.legend(fontsize=6, frameon=False, ncols=2, loc="upper left")
    return figure
