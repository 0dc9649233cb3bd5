"""Level-set loss of Kim et al. (2019): how badly two constants per class explain the labels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ..levelset.heaviside import HeavisideKind, _check, dirac
from ..levelset.heaviside import heaviside as smooth_step
from ..levelset.precision import plain, wide
from .reduction import Reduction, channels, check_reduction, reduce_items


def level_set_loss(
    probability: Tensor,
    target: Tensor,
    *,
    eps: float = 1 / 20,
    heaviside: HeavisideKind = "tanh",
    ignore_index: int | None = None,
    reduction: Reduction = "mean",
    per_voxel: bool = False,
) -> Tensor:
    r"""Level-set energy of class probabilities against a label, after Kim et al. (WACV 2019, eqs. 4-7).

    Each class l is a two-region problem of Chan and Vese, whose "image" is the binary map G of the class and
    whose level function is phi = P - 1/2, so that the contour is where the class has probability 1/2:

        E = sum_l sum_voxels (G_l - c1_l)^2 H(phi_l) + (G_l - c2_l)^2 (1 - H(phi_l))

    with c1, c2 the means of G inside and outside the *predicted* contour, weighted by H and 1 - H. The paper
    sums over the classes present in the image, the background included. A class that is absent has G = 0, so
    its energy and gradient are exactly zero: nothing has to be chosen. E is not negative, is at most
    sum_l |G_l| (V - |G_l|) / V for V voxels, and is zero for a perfect prediction, but also for the exact
    complement of it, because the energy does not know which side is which. So it refines a supervised loss
    and does not replace one: the paper trains cross entropy + 4e-4 E.

    The gradient, delta(phi) ((G - c1)^2 - (G - c2)^2), is analytic. The means minimise E, so that holding
    them fixed leaves it exact. Only the inputs are kept for it; work is done class by class, in float32 (or
    float64), which is why half-precision input is safe. Twice differentiating is not supported.

    Args:
        probability: `(B, N, *spatial)`, any number of axes, in [0, 1]. With N = 1 it is the foreground of two
            classes.
        target: labels `(B, 1, *spatial)`, whole numbers in any dtype, or, if N > 1, one-hot
            `(B, N, *spatial)` of zeros and ones. With N = 1 label 1 is the foreground. A label without a
            channel is outside every class.
        eps: half width of the transition, in units of probability; the paper's is 1/20.
        heaviside: `tanh` (the paper's), `arctan`, `sine` or `hard`. The paper finds `arctan` nearly as good
            and `hard` worst; with `hard` the energy is only a figure to watch, its gradient is zero.
        ignore_index: voxels with this label do not count at all. Only for labels that are not one-hot.
        reduction: `mean` over the batch (the paper's, whose lambda = 4e-4 belongs to it), `sum`, or `none`.
        per_voxel: divide each item's energy by the number of its voxels that count; then E does not grow with
            the image, and lambda is of order 1 instead.

    Returns:
        Scalar, or `(B,)` with `reduction="none"`, in float32 (float64 if the probability is).

    Raises:
        ValueError: shapes that do not fit, one-hot labels with `ignore_index`, or an unknown option.

    Example:
        >>> import torch
        >>> target = torch.tensor([0, 0, 1, 1]).view(1, 1, 1, 4)
        >>> level_set_loss(target.float(), target).round(decimals=4)
        tensor(0.)
        >>> unsure = torch.full((1, 1, 1, 4), 0.5)
        >>> level_set_loss(unsure, target)  # two classes, 4 voxels of variance 1/4 each
        tensor(2.)
    """
    check_reduction(reduction)
    _check(eps, heaviside)
    _check_shapes(probability, target, ignore_index)
    p, t = plain(probability), plain(target)
    energy, voxels = _LevelSetEnergy.apply(p, t, eps, heaviside, ignore_index)
    return reduce_items(energy / voxels.clamp_min(1) if per_voxel else energy, reduction)


class LevelSetLoss(nn.Module):
    """Module form of `level_set_loss`.

    Args:
        eps: half width of the transition, in units of probability.
        heaviside: `tanh`, `arctan`, `sine` or `hard`.
        softmax: the input holds logits: apply a softmax over the channels first.
        sigmoid: the input holds logits: apply a sigmoid first.
        ignore_index: label of voxels that do not count.
        reduction: `mean`, `sum` or `none`, over the batch.
        per_voxel: divide each item's energy by its number of voxels.

    Raises:
        ValueError: both `softmax` and `sigmoid`, or an unknown option.

    Example:
        The paper's criterion, cross entropy + 4e-4 E:

        >>> import torch
        >>> level_set = LevelSetLoss(softmax=True)
        >>> logits = torch.zeros(2, 3, 8, 8, requires_grad=True)
        >>> target = torch.randint(0, 3, (2, 1, 8, 8))
        >>> cross_entropy = torch.nn.functional.cross_entropy(logits, target[:, 0])
        >>> loss = cross_entropy + 4e-4 * level_set(logits, target)
        >>> loss.backward()
    """

    def __init__(
        self,
        *,
        eps: float = 1 / 20,
        heaviside: HeavisideKind = "tanh",
        softmax: bool = False,
        sigmoid: bool = False,
        ignore_index: int | None = None,
        reduction: Reduction = "mean",
        per_voxel: bool = False,
    ) -> None:
        super().__init__()
        if softmax and sigmoid:
            raise ValueError("Both `softmax` and `sigmoid` are set: choose the one that fits the network.")
        check_reduction(reduction)
        _check(eps, heaviside)
        self.eps = eps
        self.heaviside = heaviside
        self.softmax = softmax
        self.sigmoid = sigmoid
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.per_voxel = per_voxel

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Loss of probabilities (or logits, see the flags) `(B, N, *spatial)` against labels."""
        if self.softmax and channels(input) == 1:
            raise ValueError("`softmax` of one channel is always 1: use `sigmoid=True` with one channel.")
        if self.softmax and channels(input) == channels(target) == 2 and self.ignore_index is None:
            input, target = _foreground(wide(input), target)
        elif self.softmax:
            input = wide(input).softmax(1)
        if self.sigmoid:
            input = wide(input).sigmoid()
        return level_set_loss(
            input,
            target,
            eps=self.eps,
            heaviside=self.heaviside,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            per_voxel=self.per_voxel,
        )


def _foreground(scores: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Probability and label of the second of two classes: the first is the complement, with equal energy."""
    return (scores[:, 1:] - scores[:, :1]).sigmoid(), plain(target)[:, 1:]


def _check_shapes(probability: Tensor, target: Tensor, ignore_index: int | None) -> None:
    if probability.ndim < 3 or not probability.is_floating_point():
        raise ValueError(
            f"`probability` must be a floating tensor (B, N, *spatial), got {tuple(probability.shape)} of "
            f"{probability.dtype}."
        )
    if torch.jit.is_tracing():  # sizes are tensors then
        return
    b, n, *spatial = probability.shape
    if tuple(target.shape) not in ((b, 1, *spatial), (b, n, *spatial)):
        raise ValueError(
            f"`target` must be labels {(b, 1, *spatial)} or one-hot {(b, n, *spatial)}, got "
            f"{tuple(target.shape)}: labels without a channel need `target.unsqueeze(1)`."
        )
    if ignore_index is not None and target.shape[1] > 1:
        raise ValueError("`ignore_index` needs labels (B, 1, *spatial): pass them instead of one-hot ones.")


class _LevelSetEnergy(torch.autograd.Function):
    """Energy `(B,)` and number of counted voxels `(B,)`; gradient for the probability only.

    With G and H in [0, 1] every class's energy follows from four sums over the voxels: hits b = sum HG,
    false alarms f = sum H(1-G), misses m = sum (1-H)G and the rest q. Then c1 = b/(b+f), c2 = m/(m+q) and
    E = bf/(b+f) + mq/(m+q). f and m are summed directly, not as differences of large areas.
    """

    @staticmethod
    def forward(
        ctx: Any, probability: Tensor, target: Tensor, eps: float, kind: HeavisideKind, ignored: int | None
    ) -> tuple[Tensor, Tensor]:
        labels, classes = _labels(probability, target), channels(probability)
        valid = _valid(labels, ignored)
        missed, alarms, areas = [], [], []
        for channel in range(classes):
            other = _other(labels, channel, classes, ignored)
            error = _outside(_channel(probability, channel), eps, kind).sub_(other)
            if valid is not None:
                error.mul_(valid)
            missed.append(error.clamp_min(0).sum(1))
            alarms.append(-error.clamp_max_(0).sum(1))
            areas.append(labels.shape[2] - other.sum(1))
        m, f, area = torch.stack(missed, 1), torch.stack(alarms, 1), torch.stack(areas, 1)
        voxels = torch.full_like(area[:, 0], labels.shape[2]) if valid is None else valid.sum(1)
        hits, rest = (area - m).clamp_min(0), (voxels[:, None] - area - f).clamp_min(0)
        tiny = torch.finfo(m.dtype).tiny
        inside, outside = (hits + f).clamp_min(tiny), (m + rest).clamp_min(tiny)
        ctx.save_for_backward(probability, target, hits / inside, m / outside)
        ctx.options = eps, kind, ignored
        ctx.mark_non_differentiable(voxels)
        return _both(probability) * (hits / inside * f + m / outside * rest).sum(1), voxels

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor, None, None, None, None]:
        probability, target, c1, c2 = ctx.saved_tensors
        eps, kind, ignored = ctx.options
        scale = (c1 - c2) * (_both(probability) * upstream.to(c1.dtype))[:, None]
        at_own, at_other = -scale * (2 - c1 - c2), scale * (c1 + c2)
        labels, classes = _labels(probability, target), channels(probability)
        valid = _valid(labels, ignored)
        grad = torch.empty_like(probability)
        for channel in range(classes):
            other = _other(labels, channel, classes, ignored)
            own, step = at_own[:, channel, None], (at_other - at_own)[:, channel, None]
            slope = torch.addcmul(own, other, step).mul_(_slope(_channel(probability, channel), eps, kind))
            if valid is not None:
                slope.mul_(valid)
            grad[:, channel] = slope.view(grad[:, channel].shape)
        return grad, None, None, None, None


def _both(probability: Tensor) -> int:
    """One channel stands for two classes, whose energies are equal: H, G -> 1-H, 1-G swaps all four sums."""
    return 2 if channels(probability) == 1 else 1


def _channel(x: Tensor, channel: int) -> Tensor:
    return wide(x[:, channel].flatten(1))


def _outside(p: Tensor, eps: float, kind: HeavisideKind) -> Tensor:
    """1 - H(p - 1/2), new memory. For tanh this is a sigmoid, which keeps small values and is faster."""
    if kind == "tanh":
        return (0.5 - p).mul_(2 / eps).sigmoid_()
    return 1 - smooth_step(p - 0.5, eps, kind)


def _slope(p: Tensor, eps: float, kind: HeavisideKind) -> Tensor:
    """Derivative of H at p - 1/2."""
    if kind == "tanh":
        outside = _outside(p, eps, kind)
        return torch.addcmul(outside, outside, outside, value=-1).mul_(2 / eps)
    return dirac(p - 0.5, eps, kind)


def _labels(probability: Tensor, target: Tensor) -> Tensor:
    """Labels `(B, 1 or N, voxels)` in the dtype of the computation."""
    return target.flatten(2).to(torch.promote_types(probability.dtype, torch.float32))


def _valid(labels: Tensor, ignored: int | None) -> Tensor | None:
    """1 where a voxel counts, `(B, voxels)`; None where all do."""
    return None if ignored is None else _differs(labels, ignored)


def _other(labels: Tensor, channel: int, classes: int, ignored: int | None) -> Tensor:
    """1 - G, `(B, voxels)`: 1 where the label is not the channel's class."""
    if channels(labels) > 1:
        return 1 - labels[:, channel]
    label = channel if classes > 1 else 1
    return torch.ones_like(labels[:, 0]) if label == ignored else _differs(labels, label)


def _differs(labels: Tensor, label: int) -> Tensor:
    """1 where whole numbers are not `label`. Without booleans, which a CPU handles several times slower."""
    return labels[:, 0].sub(label).abs_().clamp_max_(1)
