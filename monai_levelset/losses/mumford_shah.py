"""Mumford-Shah loss of Kim and Ye."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..levelset.geometry import check_spacing, spatial_dims
from ..levelset.precision import plain, wide
from .mumford_shah_energy import Variation, mumford_shah_energy
from .reduction import Reduction, channels, check_reduction, reduce_items
from .total_variation import TotalVariationKind, check_kind
from .total_variation import total_variation as length


def mumford_shah_loss(
    probability: Tensor,
    image: Tensor,
    *,
    tv_weight: float = 1e-3,
    total_variation: TotalVariationKind = "anisotropic",
    mask: Tensor | None = None,
    bias: Tensor | None = None,
    bias_weight: float = 0.1,
    spacing: Sequence[float] | None = None,
    reduction: Reduction = "sum",
    per_voxel: bool = False,
) -> Tensor:
    """Mumford-Shah loss: how far the image is from constant in each phase, plus the length of the contours.

    For image x, phases y_1..y_N and bias field b (1 without one), per item

        E = sum_n sum_voxels |x - b c_n|^2 y_n + tv_weight sum_n TV(y_n) + bias_weight TV(b),
        c_n = sum b x y_n / sum b^2 y_n

    (Kim and Ye, "Mumford-Shah loss functional for image segmentation with deep learning", eq. 12 and 19, and
    "Multiphase level-set loss"). It needs no label. The paper adds beta = 1e-6 times the sum over a batch of
    images in [0, 1] to the cross entropy of the labelled items.

    Means are subtracted before squaring and sums are float32 at least, so an offset of the image (Hounsfield
    units) costs no accuracy. E is not negative and is finite for empty, full and constant phases. It is
    exactly differentiated with respect to `probability`, `bias` and `image`: c_n minimises E, so it counts as
    a constant (envelope theorem). Use a larger `tv_weight` for smoother contours; it competes with squared
    intensities, so it grows with the square of the intensity scale.

    Args:
        probability: y, `(B, N, *spatial)`, 2D or 3D, a softmax output. With N = 1 it is the foreground's
            probability and 1 - y is added as second phase.
        image: x, `(B, C, *spatial)`, any number of channels; the means are then vectors.
        tv_weight: lambda, the paper's 1e-3.
        total_variation: `anisotropic` (the released code) or `isotropic`, see `total_variation()`.
        mask: `(B, 1, *spatial)` weight of each voxel, 0 or `False` to ignore it: whatever the image holds
            there (NaN too) has no influence, and no face that touches it counts in TV. A face has the smaller
            weight of its two voxels. NaN and negative weights count as 0.
        bias: b > 0, `(B, 1, *spatial)`, of any scale: it is divided by its mean over the voxels of each item
            that are not ignored, as scaling b and dividing c_n by the same factor changes nothing.
        bias_weight: gamma. The papers do not give it; 0.1 was chosen by measurement for images in [0, 1]: of
            0.001 to 10 it finds a brightness rising by 30 % across a noisy image best on the whole (0.03 is
            better with little noise). Smaller, and b takes up the noise; larger, and b stays flat.
        spacing: h, mm per voxel, one per spatial axis in tensor order: differences along axis i are divided
            by h_i. Sums run over voxels, without a factor for their volume. Default 1.
        reduction: over the batch: `sum` (the paper), `mean`, or `none`.
        per_voxel: divide the energy of each item by the number of its voxels that are not ignored, so that
            one weight of the loss suits all image sizes.

    Returns:
        Scalar, or `(B,)` for `reduction="none"`; float64 if `probability` is, else float32 (in half precision
        the sum would overflow).

    Raises:
        ValueError: shapes that do not fit, an integer `probability`, an unknown name or a negative weight.

    Example:
        >>> import torch
        >>> image = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(1, 1, 4, 4)
        >>> mumford_shah_loss(image, image)  # the true foreground: two phases, four faces each
        tensor(0.0080)
        >>> mumford_shah_loss(torch.full_like(image, 0.5), image)  # both means are 1/2: 16 voxels * 1/4
        tensor(4.)
    """
    _check_options(tv_weight, total_variation, bias_weight, reduction)
    _check_shapes(probability, image, mask, bias)
    tv = Variation(tv_weight, total_variation, check_spacing(spacing, probability.ndim - 2))
    y, x, w, valid = _prepare(probability, image, mask)
    b = None if bias is None else _unit_mean(plain(bias).to(y.dtype), valid)
    energy = mumford_shah_energy(y, x, b, w, tv)
    if b is not None and bias_weight > 0:
        energy = energy + bias_weight * length(b, kind=tv.kind, spacing=tv.spacing, mask=w)
    if per_voxel:
        count = math.prod(y.shape[2:]) if valid is None else valid.flatten(1).sum(1).clamp_min(1)
        energy = energy / count
    return reduce_items(energy, reduction)


def _check_options(tv_weight: float, kind: str, bias_weight: float, reduction: str) -> None:
    check_kind(kind)
    check_reduction(reduction)
    if not (tv_weight >= 0 and bias_weight >= 0):
        raise ValueError(
            f"`tv_weight` and `bias_weight` must not be negative, got {tv_weight}, {bias_weight}."
        )


def _check_shapes(probability: Tensor, image: Tensor, mask: Tensor | None, bias: Tensor | None) -> None:
    spatial_dims(probability, "probability")
    if torch.jit.is_tracing():  # sizes are tensors then
        return
    batch, _, *spatial = probability.shape
    if image.ndim != probability.ndim or image.shape[0] != batch or list(image.shape[2:]) != spatial:
        raise ValueError(
            f"`image` must be (B, C, *spatial) on the grid of `probability` {tuple(probability.shape)}, "
            f"got {tuple(image.shape)}."
        )
    for name, field in (("mask", mask), ("bias", bias)):
        if field is not None and list(field.shape) != [batch, 1, *spatial]:
            raise ValueError(f"`{name}` must have shape {(batch, 1, *spatial)}, got {tuple(field.shape)}.")


def _prepare(
    probability: Tensor, image: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Phases, image and weights in float32 or float64, and the voxels that count."""
    y = wide(probability)
    if channels(y) == 1:
        y = torch.cat([y, 1 - y], 1)
    x = plain(image).to(y.dtype)
    if mask is None:
        return y, x, None, None
    mask = plain(mask)
    valid = mask > 0
    return y, torch.where(valid, x, 0), torch.where(valid, mask, 0).to(y.dtype), valid


