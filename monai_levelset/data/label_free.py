"""Data lists for training without labels."""

from __future__ import annotations

from pathlib import Path

from monai_levelset.data.checks import check_folder, check_items
from monai_levelset.data.datalist import Item, load_datalist
from monai_levelset.data.errors import DataError

__all__ = ["label_free_items"]


def label_free_items(dataset_dir: str | Path, section: str = "training") -> list[Item]:
    """Items of one section with their images alone, after every image was checked.

    Labels are neither read nor needed, and do not get into the items, so that no training can see them.

    Args:
        dataset_dir: folder of `datalist.json`.
        section: `training`, `validation` or `test`.

    Returns:
        The items, `labeled` 0.

    Raises:
        DataError: there is no data list, or an image is missing, unreadable or constant; see `load_datalist`
            and `check_items`.

    Example:
        >>> import tempfile
        >>> from monai_levelset.data.phantoms import generate_phantoms
        >>> folder = Path(tempfile.mkdtemp()) / "natural"
        >>> _ = generate_phantoms("natural", folder, cases=4, seed=0)
        >>> items = label_free_items(folder)
        >>> any("label" in item for item in items)
        False
    """
    file = check_folder(dataset_dir) / "datalist.json"
    if not file.is_file():
        raise DataError(
            f"{dataset_dir}: no datalist.json is here. Write one that names the images of the sections "
            "training and validation (see the user guide); they need no label."
        )
    items = load_datalist(file, section, require_labels=False)
    check_items(items, keys=["image"], require_labels=False)
    return [{**{k: v for k, v in item.items() if k != "label"}, "labeled": 0} for item in items]
