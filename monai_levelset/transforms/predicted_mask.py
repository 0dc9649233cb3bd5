"""An image inside the object that another network finds, for networks in cascade."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from monai_levelset.data.checkpoints import check_checkpoint
from monai_levelset.transforms.slice_stack import CentreSlice

FLOOR = 1 / 255
"""Smallest value of an image inside the region; outside it is 0."""


def main_region(mask: NDArray[Any]) -> NDArray[np.bool_]:
    """The largest connected part of a mask, without holes.

    Args:
        mask: `(H, W, D)`, not 0 inside. Parts are connected through the faces of voxels, in 3D; holes are
            filled slice by slice, as axial slices show them.

    Returns:
        Mask of the same shape; empty for an empty one.

    Example:
        >>> mask = np.zeros((5, 9, 1), int)
        >>> mask[1:4, 1:4, 0], mask[2, 2, 0], mask[2, 7, 0] = 1, 0, 1
        >>> main_region(mask)[2, :, 0].astype(int).tolist()
        [0, 1, 1, 1, 0, 0, 0, 0, 0]
    """
    parts, count = ndimage.label(mask)
    if count == 0:
        return np.zeros(mask.shape, bool)
    region = parts == 1 + np.bincount(parts.ravel())[1:].argmax()
    return np.stack([ndimage.binary_fill_holes(part) for part in np.moveaxis(region, -1, 0)], -1)


def dilated(region: NDArray[np.bool_], margin: int) -> NDArray[np.bool_]:
    """A region `(H, W, D)` with so many pixels around it, slice by slice.

    Example:
        >>> dilated(np.array([0, 0, 0, 1, 0], bool).reshape(5, 1, 1), 2).ravel().astype(int).tolist()
        [0, 1, 1, 1, 1]
    """
    if margin == 0:
        return region
    in_plane = ndimage.generate_binary_structure(2, 1)[..., None]
    grown: NDArray[np.bool_] = ndimage.binary_dilation(region, in_plane, iterations=margin)
    return grown


def window_around(
    region: NDArray[np.bool_], size: Sequence[int], *, whole: bool = True
) -> tuple[slice, slice]:
    """A window of the slices of a volume, centred on a region's box and inside the image.

    Args:
        region: `(H, W, D)`; the window of an empty one is in the middle.
        size: (height, width), at most the image's.
        whole: enlarge the window where the region does not fit.

    Raises:
        ValueError: `size` exceeds the image.

    Example:
        >>> region = np.zeros((9, 9, 2), bool)
        >>> region[1:3, 2:8] = True
        >>> window_around(region, (4, 4)), window_around(region, (4, 4), whole=False)
        ((slice(0, 4, None), slice(2, 8, None)), (slice(0, 4, None), slice(3, 7, None)))
    """
    found = []
    for axis, wanted in enumerate(size):
        length = region.shape[axis]
        if wanted > length:
            raise ValueError(f"a window of {tuple(size)} exceeds the slices of {region.shape[:2]} pixels.")
        inside = np.flatnonzero(region.any((1 - axis, 2)))
        low, high = (inside[0], inside[-1] + 1) if len(inside) else (length // 2, length // 2)
        extent = max(wanted, high - low) if whole else wanted
        start = int(np.clip((low + high - extent) // 2, 0, length - extent))
        found.append(slice(start, start + int(extent)))
    return found[0], found[1]


def keep_inside(image: Tensor, region: Tensor, floor: float = FLOOR) -> Tensor:
    """The image inside a region, at least `floor`, and 0 outside: nothing inside is taken for outside.

    Args:
        image: any shape.
        region: broadcast to it.
        floor: above 0.

    Example:
        >>> keep_inside(torch.tensor([0.0, 0.5, 0.5]), torch.tensor([True, True, False]), floor=0.1)
        tensor([0.1000, 0.5000, 0.0000])
    """
    return torch.where(region, image.clamp_min(floor), 0)


class PredictedMaskd(MapTransform):
    """Set an image to 0 outside the object that a trained network finds in it.

    The second network of a cascade is trained on what the first one finds, in labelled and unlabelled cases
    alike, since inference gives it the same (Kim and Ye 2019, section IV-B). The largest connected part in 3D
    is kept and its holes are filled, see `main_region`, and a margin is added.

    Args:
        keys: keys of images `(1, H, W, D)` with values in [0, 1].
        network: 2D network with two channels of scores, the second of which is the object. A copy is used.
        weights: its file, see `check_checkpoint`. Its SHA-256 is the attribute `sha256`, so that what is
            cached by the transform's settings, see `VolumeSliceDataset`, is made anew for other weights.
        stack: adjacent slices that the network sees as channels.
        slices: slices in one batch.
        margin: around the object, pixels.
        floor: smallest value inside.
        window: (height, width) to cut the slices to, around the object; None: whole slices.
        label_key: is cut to the same window, if present.
        device: where the network runs.
        allow_missing_keys: see MONAI.

    Raises:
        DataError: the weights are missing or of another network.
        ValueError: on calling, the window exceeds the image.

    Example:
        >>> import tempfile
        >>> network = nn.Conv2d(1, 2, 1)
        >>> network.load_state_dict({"weight": torch.eye(2)[1:].reshape(2, 1, 1, 1), "bias": torch.zeros(2)})
        <All keys matched successfully>
        >>> network.bias.data[0] = 0.5  # the object is what exceeds 0.5
        >>> file = Path(tempfile.mkdtemp()) / "model.pt"
        >>> torch.save(network.state_dict(), file)
        >>> mask = PredictedMaskd("image", network, file, stack=1)
        >>> mask({"image": torch.tensor([0.7, 0.2, 0.8, 0.9]).reshape(1, 4, 1, 1)})["image"].flatten()
        tensor([0.0000, 0.0000, 0.8000, 0.9000])
    """

    def __init__(
        self,
        keys: KeysCollection,
        network: nn.Module,
        weights: str | Path,
        *,
        stack: int = 3,
        slices: int = 16,
        margin: int = 0,
        floor: float = FLOOR,
        window: Sequence[int] | None = None,
        label_key: str | None = None,
        device: str | torch.device = "cpu",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        network = deepcopy(network)
        network.load_state_dict(check_checkpoint(weights, network))
        self.sha256 = hashlib.sha256(Path(weights).read_bytes()).hexdigest()
        self.stack, self.margin, self.floor = stack, margin, floor
        self.window, self.label_key = window, label_key
        # a function: what describes a transform by its attributes does not look into it
        self._find = partial(
            predicted_region, network, stack=stack, slices=slices, margin=margin, device=device
        )

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Copy of the dictionary with masked images."""
        masked = dict(data)
        for key in self.key_iterator(masked):
            image = torch.as_tensor(masked[key])
            plain = image.as_tensor() if isinstance(image, MetaTensor) else image
            region = self._find(plain).to(plain.device)
            kept = keep_inside(plain, region, self.floor)
            masked[key] = MetaTensor(kept).copy_meta_from(image) if isinstance(image, MetaTensor) else kept
            if self.window is not None:
                rows, columns = window_around(region[0].cpu().numpy(), self.window, whole=False)
                for cut in (key, self.label_key):
                    if cut in masked:
                        masked[cut] = masked[cut][:, rows, columns]
        return masked


