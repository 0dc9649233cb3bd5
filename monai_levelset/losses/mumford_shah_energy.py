"""The energy behind the Mumford-Shah loss, with analytic gradients: eager in blocks, compiled in one loop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .total_variation import (
    TotalVariationKind,
    _axes,
    add_total_variation_,
    fused_gradient,
    total_variation,
)

_BLOCK = 1 << 18  # voxels worked on together on a CPU


class Variation(NamedTuple):
    """How the length term is measured: weight, kind of total variation, spacing."""

    weight: float
    kind: TotalVariationKind
    spacing: tuple[float, ...]


def mumford_shah_energy(y: Tensor, x: Tensor, b: Tensor | None, w: Tensor | None, tv: Variation) -> Tensor:
    """Data and length term of each item, sum w |x - b c_n|^2 y_n + tv.weight TV(y).

    Differentiated analytically, except with respect to the image, under `torch.jit.trace` and, compiled, for
    the isotropic total variation or the bias field: there in plain operations.

    Args:
        y: phases `(B, N, *spatial)`, float32 or float64.
        x: image `(B, C, *spatial)` of the same dtype.
        b: bias field `(B, 1, *spatial)` or `None` for 1.
        w: weights `(B, 1, *spatial)`, not negative, or `None` for 1.
        tv: length term.

    Returns:
        `(B,)`.

    Example:
        >>> import torch
        >>> halves = torch.full((1, 2, 1, 2), 0.5)
        >>> tv = Variation(1e-3, "anisotropic", (1.0, 1.0))
        >>> mumford_shah_energy(halves, torch.tensor([[[[0.0, 2.0]]]]), None, None, tv)
        tensor([2.])
    """
    by_bias = b is not None and b.requires_grad
    if torch.is_grad_enabled() and (y.requires_grad or by_bias) and not x.requires_grad:
        if torch.compiler.is_compiling():
            if tv.kind == "anisotropic" and tv.weight > 0 and not by_bias:
                return _CompiledEnergy.apply(y, b, x, w, tv)
        elif not torch.jit.is_tracing() and len(y):
            return _AnalyticEnergy.apply(y, b, x, w, tv)
    data = _data_term(y, x, b, w)
    if tv.weight == 0:
        return data
    return data + tv.weight * total_variation(y, kind=tv.kind, spacing=tv.spacing, mask=w)


def _times(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """Product of two fields, either of which may be missing and then is 1."""
    if a is None or b is None:
        return b if a is None else a
    return a * b


def _sum(y: Tensor, weight: Tensor | None) -> Tensor:
    return (y if weight is None else y * weight).sum(_axes(y), keepdim=True)


def _divide(a: Tensor, b: Tensor) -> Tensor:
    """a/b, and 0 for the mean of nothing, or of less: rounding may leave probabilities below 0."""
    return a / b.masked_fill(b <= torch.finfo(b.dtype).tiny, math.inf)


def _residual(x: Tensor, b: Tensor | None, c: Tensor) -> Tensor:
    return x - c if b is None else torch.addcmul(x, b, c, value=-1)


def _centre(x: Tensor, b: Tensor | None, w: Tensor | None) -> Tensor:
    """The c of a single phase that fills the image, `(B, C, 1...)`: x - b * centre has no offset to lose."""
    wb = _times(w, b)
    power = _times(wb, b)
    if wb is None or power is None:
        return x.mean(_axes(x), keepdim=True)
    return _divide(_sum(x, wb), _sum(power, None))


def _means(y: Tensor, x: Tensor, b: Tensor | None, w: Tensor | None) -> list[Tensor]:
    """The means c_n `(B, N, 1...)` for each channel of x."""
    wb = _times(w, b)
    mass = _sum(y, _times(wb, b))
    return [_divide(_sum(y, _times(channel, wb)), mass) for channel in x.split(1, 1)]


def _data_term(y: Tensor, x: Tensor, b: Tensor | None, w: Tensor | None) -> Tensor:
    """Data term `(B,)` in operations that autograd, tracing and compilation understand."""
    x = _residual(x, b, _centre(x, b, w).detach())
    means = _means(y, x, b, w)
    if torch.compiler.is_compiling():  # exact, as c minimises the energy; less to compute backwards
        means = [c.detach() for c in means]
    return _squares(y, x, b, w, means)


def _squares(y: Tensor, x: Tensor, b: Tensor | None, w: Tensor | None, means: Sequence[Tensor]) -> Tensor:
    squares = (_residual(x_k, b, c).square() for x_k, c in zip(x.split(1, 1), means, strict=True))
    return reduce(torch.add, (_sum(square * y, w) for square in squares)).flatten(1).sum(1)


class _Evaluation(NamedTuple):
    energy: Tensor
    by_probability: Tensor
    by_bias: Tensor | None


def _evaluate(
    y: Tensor, b: Tensor | None, x: Tensor, w: Tensor | None, tv: Variation, bias_too: bool
) -> _Evaluation:
    """Energy and its derivatives, without autograd and with as few buffers as possible."""
    centre = _centre(x, b, w)
    x = _residual(x, b, centre)
    energy, gradient = y.new_zeros(len(y)), torch.empty_like(y)
    by_bias = torch.zeros_like(y[:, :1]) if bias_too else None
    blocks = _blocks(y)
    scratch = y.new_empty(2, y[blocks[0]].numel())
    for i, n in blocks:
        bi, wi, gi = (None if f is None else f[i] for f in (b, w, by_bias))
        energy[i] += _evaluate_block(gradient[i, n], y[i, n], x[i], centre[i], bi, wi, gi, tv, scratch)
    return _Evaluation(energy, gradient, by_bias)


def _blocks(y: Tensor) -> list[tuple[slice, slice]]:
    """Items and phases to work on together: few enough for the cache of a CPU, all of them on a GPU."""
    batch, phases = y.shape[:2]
    room = max(1, _BLOCK // y[0, 0].numel()) if y.device.type == "cpu" else batch * phases
    columns = min(room, phases)
    rows = min(max(1, room // phases), batch)
    starts = product(range(0, batch, rows), range(0, phases, columns))
    return [(slice(i, i + rows), slice(n, n + columns)) for i, n in starts]


def _evaluate_block(
    gradient: Tensor,
    y: Tensor,
    x: Tensor,
    centre: Tensor,
    b: Tensor | None,
    w: Tensor | None,
    by_bias: Tensor | None,
    tv: Variation,
    scratch: Tensor,
) -> Tensor:
    """Energy `(B,)`; writes the derivative by y into `gradient` and adds the one by b to `by_bias`."""
    r = scratch[0, : y.numel()].view(y.shape)
    wb = _times(w, b)
    wbb = _times(wb, b)
    mass = (y if wbb is None else torch.mul(y, wbb, out=r)).sum(_axes(y), keepdim=True)
    for k, channel in enumerate(x.split(1, 1)):
        c = _residual_(r, y, channel, b, wb, mass)
        if by_bias is not None:
            part = (r * y * (c + centre[:, k : k + 1])).sum(1, keepdim=True)
            by_bias.sub_(part if w is None else part * w, alpha=2)
        _ = torch.mul(r, r, out=gradient) if k == 0 else gradient.addcmul_(r, r)
    if w is not None:
        gradient.mul_(w)
    energy = torch.mul(y, gradient, out=r).flatten(1).sum(1)
    if tv.weight > 0:
        energy += tv.weight * add_total_variation_(gradient, y, tv.kind, tv.spacing, w, tv.weight, scratch)
    return energy


def _residual_(
    r: Tensor, y: Tensor, channel: Tensor, b: Tensor | None, wb: Tensor | None, mass: Tensor
) -> Tensor:
    """Mean c of each phase; writes x - b c into r."""
    torch.mul(y, channel if wb is None else channel * wb, out=r)
    c = _divide(r.sum(_axes(y), keepdim=True), mass)
    _ = torch.sub(channel, c, out=r) if b is None else torch.addcmul(channel, b, c, value=-1, out=r)
    return c


class _AnalyticEnergy(torch.autograd.Function):
    """Data and length term; the derivatives are computed together with the value and scaled backwards."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, b: Tensor | None, x: Tensor, w: Tensor | None, tv: Variation) -> Tensor:
        ctx.save_for_backward(y, b, x, w)
        ctx.tv = tv
        ctx.evaluation = _evaluate(y, b, x, w, tv, ctx.needs_input_grad[1])
        return ctx.evaluation.energy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        evaluation, ctx.evaluation = ctx.evaluation, None
        if evaluation is None:  # a second time, with retain_graph=True: the first one scaled the buffers
            y, b, x, w = ctx.saved_tensors
            evaluation = _evaluate(y, b, x, w, ctx.tv, ctx.needs_input_grad[1])
        scale = grad_output.view(-1, *(1,) * (evaluation.by_probability.ndim - 1))
        by_bias = None if evaluation.by_bias is None else evaluation.by_bias.mul_(scale)
        return evaluation.by_probability.mul_(scale), by_bias, None, None, None


