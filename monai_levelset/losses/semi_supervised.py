"""Semi-supervised sum of Kim and Ye: a supervised loss where there is a label, another one everywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

Loss = Callable[..., Tensor]


def semi_supervised_loss(
    input: Tensor,
    target: Tensor,
    image: Tensor | None,
    labeled: Tensor | Sequence[float],
    *,
    supervised: Loss,
    unsupervised: Loss | None,
    beta: float = 1e-6,
    averages: bool | None = None,
    **kwargs: Any,
) -> Tensor:
    """Function form of `SemiSupervisedLoss`; the arguments are explained there.

    Args:
        input: `(B, N, *)`, the network's output.
        target: labels, one per item; the content of unlabelled items does not matter.
        image: what the unsupervised loss compares the input with.
        labeled: `(B,)`, 1 where an item has a label.
        supervised: loss of an input and its target.
        unsupervised: loss of an input and its image, or `None`.
        beta: weight of the unsupervised loss.
        averages: whether the supervised loss is a mean over the batch.
        **kwargs: handed to the unsupervised loss.

    Returns:
        Scalar.

    Raises:
        ValueError: `labeled` does not fit, or the supervised loss is no scalar.

    Example:
        >>> import torch
        >>> input, target = torch.zeros(4, 2, 8, 8), torch.zeros(4, 8, 8, dtype=torch.long)
        >>> loss = torch.nn.CrossEntropyLoss()
        >>> semi_supervised_loss(input, target, None, [1, 0, 0, 1], supervised=loss, unsupervised=None)
        tensor(0.3466)
    """
    criterion = SemiSupervisedLoss(supervised, unsupervised, beta=beta, averages=averages)
    loss: Tensor = criterion(input, target, image, labeled, **kwargs)
    return loss


class SemiSupervisedLoss(nn.Module):
    """One criterion for a batch of labelled and unlabelled items (Kim and Ye 2019, eq. 16).

        L = 1/B sum_i alpha_i L_sup(input_i, target_i) + beta L_unsup(input, image)

    with alpha_i = 1 where item i has a label, else 0. The supervised loss is called on the labelled items
    alone, so its gradient is exactly zero at the others, even where their target is nan. A loss that averages
    over its batch is multiplied by the share of labelled items, which gives the sum above; otherwise a batch
    with one label would weigh that label as much as a batch of labels. A loss that sums is left as it is.
    With every item labelled, the unsupervised loss is a regulariser; with none, it is alone.

    Args:
        supervised: any loss of MONAI or torch, called as `supervised(input, target)`, that returns a scalar.
        unsupervised: called as `unsupervised(input, image, **kwargs)`, on all items, such as
            `MumfordShahLoss(softmax=True)`; `None` trains on the labelled items only.
        beta: weight of the unsupervised loss. The released 1e-6 belongs to one that sums over the batch and
            the voxels; with one that averages over both (`per_voxel=True, reduction="mean"`) the same weight
            is 1e-6 times their number, 0.26 for four images of 256 x 256.
        averages: whether the supervised loss is a mean over the batch. By default read from its `reduction`
            or, for a loss made of losses, from theirs; a loss without that attribute is taken for a mean.

    Raises:
        ValueError: `beta` is negative, the supervised loss has `reduction="none"`, or it is made of losses
            that average and losses that sum.

    Example:
        >>> import torch
        >>> from monai.losses import DiceCELoss
        >>> from monai_levelset.losses import MumfordShahLoss
        >>> dice = DiceCELoss(softmax=True, to_onehot_y=True)
        >>> criterion = SemiSupervisedLoss(dice, MumfordShahLoss(softmax=True))
        >>> logits = torch.zeros(2, 3, 8, 8, requires_grad=True)
        >>> label, image = torch.zeros(2, 1, 8, 8), torch.rand(2, 1, 8, 8)
        >>> criterion(logits, label, image, labeled=torch.tensor([1, 0])).backward()
        >>> parts = criterion.parts(logits, label, image, labeled=torch.tensor([1, 0]))
        >>> [*parts]
        ['supervised', 'unsupervised']
    """

    def __init__(
        self,
        supervised: Loss,
        unsupervised: Loss | None,
        *,
        beta: float = 1e-6,
        averages: bool | None = None,
    ) -> None:
        super().__init__()
        if not beta >= 0:
            raise ValueError(f"`beta` weighs the unsupervised loss and must not be negative, got {beta}.")
        self.supervised = supervised
        self.unsupervised = unsupervised
        self.beta = beta
        self.averages = _averages(supervised) if averages is None else averages

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        image: Tensor | None,
        labeled: Tensor | Sequence[float],
        **kwargs: Any,
    ) -> Tensor:
        """Sum of `parts`, whose arguments it takes."""
        return torch.stack(list(self.parts(input, target, image, labeled, **kwargs).values())).sum()

    def parts(
        self,
        input: Tensor,
        target: Tensor,
        image: Tensor | None,
        labeled: Tensor | Sequence[float],
        **kwargs: Any,
    ) -> dict[str, Tensor]:
        """Weighted terms by name, for logging; their sum is the loss.

        Args:
            input: `(B, N, *)`, the network's output.
            target: labels, one per item; the content of unlabelled items does not matter.
            image: what the unsupervised loss compares the input with; `None` if there is no such loss.
            labeled: `(B,)`, 1 or true where an item has a label. Best a list or a tensor on the CPU: picking
                items by a tensor on a GPU makes the CPU wait for it.
            **kwargs: handed to the unsupervised loss.

        Returns:
            `supervised` and, where there is one, `unsupervised`: scalars. Without a labelled item
            `supervised` is a zero that still hangs on the input, so `backward()` works.

        Raises:
            ValueError: `labeled` does not fit the batch, or the supervised loss is no scalar.
        """
        parts = {"supervised": self._supervised(input, target, _chosen(labeled, len(input)))}
        if self.unsupervised is not None:
            parts["unsupervised"] = self.beta * self.unsupervised(input, image, **kwargs)
        return parts

    def _supervised(self, input: Tensor, target: Tensor, items: Tensor) -> Tensor:
        count, batch = len(items), len(input)
        if count == 0:
            return input[:0].sum()
        if count < batch:
            input, target = _pick(input, items), _pick(target, items)
        loss = self.supervised(input, target)
        if loss.numel() != 1:
            raise ValueError(
                f"The supervised loss must return a scalar, got shape {tuple(loss.shape)}: set its reduction "
                "to 'mean' or 'sum'."
            )
        return loss.reshape(()) * (count / batch if self.averages else 1)


def _averages(loss: Loss) -> bool:
    """Whether a loss is a mean over the batch, judged by the reductions of its innermost modules."""
    modules = list(loss.modules()) if isinstance(loss, nn.Module) else [loss]
    inner = [m for m in modules if not any(hasattr(c, "reduction") for c in getattr(m, "children", list)())]
    reductions = {str(m.reduction) for m in inner if hasattr(m, "reduction")}
    if "none" in reductions:
        raise ValueError("The supervised loss has reduction='none': give it 'mean' or 'sum'.")
    if len(reductions) > 1:
        raise ValueError(f"The supervised loss mixes the reductions {sorted(reductions)}: use one of them.")
    return reductions != {"sum"}


def _chosen(labeled: Tensor | Sequence[float], batch: int) -> Tensor:
    """Indices of the labelled items."""
    flags = torch.as_tensor(labeled)
    if flags.numel() != batch or flags.ndim > 2:
        raise ValueError(f"`labeled` must hold one value per item, {batch}, got shape {tuple(flags.shape)}.")
    return (flags.reshape(batch) > 0.5).nonzero()[:, 0]


def _pick(x: Tensor, items: Tensor) -> Tensor:
    return x.index_select(0, items.to(x.device, non_blocking=True))