@torch.no_grad()
def predicted_region(
    network: nn.Module,
    image: Tensor,
    *,
    stack: int = 3,
    slices: int = 16,
    margin: int = 0,
    device: str | torch.device = "cpu",
) -> Tensor:
    """The main region of what a network finds in a volume; for the arguments see `PredictedMaskd`.

    Args:
        network: the network, which is left in evaluation mode.
        image: `(1, H, W, D)`.
        stack: adjacent slices that it sees.
        slices: slices in one batch.
        margin: around the object, pixels.
        device: where the network runs.

    Returns:
        `(1, H, W, D)`, boolean, on the CPU.
    """
    from monai_levelset.inferers import SliceBatchInferer  # it needs this package

    network = network.to(device).eval()
    scores = SliceBatchInferer(slices, stack)(image[None].to(device), network)[0]
    region = main_region((scores[1] > scores[0]).cpu().numpy())
    return torch.from_numpy(dilated(region, margin))[None]


class InsideRegion:
    """What an unsupervised loss measures of a masked image: its centre slice well inside the region.

    Of the mini-batch's images, which are 0 outside, the centre slice is taken. Its values are given relative
    to their median inside the slice's region and clipped, so that a bright vessel or a patch of fat that was
    taken for the organ does not outweigh what differs little from it. Everything else becomes NaN, which
    `MumfordShahLoss(ignore_value=float("nan"))` ignores; interpolating NaN gives NaN, so augmentation blends
    nothing from outside into the measured part.

    Args:
        stack: adjacent slices in the image.
        erosion: width of the border that is left out, pixels.
        window: (lowest, highest) value relative to the median; None: not clipped.

    Example:
        >>> image = torch.tensor([0.0, 0.0, 0.5, 0.5, 0.8]).expand(1, 1, 5, 5)
        >>> InsideRegion(1, erosion=0, window=(-0.1, 0.1))(image)[0, 0, 0]
        tensor([   nan,    nan, 0.0000, 0.0000, 0.1000])
        >>> InsideRegion(1, erosion=1)(image)[0, 0, 0].isnan().tolist()
        [True, True, True, False, False]
    """

    def __init__(
        self, stack: int = 3, *, erosion: int = 1, window: tuple[float, float] | None = None
    ) -> None:
        self.centre, self.erosion, self.window = CentreSlice(stack), erosion, window

    def __call__(self, image: Tensor) -> Tensor:
        """`(B, 1, H, W)` of `(B, stack, H, W)`."""
        centre = self.centre(image)
        outside = (centre <= 0).to(centre.dtype)
        if self.erosion:
            outside = F.max_pool2d(outside, 2 * self.erosion + 1, 1, self.erosion)
        inside = torch.where(outside > 0, torch.nan, centre)
        inside = inside - inside.flatten(1).nanmedian(1).values.view(-1, 1, 1, 1)
        return inside if self.window is None else inside.clamp(*self.window)


