"""Data lists, checks before training, slices of volumes, readers of public data sets, and phantoms."""

from __future__ import annotations

from monai_levelset.data.checks import (
    DataError,
    check_checkpoint,
    check_folder,
    check_items,
    check_splits,
    check_writable,
)
from monai_levelset.data.datalist import load_datalist, split_labeled, split_patients, write_datalist
from monai_levelset.data.errors import show_reason_last
from monai_levelset.data.prepare import prepare
from monai_levelset.data.sections import load_section, training_items
from monai_levelset.data.slices import slice_items
from monai_levelset.data.sunnybrook import convert_sunnybrook, sunnybrook_png_items

__all__ = [
    "DataError",
    "check_checkpoint",
    "check_folder",
    "check_items",
    "check_splits",
    "check_writable",
    "convert_sunnybrook",
    "load_datalist",
    "load_section",
    "prepare",
    "show_reason_last",
    "slice_items",
    "split_labeled",
    "split_patients",
    "sunnybrook_png_items",
    "training_items",
    "write_datalist",
]
