"""Slices of preprocessed volumes, each with its neighbours: every volume is read and preprocessed once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from monai_levelset.data.cache_folders import cache_folder, describe, item_paths
from monai_levelset.data.datalist import FILE_KEYS, Item
from monai_levelset.data.errors import DataError

__all__ = ["VolumeSliceDataset"]

logger = logging.getLogger(__name__)
_VERSION = 1  # part of the keys: raise it whenever files written before can no longer be used


class VolumeSliceDataset(Dataset[dict[str, Any]]):
    """The axial slices of volumes as 2.5D items, for training 2D networks.

    Every case goes through `transform` once; the result lies in `cache_dir`, slice by slice and uncompressed
    (half precision, labels as bytes), and is mapped into memory: an item costs the reading of a few slices,
    and memory is used as far as there is some. A case whose files or transforms change is made anew; an
    interrupted run goes on.

    Args:
        data: data-list items with `image` (one file, or one per sequence) and perhaps `label`, see
            `load_section`.
        transform: from an item to `image` `(C, H, W, D)` and `label` `(1, H, W, D)`, without random parts.
            2D images `(C, H, W)` count as volumes of one slice.
        cache_dir: folder for the preprocessed cases.
        stack: slices that an item's image holds of each sequence, itself in the middle; see `stack_slices`.
        blank: whether to list slices whose image has the same value everywhere in each sequence, such as
            those above the head. Labels are not looked at: that would tell where unlabelled cases are empty.
        progress: whether to show a progress bar while cases are prepared.
        labels: False leaves out labels, for training without any.

    Attributes:
        items: one entry per slice: `id`, `patient`, `slice`, `labeled`.

    Raises:
        DataError: a case cannot be preprocessed, or image and label do not fit; the message names it.

    An item has `image` `(C * stack, H, W)`, `label` `(1, H, W)` (zeros where there is none), both float32,
    and the entries of `items`.

    Example:
        >>> import tempfile
        >>> from monai.transforms import Compose, LoadImaged
        >>> from monai_levelset.data import load_section
        >>> from monai_levelset.data.phantoms import generate_phantoms
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = generate_phantoms("lits", folder / "data", cases=3, seed=0)
        >>> items = load_section(folder / "data", "training")
        >>> load = LoadImaged(["image", "label"], ensure_channel_first=True)
        >>> slices = VolumeSliceDataset(items, load, folder / "cache")
        >>> slices[0]["image"].shape, slices[0]["label"].shape
        (torch.Size([3, 160, 160]), torch.Size([1, 160, 160]))
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        transform: Callable[[Any], Any],
        cache_dir: str | Path,
        *,
        stack: int = 3,
        blank: bool = False,
        progress: bool = False,
        labels: bool = True,
    ) -> None:
        self.stack = stack
        self.items: list[Item] = []
        self._places: list[tuple[Path, int]] = []
        size, how = 0, [_VERSION, describe(transform)]
        for case in tqdm(data, desc="preparing volumes", unit="case", disable=not progress):
            item = {key: value for key, value in case.items() if labels or key != "label"}
            paths = [path for key in FILE_KEYS for path in item_paths(item.get(key))]
            name = str(item.get("id") or paths[0].name.split(".")[0])
            write = partial(_write_case, item=item, transform=transform, file=paths[0])
            folder, index = cache_folder(Path(cache_dir).absolute(), name, paths, how, write)
            self._list({"id": name, "patient": name, **item}, folder, index["blank"], blank)
            size += sum(file.stat().st_size for file in folder.iterdir())
        logger.info("%d slices of %d cases, %.0f MiB on disk.", len(self.items), len(data), size / 2**20)

    def _list(self, item: Mapping[str, Any], folder: Path, blank: Sequence[bool], keep_blank: bool) -> None:
        for k, is_blank in enumerate(blank):
            if keep_blank or not is_blank:
                described = {"id": f"{item['id']}-s{k:03d}", "patient": item["patient"], "slice": k}
                self.items.append({**described, "labeled": int("label" in item)})
                self._places.append((folder, k))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        folder, k = self._places[index]
        image = _stacked(_mapped(folder / "image.npy"), k, self.stack)
        label = torch.zeros(1, *image.shape[1:])
        if self.items[index]["labeled"]:
            label = torch.from_numpy(np.asarray(_mapped(folder / "label.npy")[k], np.float32))
        return {**self.items[index], "image": image, "label": label}


def _stacked(volume: NDArray[Any], k: int, stack: int) -> Tensor:
    """Slice k and its neighbours of a volume (D, C, H, W), which is read no further."""
    from monai_levelset.transforms.slice_stack import stack_slices  # MONAI's transforms are slow to import

    first = max(0, k - stack // 2)
    near = torch.from_numpy(np.asarray(volume[first : k + stack // 2 + 1], np.float32))
    return stack_slices(near.movedim(0, -1)[None], stack, first=k - first, last=k - first + 1)[0]


@lru_cache(maxsize=4096)
def _mapped(path: Path) -> NDArray[Any]:
    mapped: NDArray[Any] = np.load(path, mmap_mode="r")
    return mapped


def _write_case(
    folder: Path, item: Mapping[str, Any], transform: Callable[[Any], Any], file: Path
) -> dict[str, Any]:
    """Preprocess a case: image (D, C, H, W) and label (D, 1, H, W); which of its slices are blank."""
    try:
        made = transform(dict(item))
    except Exception as error:
        raise DataError(
            f"{file}: this case cannot be preprocessed ({error}). Repair or remove it."
        ) from error
    image = _slices_first(made["image"])
    label = _slices_first(made["label"]) if "label" in item else None
    if label is not None and label[:, :1].shape != image[:, :1].shape:
        raise DataError(
            f"{file}: after preprocessing its image has the size {image.shape[2:] + image.shape[:1]}, its "
            f"label {label.shape[2:] + label.shape[:1]}. Resample the label onto the image's grid."
        )
    return _write(folder, image, label)


def _slices_first(values: Tensor) -> NDArray[Any]:
    array = np.asarray(values)
    return np.moveaxis(array[..., None] if array.ndim == 3 else array, -1, 0)


def _write(folder: Path, image: NDArray[Any], label: NDArray[Any] | None) -> dict[str, Any]:
    np.save(folder / "image.npy", np.ascontiguousarray(image, np.float16))
    if label is not None:
        np.save(folder / "label.npy", np.ascontiguousarray(label[:, :1].round(), np.uint8))
    return {"blank": (image.min((2, 3)) == image.max((2, 3))).all(1).tolist()}
