"""Two networks in cascade: the liver, then lesions inside the liver that was found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor, nn

from monai_levelset.inferers import SliceBatchInferer
from monai_levelset.transforms.predicted_mask import dilated, keep_inside, main_region, window_around


class LiverLesionCascade(nn.Module):
    """Liver and lesions by two networks, the second of which sees the CT inside the first one's liver only.

    The cascade of Kim and Ye (2019), section IV-B, as one module: one file of weights, one export. Channel 0
    of the output is background, 1 liver, 2 lesion, and the largest score is the decision of the two stages:
    background where the first network says so, otherwise what the second says. With liver scores a and lesion
    scores b the output is a_0, a_1 + b_0 - m, a_1 + b_1 - m, m = max(b_0, b_1).

    Here a stack's liver is the one found in its centre slice. `LiverLesionInferer` works on whole volumes: it
    finds the liver of every slice first and keeps the largest part in 3D, as the lesion network was trained.

    Args:
        liver: stack of slices `(B, S, H, W)` -> scores `(B, 2, H, W)`.
        lesion: the same of a stack that is 0 outside the liver.

    Example:
        >>> from monai_levelset.networks import SpaceToDepthUNet
        >>> cascade = LiverLesionCascade(SpaceToDepthUNet(3, 2, (8, 16)), SpaceToDepthUNet(3, 2, (8, 16)))
        >>> cascade(torch.rand(2, 3, 20, 24)).shape
        torch.Size([2, 3, 20, 24])
    """

    def __init__(self, liver: nn.Module, lesion: nn.Module) -> None:
        super().__init__()
        self.liver, self.lesion = liver, lesion

    def forward(self, image: Tensor) -> Tensor:
        """Scores `(B, 3, H, W)` of a stack of slices `(B, S, H, W)` with values in [0, 1]."""
        liver = self.liver(image)
        return cascade_scores(liver, self.lesion(keep_inside(image, liver[:, 1:] > liver[:, :1])))


class LesionStage(LiverLesionCascade):
    """The cascade while its lesion network is trained: the liver network is fixed.

    Weights have the names of the cascade's, so that one file serves the training of lesions, to start from
    and to keep, and inference.

    Args:
        liver: see `LiverLesionCascade`; its parameters need no gradient any more.
        lesion: what is trained.

    Example:
        >>> from monai_levelset.networks import SpaceToDepthUNet
        >>> stage = LesionStage(SpaceToDepthUNet(3, 2, (8, 16)), SpaceToDepthUNet(3, 2, (8, 16)))
        >>> stage(torch.rand(2, 3, 20, 24)).shape
        torch.Size([2, 2, 20, 24])
    """

    def __init__(self, liver: nn.Module, lesion: nn.Module) -> None:
        super().__init__(liver.requires_grad_(False), lesion)

    def forward(self, image: Tensor) -> Tensor:
        """Scores `(B, 2, H, W)` of lesions in a stack `(B, S, H, W)` that is 0 outside the liver."""
        scores: Tensor = self.lesion(image)
        return scores


class InsideScaled(nn.Module):
    """A network that sees the inside of a masked image relative to its mean: (x - mean) * scale, 0 outside.

    In a window of 400 HU scaled to [0, 1] a lesion differs from the liver around it by a twentieth to a
    seventh, livers of different patients differ by more, and the masked surroundings by a half, which is what
    an untrained network would learn first.

    Args:
        network: sees the scaled image.
        scale: factor.

    Example:
        >>> InsideScaled(nn.Identity(), scale=8.0)(torch.tensor([[[[0.0, 0.5, 0.75]]]]))
        tensor([[[[ 0., -1.,  1.]]]])
    """

    def __init__(self, network: nn.Module, scale: float = 10.0) -> None:
        super().__init__()
        self.network, self.scale = network, scale

    def forward(self, image: Tensor) -> Tensor:
        """The network's output for `image` `(B, C, H, W)`, which is 0 outside and positive inside."""
        inside = image > 0
        mean = image.sum((1, 2, 3), keepdim=True) / inside.sum((1, 2, 3), keepdim=True).clamp_min(1)
        scores: Tensor = self.network(torch.where(inside, (image - mean) * self.scale, 0))
        return scores


class LiverLesionInferer(Inferer):
    """The cascade on volumes: the liver in 3D first, then lesions inside it.

    The liver is the largest connected part of what the first network finds, without holes. A lesion may reach
    into a margin around it, for the first network misses some lesions at the surface. A volume without liver
    is background everywhere.

    Args:
        slices: slices in one batch.
        stack: adjacent slices that the networks see as channels.
        margin: around the liver, pixels of a slice; what the lesion network was trained with.
        window: (height, width) of the part of the slices, around the liver, that the lesion network sees: as
            in its training, but larger for a larger liver. None: whole slices.

    Example:
        >>> from monai_levelset.networks import SpaceToDepthUNet
        >>> cascade = LiverLesionCascade(SpaceToDepthUNet(3, 2, (8, 16)), SpaceToDepthUNet(3, 2, (8, 16)))
        >>> LiverLesionInferer()(torch.rand(1, 1, 20, 24, 5), cascade).shape
        torch.Size([1, 3, 20, 24, 5])
    """

    def __init__(
        self, slices: int = 16, stack: int = 3, margin: int = 0, window: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        self.infer, self.margin, self.window = SliceBatchInferer(slices, stack), margin, window

    def __call__(self, inputs: Tensor, network: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Scores `(B, 3, H, W, D)` of volumes `(B, 1, H, W, D)`; the network is a `LiverLesionCascade`."""
        return torch.cat([self._volume(volume, network) for volume in inputs.split(1)])

    def _volume(self, volume: Tensor, network: LiverLesionCascade) -> Tensor:
        a = self.infer(volume, network.liver)
        liver = main_region((a[0, 1] > a[0, 0]).cpu().numpy())
        region = dilated(liver, self.margin)
        allowed, found = (torch.from_numpy(mask).to(volume.device) for mask in (region, liver))
        b = torch.zeros_like(a)
        b[:, 0] = 1
        if liver.any():
            rows, columns = window_around(region, self.window or volume.shape[2:4])
            inside = self.infer(keep_inside(volume, allowed)[:, :, rows, columns], network.lesion)
            b[:, :, rows, columns] = torch.where(allowed[rows, columns], inside, b[:, :, rows, columns])
        found = found | (b[:, 1] > b[:, 0])
        return cascade_scores(torch.stack([~found, found], 1).to(b.dtype), b)


def cascade_scores(liver: Tensor, lesion: Tensor) -> Tensor:
    """Scores of background, liver and lesion from those of the two stages, see `LiverLesionCascade`.

    Args:
        liver: `(B, 2, *spatial)`.
        lesion: `(B, 2, *spatial)`.

    Example:
        >>> liver = torch.tensor([[[3.0, 0.0, 0.0], [0.0, 1.0, 1.0]]])
        >>> lesion = torch.tensor([[[0.0, 4.0, 0.0], [9.0, 0.0, 5.0]]])
        >>> cascade_scores(liver, lesion).argmax(1)
        tensor([[0, 1, 2]])
    """
    return torch.cat([liver[:, :1], liver[:, 1:] + lesion - lesion.amax(1, keepdim=True)], 1)
