"""Random changes of a whole mini-batch at once, on whichever device it lies."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor


class BatchAugmentation:
    """Rotate, flip, scale, shift, bend, shade and add noise to a mini-batch of 2D images and their labels.

    MONAI's random transforms treat one item after the other on the CPU; this draws the parameters of all
    items together and warps the mini-batch in one call, without a copy between host and device. The image is
    sampled once, with the border repeated, and so is the label; soft labels stay soft.

    All random numbers come from torch's global generators, so `torch.manual_seed` repeats them. In a
    distributed run every rank draws for the global batch and keeps its own share: with the same seed on each
    rank and items dealt out in turn (as `torch.utils.data.DistributedSampler` does), n processes see what one
    would.

    Args:
        rotation: largest rotation, radians.
        scale: largest |log| of the change in size.
        stretch: largest |log| of the change along one axis only.
        shift: largest translation, as a part of half the image's size.
        flip: mirror half of the items.
        bend: standard deviation of a smooth random displacement on a 6 x 6 grid, as a part of half the size.
        shade: standard deviation of a smooth additive field on a 3 x 3 grid, in the image's unit.
        contrast: largest |log| of the gain and of gamma, and largest offset, in the image's unit.
        noise: largest standard deviation of Gaussian noise, in the image's unit.
        size: (height, width) of the output, cut around the centre of the warped image; default: the input's.

    Example:
        >>> import torch
        >>> image, label = torch.rand(4, 1, 48, 48), torch.zeros(4, 1, 48, 48)
        >>> augmented, warped = BatchAugmentation(size=(36, 36))(image, label)
        >>> augmented.shape, float(warped.max())
        (torch.Size([4, 1, 36, 36]), 0.0)
    """

    def __init__(
        self,
        *,
        rotation: float = math.pi,
        scale: float = 0.2,
        stretch: float = 0.1,
        shift: float = 0.08,
        flip: bool = True,
        bend: float = 0.02,
        shade: float = 0.25,
        contrast: float = 0.3,
        noise: float = 0.1,
        size: Sequence[int] | None = None,
    ) -> None:
        self.rotation, self.scale, self.stretch, self.shift, self.flip = rotation, scale, stretch, shift, flip
        self.bend, self.shade, self.contrast, self.noise = bend, shade, contrast, noise
        self.size = None if size is None else (int(size[0]), int(size[1]))

    def __call__(self, image: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Augmented image and label, `(B, C, *size)`, of `(B, C, H, W)`; the inputs stay as they are."""
        size = self.size or (image.shape[-2], image.shape[-1])
        grid = self._grid(image, size)
        image = F.grid_sample(image, grid, padding_mode="border", align_corners=False)
        label = F.grid_sample(label.to(image.dtype), grid, padding_mode="border", align_corners=False)
        return self._appearance(image), label

    def _grid(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        batch = image.shape[0]
        angle = self.rotation * _uniform(image, batch)
        zoom = torch.exp(self.scale * _uniform(image, batch))
        zoom_x = zoom * torch.exp(self.stretch * _uniform(image, batch))
        shift = self.shift * _uniform(image, batch, 2)
        flip = torch.sign(_uniform(image, batch)) if self.flip else torch.ones_like(angle)
        row_x = torch.stack([flip * zoom_x * angle.cos(), -zoom * angle.sin()], 1)
        row_y = torch.stack([flip * zoom_x * angle.sin(), zoom * angle.cos()], 1)
        cut = image.new_tensor([size[1] / image.shape[-1], size[0] / image.shape[-2]])
        theta = torch.cat([torch.stack([row_x, row_y], 1) * cut, shift[:, :, None]], 2)
        grid = F.affine_grid(theta, [batch, 1, *size], align_corners=False)
        return grid + _smooth(image, batch, 2, 6, size, self.bend).permute(0, 2, 3, 1)

    def _appearance(self, image: Tensor) -> Tensor:
        batch, size = image.shape[0], (image.shape[-2], image.shape[-1])
        image = image + _smooth(image, batch, 1, 3, size, self.shade)
        low, high = image.amin((1, 2, 3), keepdim=True), image.amax((1, 2, 3), keepdim=True)
        span = (high - low).clamp_min(1e-6)
        gamma, gain, offset = self.contrast * _uniform(image, 3, batch, split=1)[:, :, None, None, None]
        image = ((image - low) / span).clamp_min(1e-6) ** torch.exp(gamma) * span + low
        image = image * torch.exp(gain) + offset
        level = self.noise * _uniform(image, batch).abs()
        return image + level[:, None, None, None] * _share(torch.randn, image, tuple(image.shape), 0)


def _share(draw, like: Tensor, shape: tuple[int, ...], axis: int) -> Tensor:  # type: ignore[no-untyped-def]
    """Random numbers of this rank: every rank draws those of all ranks and takes each world-size-th item."""
    world, rank = (dist.get_world_size(), dist.get_rank()) if dist.is_initialized() else (1, 0)
    total = [n * world if i == axis else n for i, n in enumerate(shape)]
    values = draw(total, device=like.device, dtype=like.dtype)
    return values[(slice(None),) * axis + (slice(rank, None, world),)]


def _uniform(like: Tensor, *shape: int, split: int = 0) -> Tensor:
    """Uniform in [-1, 1); `split` is the axis of the items."""
    return 2 * _share(torch.rand, like, shape, split) - 1


def _smooth(like: Tensor, batch: int, channels: int, knots: int, size: tuple[int, int], sd: float) -> Tensor:
    values = sd * _share(torch.randn, like, (batch, channels, knots, knots), 0)
    return F.interpolate(values, size=size, mode="bicubic", align_corners=False)