def _unit_mean(bias: Tensor, valid: Tensor | None) -> Tensor:
    axes = tuple(range(1, bias.ndim))
    if valid is None:
        return bias / bias.mean(axes, keepdim=True)
    bias = torch.where(valid, bias, 0)
    mean = bias.sum(axes, keepdim=True) / valid.sum(axes, keepdim=True).clamp_min(1)
    return bias / torch.where(mean > 0, mean, 1)


_FAR_APART = 1e12  # distance between the images of a mini-batch: no contour runs between them


def _as_volume(x: Tensor) -> Tensor:
    """A mini-batch of 2D images as one volume with the images as its slices."""
    if x.ndim != 4:
        raise ValueError(f"`over_batch` is for 2D images (B, C, H, W), got shape {tuple(x.shape)}.")
    return x.transpose(0, 1)[None]


class MumfordShahLoss(nn.Module):
    """`mumford_shah_loss` as a module, from the output of a network.

    Args:
        tv_weight: lambda, weight of the length term.
        total_variation: `anisotropic` or `isotropic`.
        bias_weight: gamma, weight of the bias field's total variation (not given in the papers).
        spacing: mm per voxel, one per spatial axis in tensor order; default 1.
        reduction: over the batch: `sum` (the paper), `mean` or `none`.
        per_voxel: divide each item's energy by the number of its voxels.
        softmax: apply a softmax over the channels of the input first.
        sigmoid: apply a sigmoid to the input first: for one channel, the foreground.
        bias_field: the last channel of the input is u and b = exp(u), scaled to mean 1, is the bias field;
            the others are the phases. u takes no part in the softmax.
        over_batch: the phases' means are those of the whole mini-batch instead of each image's: a phase is
            the same tissue in all images, so an image without a tumour need not be split in two. Brightness
            has to mean the same in all images (Hounsfield units, normalised volumes).
        ignore_value: voxels whose image holds this value in all channels (for example the padding around a
            scan), or NaN in any channel, are ignored. `float("nan")`: only the latter.

    Raises:
        ValueError: `softmax` together with `sigmoid`, `over_batch` with `bias_field` or for volumes, or what
            `mumford_shah_loss` refuses.

    Example:
        >>> import torch
        >>> loss = MumfordShahLoss(softmax=True, per_voxel=True, reduction="mean")
        >>> scores = torch.zeros(2, 3, 8, 8, requires_grad=True)
        >>> value = loss(scores, torch.rand(2, 1, 8, 8))
        >>> value.backward()
        >>> scores.grad.shape
        torch.Size([2, 3, 8, 8])
    """

    def __init__(
        self,
        *,
        tv_weight: float = 1e-3,
        total_variation: TotalVariationKind = "anisotropic",
        bias_weight: float = 0.1,
        spacing: Sequence[float] | None = None,
        reduction: Reduction = "sum",
        per_voxel: bool = False,
        softmax: bool = False,
        sigmoid: bool = False,
        bias_field: bool = False,
        over_batch: bool = False,
        ignore_value: float | None = None,
    ) -> None:
        super().__init__()
        if over_batch and bias_field:
            raise ValueError(
                "`over_batch` and `bias_field` exclude each other: a bias field is an image's own."
            )
        if softmax and sigmoid:
            raise ValueError("`softmax` and `sigmoid` exclude each other: set one of them.")
        _check_options(tv_weight, total_variation, bias_weight, reduction)
        self.tv_weight, self.total_variation, self.bias_weight = tv_weight, total_variation, bias_weight
        self.spacing, self.reduction, self.per_voxel = spacing, reduction, per_voxel
        self.softmax, self.sigmoid = softmax, sigmoid
        self.bias_field, self.over_batch, self.ignore_value = bias_field, over_batch, ignore_value

    def forward(self, input: Tensor, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """Loss of `input` `(B, N or N + 1, *spatial)` on `image` `(B, C, *spatial)`, see the class."""
        spatial_dims(input, "input")
        scores, image = wide(input), plain(image)
        bias = None
        if self.bias_field:
            scores, bias = self._split_bias(scores)
        probability, mask, spacing = self._activate(scores), self._mask(image, mask), self.spacing
        if self.over_batch:
            probability, image = _as_volume(probability), _as_volume(image)
            mask = None if mask is None else _as_volume(mask)
            spacing = (_FAR_APART, *(self.spacing or (1.0, 1.0)))
        return mumford_shah_loss(
            probability,
            image,
            tv_weight=self.tv_weight,
            total_variation=self.total_variation,
            mask=mask,
            bias=bias,
            bias_weight=self.bias_weight,
            spacing=spacing,
            reduction=self.reduction,
            per_voxel=self.per_voxel,
        )

    @staticmethod
    def _split_bias(scores: Tensor) -> tuple[Tensor, Tensor]:
        if channels(scores) < 2:
            raise ValueError("`bias_field=True` needs two channels or more: the phases, then u.")
        u = scores[:, -1:]
        top = u.detach().amax(tuple(range(1, u.ndim)), keepdim=True)
        return scores[:, :-1], (u - top).exp()

    def _activate(self, scores: Tensor) -> Tensor:
        if self.softmax and channels(scores) == 1:
            raise ValueError("The softmax of one channel is always 1: use `sigmoid=True`.")
        if self.softmax:
            return scores.softmax(1)
        return scores.sigmoid() if self.sigmoid else scores

    def _mask(self, image: Tensor, mask: Tensor | None) -> Tensor | None:
        if self.ignore_value is None:
            return mask
        ignored = (image == self.ignore_value).all(1, keepdim=True) | image.isnan().any(1, keepdim=True)
        return ~ignored if mask is None else torch.where(ignored, 0, mask)