class MaskedAugmentation:
    """Augment masked images without losing what is outside: it is 0 afterwards, too.

    Random shades, offsets and noise would change the 0 outside, so that a network that tells inside from
    outside by it meets something else in training than later.

    Args:
        augment: (images, targets) -> (images, targets), such as `BatchAugmentation`; it moves the masks as
            further channels of the targets.
        floor: smallest value inside.

    Example:
        >>> from monai_levelset.transforms import BatchAugmentation
        >>> image = torch.zeros(1, 3, 16, 16)
        >>> image[..., 4:12, 4:12] = 0.5
        >>> moved, _ = MaskedAugmentation(BatchAugmentation())(image, torch.zeros(1, 2, 16, 16))
        >>> float(moved[..., 0, 0].abs().max()), bool(moved[..., 8, 8].min() > 0)
        (0.0, True)
    """

    def __init__(
        self, augment: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], floor: float = FLOOR
    ) -> None:
        self.augment, self.floor = augment, floor

    def __call__(self, image: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Augmented image `(B, C, H, W)` and label `(B, K, H, W)`."""
        inside = (image > 0).to(label.dtype)
        image, moved = self.augment(image, torch.cat([label, inside], 1))
        label, inside = moved[:, : label.shape[1]], moved[:, label.shape[1] :]
        return keep_inside(image, inside > 0.5, self.floor), label
