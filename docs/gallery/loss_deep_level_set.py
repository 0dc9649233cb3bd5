"""Pictures of `docs/losses/deep_level_set.md`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn.functional import softplus

from monai_levelset.levelset import deep_level_set, signed_distance
from monai_levelset.losses import (
    DeepLevelSetLoss,
    DeepLevelSetOutput,
    class_balanced_cross_entropy,
    level_set_loss,
    true_direction,
)
from monai_levelset.report.drawing import PALETTE, draw_panel, new_figure

from .loss_scenes import pull, tidy
from .panels import SIDE, overlay
from .scenes import disc, noise

SIZE = 72


def truth_and_guess() -> tuple[Tensor, Tensor]:
    """Mask of an object of two lobes, and the signed distance of a disc that fits it badly."""
    mask = (torch.maximum(disc(SIZE, 18, (-4, 4)), disc(SIZE, 11, (12, -12))) > 0).float()
    return mask, disc(SIZE, 17, (2, 10))


def loss_deep_level_set_terms() -> Figure:
    """Where each of the four terms pushes."""
    mask, guess = truth_and_guess()
    image, distance = 0.3 + 0.4 * mask + 0.05 * noise(SIZE, seed=8), signed_distance(mask)
    figure = new_figure(5 * SIDE, SIDE + 0.2)
    grid = figure.subplots(1, 5)
    draw_panel(grid[0], overlay("contour of phi in red", image, guess, truth=mask))
    pull(
        grid[1], "cross_entropy pushes phi", -_gradient(class_balanced_cross_entropy, guess, mask), truth=mask
    )
    p = torch.sigmoid(0.5 * guess)
    pull(grid[2], "boundary pushes P", -_gradient(level_set_loss, p, mask), truth=mask)
    pull(grid[3], "distance pushes phi0", distance.clamp(-30, 30) - guess, truth=mask)
    draw_panel(grid[4], overlay("direction: V should be this", image, truth=mask))
    y, x = torch.meshgrid(torch.arange(2, SIZE, 5), torch.arange(2, SIZE, 5), indexing="ij")
    v = true_direction(distance)[0, :, 2::5, 2::5].numpy()
    grid[4].quiver(x, y, v[1], v[0], angles="xy", scale=17, width=0.006, color=PALETTE[4])
    return figure


def _gradient(loss: Callable[[Tensor, Tensor], Tensor], x: Tensor, mask: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    loss(x, mask).backward()
    assert x.grad is not None
    return x.grad


def loss_deep_level_set_cross_entropy() -> Figure:
    """One wrong voxel under the two steps, and what the balance does to the best constant answer."""
    figure = new_figure(3 * 2.3, SIDE + 0.2)
    grid = figure.subplots(1, 3)
    depth = torch.linspace(0.02, 20, 400)
    target = torch.zeros(400, 1, 1, 1)
    for kind, colour in (("arctan", PALETTE[0]), ("tanh", PALETTE[1])):
        for eps, style in ((1.0, "-"), (3.0, "--")):
            x = depth.view(-1, 1, 1, 1).clone().requires_grad_()
            value = class_balanced_cross_entropy(x, target, eps=eps, heaviside=kind, reduction="none")  # type: ignore[arg-type]
            (slope,) = torch.autograd.grad(value.sum(), x)
            look = {"color": colour, "ls": style, "lw": 1.2, "label": f"{kind}, eps={eps:g}"}
            grid[0].plot(depth, value.detach(), **look)
            grid[1].plot(depth, slope.flatten(), **look)
    tidy(grid[0], "loss of a background voxel", x="its phi, wrongly positive")
    tidy(grid[1], "pull on it", x="its phi, wrongly positive")
    grid[0].set_ylim(0, 6)
    grid[1].legend(fontsize=6, frameon=False, loc="center right", bbox_to_anchor=(1, 0.62))
    _plot_balance(grid[2])
    return figure


def _plot_balance(axes: Any) -> None:
    phi = torch.linspace(-6, 6, 121)
    mask = (torch.arange(100) < 5).float().expand(121, 1, 1, 100)
    constant = phi.view(-1, 1, 1, 1).expand_as(mask)
    balanced = class_balanced_cross_entropy(constant, mask, heaviside="tanh", reduction="none")
    plain = 0.05 * softplus(-2 * phi) + 0.95 * softplus(2 * phi)
    for name, value, colour in (("balanced", balanced, PALETTE[0]), ("plain", plain, PALETTE[1])):
        axes.plot(phi, value / value.max(), color=colour, lw=1.2, label=name)
        axes.plot(phi[value.argmin()], value.min() / value.max(), "o", color=colour, ms=3)
    tidy(axes, "loss of one phi everywhere, highest = 1", x="phi; 5 % of the image is object")
    axes.legend(fontsize=6, frameon=False)


class _Network(nn.Module):
    """A few convolutions that give phi0, V, g and P, and five steps of evolution."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels, dilation in ((1, 1), (16, 2), (16, 4), (16, 8)):
            layers += [nn.Conv2d(channels, 16, 3, padding=dilation, dilation=dilation), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(16, 5, 1))

    def forward(self, x: Tensor) -> DeepLevelSetOutput:
        """Maps and evolved level set of images `(B, 1, rows, columns)`."""
        phi0, motion, g, p = self.layers(x).split((1, 2, 1, 1), 1)
        phi0, g = 10 * phi0, 0.04 * g.sigmoid()  # dt g < 1/4
        phi = deep_level_set(phi0, motion, g, steps=5, dt=5.0, eps=9.0).phi
        return DeepLevelSetOutput(phi, phi0, motion, p.sigmoid(), g)


