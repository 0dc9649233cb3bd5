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
from monai_levelset.data.click_files import check_clicks, click_items, write_clicks
from monai_levelset.data.click_simulation import simulated_clicks
from monai_levelset.data.datalist import load_datalist, split_labeled, split_patients, write_datalist
from monai_levelset.data.errors import show_reason_last
from monai_levelset.data.label_free import label_free_items
from monai_levelset.data.prepare import prepare
from monai_levelset.data.sections import (
    load_section,
    training_cases,
    training_items,
    training_slices,
    training_volumes,
)
from monai_levelset.data.slices import slice_items
from monai_levelset.data.structures import structure_items
from monai_levelset.data.sunnybrook import convert_sunnybrook, sunnybrook_png_items
from monai_levelset.data.two_stream import TwoStreamBatchSampler
from monai_levelset.data.volume_slices import VolumeSliceDataset

__all__ = [
    "DataError",
    "TwoStreamBatchSampler",
    "VolumeSliceDataset",
    "check_checkpoint",
    "check_clicks",
    "check_folder",
    "check_items",
    "check_splits",
    "check_writable",
    "click_items",
    "convert_sunnybrook",
    "label_free_items",
    "load_datalist",
    "load_section",
    "prepare",
    "show_reason_last",
    "simulated_clicks",
    "slice_items",
    "split_labeled",
    "split_patients",
    "structure_items",
    "sunnybrook_png_items",
    "training_cases",
    "training_items",
    "training_slices",
    "training_volumes",
    "write_clicks",
    "write_datalist",
]
