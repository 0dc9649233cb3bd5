"""Data lists for training without labels."""

from __future__ import annotations

from pathlib import Path

from monai_levelset.data.checks import check_items
from monai_levelset.data.datalist import Item
from monai_levelset.data.sections import load_section

__all__ = ["label_free_items"]


def label_free_items(dataset_dir: str | Path, section: str = "training") -> list[Item]:
    """Items of one section with their images alone, after every image was checked.

    Labels are neither read nor needed, and do not get into the items, so that no training can see them.

    Args:
        dataset_dir: see `load_section`.
        section: `training`, `validation` or `test`.

    Returns:
        The items, `labeled` 0.

    Raises:
        DataError: an image is missing, unreadable or constant; see `load_section` and `check_items`.

    Example:
        >>> import tempfile
        >>> from monai_levelset.data.phantoms import generate_phantoms
        >>> folder = Path(tempfile.mkdtemp()) / "natural"
        >>> _ = generate_phantoms("natural", folder, cases=4, seed=0)
        >>> items = label_free_items(folder)
        >>> any("label" in item for item in items)
        False
    """
    items = load_section(dataset_dir, section)
    check_items(items, keys=["image"], require_labels=False)
    return [{**{k: v for k, v in item.items() if k != "label"}, "labeled": 0} for item in items]