def loss_deep_level_set_warm_up() -> Figure:
    """The parts of the loss during a training, and what the warm-up makes of phi0."""
    mask, _ = truth_and_guess()
    image = 0.3 + 0.4 * mask + 0.15 * noise(SIZE, seed=8)
    image, mask = (nn.functional.avg_pool2d(x, 2) for x in (image, mask))
    mask = (mask > 0.5).float()
    figure = new_figure(2 * 3.4, SIDE + 0.3)
    grid = figure.subplots(1, 2)
    for warm_up, colour in ((0, PALETTE[1]), (5, PALETTE[0]), (15, PALETTE[6])):
        parts, errors = _train(image, mask, warm_up=warm_up)
        grid[1].plot(range(1, len(errors) + 1), errors, color=colour, lw=1.2, label=f"warm-up of {warm_up}")
        for name, colour in zip(parts[0] if warm_up == 5 else (), PALETTE[2:], strict=False):
            values = [p[name] for p in parts if name in p]
            grid[0].semilogy(range(1, len(values) + 1), values, color=colour, lw=1.2, label=name)
    tidy(grid[0], "parts of the loss, warm-up of 5 epochs", x="epoch")
    tidy(grid[1], "mean error of phi0 as a distance, in pixels", x="epoch")
    grid[0].legend(fontsize=6, frameon=False)
    grid[1].legend(fontsize=6, frameon=False)
    return figure


def _train(image: Tensor, mask: Tensor, *, warm_up: int) -> tuple[list[dict[str, float]], list[float]]:
    """Parts of the loss and error of phi0 at the end of each of 15 epochs of 16 updates."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = _Network().double()  # chaotic in float32
    image, mask = image.double(), mask.double()
    distance, optimizer = signed_distance(mask), torch.optim.Adam(network.parameters(), lr=1e-3)
    criterion, parts, errors = DeepLevelSetLoss(), [], []
    for epoch in range(15):
        criterion.warm_up = epoch < warm_up
        for _ in range(16):
            optimizer.zero_grad()
            output = network(image)
            terms = criterion.parts(output, mask, distance)
            torch.stack(list(terms.values())).sum().backward()
            nn.utils.clip_grad_norm_(network.parameters(), 10.0)
            optimizer.step()
        parts.append({name: float(value.detach()) for name, value in terms.items()})
        errors.append(float((output.phi0 - distance).detach().abs().mean()))
    return parts, errors