class _CompiledEnergy(torch.autograd.Function):
    """Data and anisotropic length term for the compiler: keeps nothing but the means, fuses the rest."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, b: Tensor | None, x: Tensor, w: Tensor | None, tv: Variation) -> Tensor:
        centre = _centre(x, b, w)
        centred = _residual(x, b, centre)
        means = _means(y, centred, b, w)
        ctx.save_for_backward(y, b, x, w, centre, *means)
        ctx.tv = tv
        length = total_variation(y, kind=tv.kind, spacing=tv.spacing, mask=w)
        return _squares(y, centred, b, w, means) + tv.weight * length

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        y, b, x, w, centre, *means = ctx.saved_tensors
        scale = grad_output.view(-1, *(1,) * (y.ndim - 1))

        def data(start: int, length: int) -> Tensor:
            b_part, w_part = (None if f is None else f.narrow(2, start, length) for f in (b, w))
            channels = _residual(x.narrow(2, start, length), b_part, centre).split(1, 1)
            squares = (_residual(x_k, b_part, c).square() for x_k, c in zip(channels, means, strict=True))
            total = reduce(torch.add, squares)
            return total if w_part is None else total * w_part

        return fused_gradient(data, y, ctx.tv.spacing, w, ctx.tv.weight, scale), None, None, None, None
