"""From a data folder to the lists of items that a bundle trains and validates on, checked beforehand."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_levelset.data.axes import check_axcodes
from monai_levelset.data.cache_folders import item_paths
from monai_levelset.data.checks import check_folder, check_items
from monai_levelset.data.click_files import image_name
from monai_levelset.data.datalist import Item, load_datalist, split_labeled
from monai_levelset.data.errors import DataError, raise_problems
from monai_levelset.data.grids import read_grid
from monai_levelset.data.slices import slice_items
from monai_levelset.data.structures import Structures, structure_items
from monai_levelset.data.sunnybrook import sunnybrook_png_items

__all__ = ["load_section", "training_cases", "training_items", "training_slices", "training_volumes"]

logger = logging.getLogger(__name__)


def load_section(dataset_dir: str | Path, section: str) -> list[Item]:
    """One section of a data folder, unchecked: of `datalist.json`, or of the Sunnybrook PNG layout.

    Args:
        dataset_dir: the folder.
        section: `training`, `validation` or `test`.

    Returns:
        Items with absolute paths, `id`, `patient` and `labeled`.

    Raises:
        DataError: the folder is missing or empty, neither layout is found, or the section is unknown or
            empty; and what `load_datalist` raises.

    Example:
        >>> load_section("no/such/folder", "training")
        Traceback (most recent call last):
        ...
        monai_levelset.data.errors.DataError: no/such/folder: ...
    """
    folder = check_folder(dataset_dir)
    if (folder / "datalist.json").is_file():
        return load_datalist(folder / "datalist.json", section)
    if (folder / "splits.json").is_file() and (folder / "endocardium").is_dir():
        sections = sunnybrook_png_items(folder)
        if not sections.get(section):
            held = [name for name, items in sections.items() if items]
            raise DataError(f"{folder}: no case in the section {section!r}. It has {held}: name one.")
        return [{**item, "labeled": 1} for item in sections[section]]
    raise DataError(
        f"{folder}: neither datalist.json nor the Sunnybrook layout (splits.json, images/, endocardium/) "
        "is here. Write a data list (see the user guide), or make one with `monai-levelset prepare`."
    )


def training_items(
    dataset_dir: str | Path,
    section: str = "training",
    *,
    labeled_fraction: float = 1.0,
    seed: int = 0,
    keep: str = "all",
    cache_dir: str | Path | None = None,
    label_values: Sequence[int] = (0, 1, 255),
    middle_slices: int | None = None,
    axcodes: str | None = None,
    keep_empty: bool = True,
) -> list[Item]:
    """Items of one section as 2D slices, after every file was checked.

    Args:
        dataset_dir: see `load_section`.
        section: `training` or `validation`.
        labeled_fraction: part of the patients whose labels are used; of the others `label` is taken away.
        seed: which patients these are; see `split_labeled`.
        keep: `all` items, or only the `labeled` or `unlabeled` ones.
        cache_dir: where volumes are cut into slices, once; default `.slices` in the data folder. 2D data need
            none.
        label_values: what labels may hold.
        middle_slices: take only so many slices from the middle of each patient's, as Tang et al. (2017) take
            six of each liver scan; None: all. Slices are in the order of their number, whatever is labelled.
        axcodes: bring volumes to these axes, such as `PLS`, before they are cut along the third; see
            `slice_items`. Give `Orientationd` the same codes where the network meets whole volumes.
        keep_empty: False leaves out slices of volumes whose label is empty, for networks that only ever meet
            an object, such as those that are given clicks on it.

    Returns:
        The items; those without `label` have `labeled` 0.

    Raises:
        DataError: any file is missing, unreadable or does not fit; nothing is labelled; see `check_items`.
            Or `keep` leaves no item.
        ValueError: `keep`, `labeled_fraction` or `middle_slices` is out of range, or `axcodes` does not name
            three axes.

    Example:
        >>> import tempfile
        >>> from monai_levelset.data.phantoms import generate_phantoms
        >>> folder = Path(tempfile.mkdtemp()) / "lv"
        >>> _ = generate_phantoms("lv", folder, cases=4, seed=0)
        >>> items = training_items(folder, labeled_fraction=0.5, keep="labeled")
        >>> {item["labeled"] for item in items}
        {1}
    """
    _check_settings(keep, middle_slices, axcodes)
    cases = training_cases(
        dataset_dir, section, labeled_fraction=labeled_fraction, seed=seed, label_values=label_values
    )
    return training_slices(
        cases,
        cache_dir or Path(dataset_dir) / ".slices",
        keep=keep,
        middle_slices=middle_slices,
        axcodes=axcodes,
        keep_empty=keep_empty,
    )


def training_cases(
    dataset_dir: str | Path,
    section: str = "training",
    *,
    labeled_fraction: float = 1.0,
    seed: int = 0,
    label_values: Sequence[int] | None = (0, 1, 255),
) -> list[Item]:
    """Items of one section as they are listed, volumes or slices, after every file was checked.

    Args:
        dataset_dir: see `load_section`.
        section: `training`, `validation` or `test`.
        labeled_fraction: part of the patients whose labels are used; of the others `label` is taken away.
        seed: which patients these are; see `split_labeled`.
        label_values: what labels may hold; None: any whole numbers from 0 on.

    Returns:
        The items; those without `label` have `labeled` 0.

    Raises:
        DataError: any file is missing, unreadable or does not fit; nothing is labelled; see `check_items`.
        ValueError: `labeled_fraction` is out of range.

    Example:
        >>> import tempfile
        >>> from monai_levelset.data.phantoms import generate_phantoms
        >>> folder = Path(tempfile.mkdtemp()) / "liver"
        >>> _ = generate_phantoms("liver", folder, cases=4, seed=0)
        >>> len(training_cases(folder, "validation"))
        1
    """
    items = load_section(dataset_dir, section)
    check_items(items, label_values=label_values)
    return items if labeled_fraction == 1 else split_labeled(items, labeled_fraction, seed)


def training_slices(
    cases: Iterable[Mapping[str, Any]],
    cache_dir: str | Path,
    *,
    keep: str = "all",
    middle_slices: int | None = None,
    axcodes: str | None = None,
    keep_empty: bool = True,
    structures: Structures | None = None,
) -> list[Item]:
    """What a network for slices is trained on, of cases that are volumes or slices.

    Args:
        cases: items with `image` and perhaps `label`, such as `training_cases` gives them; there may be
            none, where nothing is left for a validation.
        cache_dir: where volumes are cut into slices, once.
        keep: see `training_items`.
        middle_slices: see `training_items`.
        axcodes: see `training_items`.
        keep_empty: see `training_items`.
        structures: make an item of each, see `structure_items`; None: all are in one.

    Returns:
        The items with `id`, `patient` and `labeled`; those without `label` have `labeled` 0.

    Raises:
        DataError: an image and its label differ in shape; `keep` leaves no item.
        ValueError: `keep` or `middle_slices` is out of range, or `axcodes` does not name three axes.

    Example:
        >>> training_slices([{"image": "a.png"}], "none", keep="some")
        Traceback (most recent call last):
        ...
        ValueError: `keep` must be all, labeled or unlabeled, got 'some'.
    """
    _check_settings(keep, middle_slices, axcodes)
    items = slice_items(map(_named, cases), cache_dir, axcodes=axcodes, keep_empty=keep_empty)
    items = [{**item, "labeled": int("label" in item)} for item in items]
    if middle_slices is not None:
        items = _middle(items, middle_slices)
    kept = _kept(items, keep, "slices") if items else []
    return kept if structures is None else structure_items(kept, structures)


def training_volumes(
    dataset_dir: str | Path,
    section: str = "training",
    *,
    channels: int | None = None,
    labeled_fraction: float = 1.0,
    seed: int = 0,
    keep: str = "all",
    label_values: Sequence[int] | None = (0, 1),
) -> list[Item]:
    """Items of one section as whole volumes, after every file was checked, for `VolumeSliceDataset`.

    Args:
        dataset_dir: see `load_section`.
        section: `training`, `validation` or `test`.
        channels: how many sequences every case must have, as files or as channels of one file; None: any.
        labeled_fraction: part of the patients whose labels are used; of the others `label` is taken away.
        seed: which patients these are; see `split_labeled`.
        keep: `all` items, or only the `labeled` or `unlabeled` ones.
        label_values: what labels may hold; None: any whole numbers from 0 on.

    Returns:
        The items; those without `label` have `labeled` 0.

    Raises:
        DataError: any file is missing, unreadable or does not fit; a case has other sequences than
            `channels`; nothing is labelled; `keep` leaves no item; see `check_items`.
        ValueError: `keep` or `labeled_fraction` is out of range.

    Example:
        >>> import tempfile
        >>> from monai_levelset.data.phantoms import generate_phantoms
        >>> folder = Path(tempfile.mkdtemp()) / "lits"
        >>> _ = generate_phantoms("lits", folder, cases=3, seed=0)
        >>> [item["labeled"] for item in training_volumes(folder, channels=1, label_values=(0, 1, 2))]
        [1]
    """
    _check_settings(keep)
    items = training_cases(
        dataset_dir, section, labeled_fraction=labeled_fraction, seed=seed, label_values=label_values
    )
    if channels is not None:
        raise_problems([problem for item in items for problem in _channel_problems(item, channels)])
    return _kept(items, keep, "volumes")


def _check_settings(keep: str, middle_slices: int | None = None, axcodes: str | None = None) -> None:
    if keep not in ("all", "labeled", "unlabeled"):
        raise ValueError(f"`keep` must be all, labeled or unlabeled, got {keep!r}.")
    if middle_slices is not None and middle_slices < 1:
        raise ValueError(f"`middle_slices` must be at least 1, or None for all, got {middle_slices}.")
    if axcodes is not None:
        check_axcodes(axcodes)


def _named(case: Mapping[str, Any]) -> Item:
    """The case with `id` and `patient`, which lists from elsewhere may lack."""
    name = str(case.get("id") or image_name(item_paths(case["image"])[0]))
    return {"id": name, "patient": name, **case}


def _channel_problems(item: Item, channels: int) -> list[str]:
    files = item_paths(item["image"])
    found = sum(read_grid(file).channels for file in files)
    if found == channels:
        return []
    return [
        f"{item['id']}: it has {found} sequence(s) ({', '.join(file.name for file in files)}), but "
        f"{channels} are expected. List the missing ones, or change the configuration's number of sequences."
    ]


def _kept(items: list[Item], keep: str, what: str) -> list[Item]:
    labeled = sum(item["labeled"] for item in items)
    logger.info("%d %s, %d of them labelled.", len(items), what, labeled)
    kept = [item for item in items if keep == "all" or item["labeled"] == (keep == "labeled")]
    if not kept:
        raise DataError(
            f"keep={keep!r} leaves no case: of {len(items)} {what} {labeled} are labelled. "
            "Set `labeled_fraction` below 1, list cases without label, or keep all."
        )
    return kept


def _middle(items: list[Item], count: int) -> list[Item]:
    """The middle `count` slices of each patient, in the items' order; of an even rest the lower one stays."""
    stacks: dict[str, list[int]] = {}
    for position in sorted(range(len(items)), key=lambda i: items[i].get("slice", i)):
        stacks.setdefault(items[position]["patient"], []).append(position)
    starts = {patient: max(0, (len(stack) - count) // 2) for patient, stack in stacks.items()}
    kept = {i for patient, stack in stacks.items() for i in stack[starts[patient] : starts[patient] + count]}
    return [item for position, item in enumerate(items) if position in kept]
