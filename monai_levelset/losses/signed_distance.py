"""Losses of a signed-distance head: what it learns from labels, and that it agrees with the scores."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..levelset.distance import signed_distance
from ..levelset.precision import plain, wide

_distance = torch.compiler.disable(signed_distance)  # OpenCV and SciPy cannot be traced


class SignedDistanceLoss(nn.Module):
    """Dual-task loss of Luo et al. (AAAI 2021) for several structures.

        L = mean over labelled voxels of (phi - d)^2 + consistency mean over all of (sigmoid(k phi) - p)^2

    phi are the level functions, d the signed distances of the label's contours divided by `reach` and cut to
    [-1, 1], p the probabilities of the classes after the background. The paper divides distances by the
    largest in the image; a fixed reach makes phi mean the same in all images, and mixed ones too.

    Args:
        reach: distance, in voxels, at which phi is 1.
        steepness: k; the paper's is 1500, for phi of a whole image; with a reach of 10 voxels, 30 makes the
            transition a few voxels wide, as a softmax has it.
        consistency: weight of the second term.

    Raises:
        ValueError: a number is out of range.

    Example:
        >>> target = torch.zeros(1, 2, 8, 8)
        >>> target[:, 1, 2:6, 2:6], target[:, 0] = 1, 1 - target[:, 1]
        >>> phi = signed_distance(target[:, 1:]) / 10
        >>> loss = SignedDistanceLoss(reach=10, consistency=0)
        >>> loss(phi, torch.zeros(1, 2, 8, 8), target, torch.ones(1, 1, 8, 8, dtype=torch.bool))
        tensor(0.)
    """

    def __init__(self, *, reach: float = 10.0, steepness: float = 30.0, consistency: float = 1.0) -> None:
        super().__init__()
        if not (reach > 0 and steepness > 0 and consistency >= 0):
            raise ValueError(
                "`reach` and `steepness` must be positive and `consistency` not negative, got "
                f"{reach}, {steepness} and {consistency}."
            )
        self.reach, self.steepness, self.consistency = reach, steepness, consistency

    def forward(self, phi: Tensor, scores: Tensor, target: Tensor, labeled: Tensor) -> Tensor:
        """The loss, a scalar.

        Args:
            phi: `(B, K - 1, *spatial)`, positive inside the classes after the background.
            scores: `(B, K, *spatial)`.
            target: class probabilities `(B, K, *spatial)`; only read where labelled, and around it.
            labeled: `(B, 1, *spatial)`, bool: where `target` is to be learned.

        Raises:
            ValueError: the channels do not fit.
        """
        phi, probability = wide(phi), wide(scores).softmax(1)[:, 1:]
        if phi.shape != probability.shape or target.shape != scores.shape:
            raise ValueError(
                f"Scores {tuple(scores.shape)} need targets of the same shape and level functions of all but "
                f"the first channel, got {tuple(target.shape)} and {tuple(phi.shape)}."
            )
        masks = plain(target)[:, 1:].flatten(0, 1).unsqueeze(1) > 0.5
        distance = _distance(masks).view_as(phi).to(phi)
        error = (phi - (distance / self.reach).clamp(-1, 1)).square() * labeled
        learned = error.sum() / (labeled.sum() * phi.shape[1]).clamp_min(1)
        agreed = ((self.steepness * phi).sigmoid() - probability).square().mean()
        return learned + self.consistency * agreed
