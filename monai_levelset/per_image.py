"""Segmentation of one image by a small network that is trained on it alone, while it is segmented."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from monai.inferers import Inferer
from skimage.segmentation import slic
from torch import Tensor, nn

#: Factor of the log bias field. At the same learning rate as the classes it would explain regions away before
#: there are any; it enters value and gradient, so the field learns at a hundredth of the rate.
_SLOW = 0.1


class PerImageNet(nn.Module):
    """The network of Kanezaki (2018): 3x3 convolutions, then one 1x1 convolution to the classes.

    Every convolution is followed by batch normalisation, those of 3x3 by a ReLU before it. Weights are drawn
    after Xavier (Glorot), as in Kim and Ye. Every channel of the image is first scaled to mean 0 and standard
    deviation 1, so that its unit does not matter.

    Args:
        in_channels: of the image.
        classes: q.
        width: channels of the 3x3 convolutions.
        layers: how many there are.
        bias_field: one more output channel, the log of a bias field, without normalisation.

    Example:
        >>> import torch
        >>> PerImageNet(3, 5, width=8, bias_field=True)(torch.rand(1, 3, 9, 7)).shape
        torch.Size([1, 6, 9, 7])
    """

    def __init__(
        self, in_channels: int, classes: int, *, width: int = 100, layers: int = 2, bias_field: bool = False
    ) -> None:
        super().__init__()
        blocks: list[nn.Module] = [nn.InstanceNorm2d(in_channels)]
        for layer in range(layers):
            inputs = width if layer else in_channels
            blocks += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True), nn.BatchNorm2d(width)]
        self.body = nn.Sequential(*blocks)
        self.classes = nn.Sequential(nn.Conv2d(width, classes, 1), nn.BatchNorm2d(classes))
        self.bias = nn.Conv2d(width, 1, 1) if bias_field else None
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        if self.bias is not None:
            nn.init.zeros_(self.bias.weight)  # no bias at the start

    def forward(self, image: Tensor) -> Tensor:
        """Scores `(B, q [+ 1], H, W)` of `(B, C, H, W)`."""
        features = self.body(image)
        scores: Tensor = self.classes(features)
        return scores if self.bias is None else torch.cat([scores, _SLOW * self.bias(features)], 1)


class PerImageOptimizer(Inferer):
    """Segment each image by training a network on it: Kanezaki (2018), as Kim and Ye change it.

    In every step the network's labels are the argmax of its scores; each superpixel takes the label that most
    of its pixels have; the cross entropy of the scores to these labels is minimised. Different labels thus
    become one, and it ends when `min_labels` are left. `loss`, such as `MumfordShahLoss(softmax=True,
    per_voxel=True, reduction="mean")`, is added with the weight `beta`; with `superpixel_weight=0` it stands
    alone. No labels, no trained weights.

    Kanezaki, "Unsupervised image segmentation by backpropagation", ICASSP 2018; Kim and Ye, "Mumford-Shah
    loss functional for image segmentation with deep learning", section "BSDS500".

    Args:
        classes: q, how many labels there are at the start.
        width: channels of the network's convolutions.
        layers: 3x3 convolutions.
        steps: updates at most.
        learning_rate: of SGD.
        momentum: of SGD.
        min_labels: stop when so many labels, or fewer, are left.
        superpixels: how many SLIC superpixels, about.
        compactness: of the superpixels, see `skimage.segmentation.slic`; for an image scaled to [0, 1] over
            all its channels.
        superpixel_weight: weight of the cross entropy; 0 leaves it out.
        loss: called as `loss(scores, image)`, the scores before the softmax; None: Kanezaki's method.
        beta: weight of `loss`.
        size: longest side in pixels of the image that is worked on, made smaller by averaging; None: the
            image as it is. The scores are interpolated back.
        seed: of the network's weights; every image starts from the same. The global generators are left as
            they are.

    Raises:
        ValueError: a number is out of range, or neither the superpixels nor a loss have weight.

    Example:
        >>> import torch
        >>> image = torch.zeros(1, 3, 24, 32)
        >>> image[..., 16:] = 1
        >>> optimize = PerImageOptimizer(classes=4, width=8, steps=20, superpixels=50, min_labels=2)
        >>> labels = optimize(image).argmax(1)
        >>> labels[0, 12, [2, 13, 18, 29]].unique().numel()
        2
    """

    def __init__(
        self,
        *,
        classes: int = 100,
        width: int = 100,
        layers: int = 2,
        steps: int = 500,
        learning_rate: float = 0.1,
        momentum: float = 0.9,
        min_labels: int = 3,
        superpixels: int = 10000,
        compactness: float = 0.1,
        superpixel_weight: float = 1.0,
        loss: nn.Module | None = None,
        beta: float = 1.0,
        size: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        counts = {"classes": classes, "width": width, "layers": layers, "steps": steps}
        counts |= {"superpixels": superpixels, "min_labels": min_labels, "size": 1 if size is None else size}
        for name, value in counts.items():
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}.")
        if min(superpixel_weight, beta) < 0:
            raise ValueError(f"weights must not be negative, got {superpixel_weight} and {beta}.")
        if superpixel_weight == 0 and (loss is None or beta == 0):
            raise ValueError("nothing to minimise: give `superpixel_weight` or `loss` a weight.")
        self.classes, self.width, self.layers, self.steps = classes, width, layers, steps
        self.learning_rate, self.momentum, self.min_labels = learning_rate, momentum, min_labels
        self.superpixels, self.compactness = superpixels, compactness
        self.superpixel_weight, self.loss, self.beta = superpixel_weight, loss, beta
        self.size, self.seed = size, seed

    def __call__(
        self, inputs: Tensor, network: Callable[..., Any] | None = None, *args: Any, **kwargs: Any
    ) -> Tensor:
        """Scores `(B, q [+ 1], H, W)` of `(B, C, H, W)`; for volumes `(B, C, H, W, D)` slice by slice.

        Args:
            inputs: images, of any range.
            network: not used: every image has its own.
            *args: not used.
            **kwargs: not used.
        """
        if inputs.ndim == 5:
            return torch.stack([self(part) for part in inputs.unbind(-1)], -1)
        with torch.inference_mode(False), torch.enable_grad():
            return torch.cat([self.optimize(image) for image in inputs.detach().clone().split(1)])

    def optimize(self, image: Tensor) -> Tensor:
        """Scores of one image, `(1, C, H, W)`."""
        small = self._smaller(image)
        network = self._network(small)
        optimizer = torch.optim.SGD(network.parameters(), self.learning_rate, self.momentum)
        segments = self._superpixels(small) if self.superpixel_weight else None
        for _ in range(self.steps):
            scores = network(small)
            labels = scores[:, : self.classes].argmax(1)
            if labels.unique().numel() <= self.min_labels:
                break
            optimizer.zero_grad()
            self._energy(scores, labels, small, segments).backward()
            optimizer.step()
        with torch.no_grad():
            scores = network(small)
        return F.interpolate(scores, size=image.shape[2:], mode="bilinear", align_corners=False)

    def _smaller(self, image: Tensor) -> Tensor:
        image = image.as_tensor() if hasattr(image, "as_tensor") else image
        longest = max(image.shape[2:])
        if self.size is None or longest <= self.size:
            return image.float()
        sides = [max(1, round(side * self.size / longest)) for side in image.shape[2:]]
        return F.interpolate(image.float(), size=sides, mode="area")

    def _network(self, image: Tensor) -> PerImageNet:
        bias_field = bool(getattr(self.loss, "bias_field", False))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            network = PerImageNet(
                *(image.shape[1], self.classes), width=self.width, layers=self.layers, bias_field=bias_field
            )
        return network.to(image.device).train()

    def _superpixels(self, image: Tensor) -> Tensor:
        pixels = image[0].cpu().numpy()
        low, high = float(pixels.min()), float(pixels.max())
        unit = (pixels - low) / max(high - low, 1e-6)
        settings = {"n_segments": self.superpixels, "compactness": self.compactness, "channel_axis": 0}
        found = slic(unit, start_label=0, convert2lab=False, **settings)
        return torch.from_numpy(np.asarray(found, np.int64)).to(image.device)[None]

    def _energy(self, scores: Tensor, labels: Tensor, image: Tensor, segments: Tensor | None) -> Tensor:
        energy = scores.new_zeros(())
        if segments is not None:
            target = majority(labels, segments, self.classes)
            energy = energy + self.superpixel_weight * F.cross_entropy(scores[:, : self.classes], target)
        if self.loss is not None and self.beta:
            energy = energy + self.beta * self.loss(scores, image)
        return energy


def majority(labels: Tensor, segments: Tensor, classes: int) -> Tensor:
    """Each pixel gets the label that most pixels of its superpixel have, of several the smallest.

    Args:
        labels: whole numbers below `classes`, of any shape.
        segments: superpixel of each pixel, numbered from 0 on, of the same shape.
        classes: how many labels there are.

    Returns:
        Labels of the same shape.

    Example:
        >>> import torch
        >>> majority(torch.tensor([1, 1, 0, 2]), torch.tensor([0, 0, 0, 1]), 3)
        tensor([1, 1, 1, 2])
    """
    count = int(segments.max()) + 1
    votes = torch.bincount((segments * classes + labels).flatten(), minlength=count * classes)
    return votes.view(count, classes).argmax(1)[segments]
